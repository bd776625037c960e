package main

import (
	"bufio"
	"errors"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	unclaimedFor = 30 * time.Second
	piecesInHand = 8
	filesAtOnce  = 4
)

// PID 1: reaps, listens, and stays. A pooled box that nobody claimed ends by itself when the worker
// that made it is gone, and so is nobody's orphan.
func serve(pooled bool) error {
	syscall.Umask(0o022)
	reaping, err := newReaper()
	if err != nil {
		return err
	}
	if err := hideFromCommands(); err != nil {
		return err
	}
	keepThreadsInHand(threadsKeptInHand)
	work, err := openTree(root)
	if err != nil {
		return err
	}
	listener, err := net.Listen("unix", address)
	if err != nil {
		return err
	}
	if err := relay(); err != nil {
		return err
	}
	s := &server{
		box: &box{
			root:       work,
			reaper:     reaping,
			files:      make(chan struct{}, filesAtOnce),
			executions: map[string]*execution{},
			sessions:   map[int]*execution{},
		},
	}
	if pooled {
		s.endUnclaimed()
	} else {
		s.claimed.Store(true)
	}
	for {
		conn, err := listener.Accept()
		if err != nil {
			continue
		}
		if peer, err := peerOf(conn); err != nil || !fromOutside(peer) {
			_ = conn.Close()
			continue
		}
		go s.talk(conn)
	}
}

type server struct {
	box     *box
	claimed atomic.Bool
	mu      sync.Mutex
	guests  int
	ending  *time.Timer
}

// A process that the engine put into the box has no parent here; whatever a command starts has one.
func fromOutside(pid int) bool {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return false
	}
	found, ok := parseStat(data)
	return ok && found.parent == 0
}

func (s *server) endUnclaimed() {
	s.ending = time.AfterFunc(unclaimedFor, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.guests == 0 && !s.claimed.Load() {
			os.Exit(0)
		}
	})
}

func (s *server) count(guests int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.guests += guests
	if s.guests == 0 && s.ending != nil {
		s.ending.Reset(unclaimedFor)
	}
}

// One worker's attachment: requests by id, each answered in its own time.
type guest struct {
	server *server
	wire   *wire
	mu     sync.Mutex
	open   map[uint64]*dialogue
}

type dialogue struct {
	stop  chan struct{}
	once  sync.Once
	input chan []byte
	// Its last piece has come. The channel itself stays: whoever feeds the command may take it up later.
	whole bool
}

func (d *dialogue) end() { d.once.Do(func() { close(d.stop) }) }

func (s *server) talk(conn net.Conn) {
	s.count(1)
	defer s.count(-1)
	g := &guest{server: s, wire: &wire{conn: conn}, open: map[uint64]*dialogue{}}
	defer g.leave()
	from := bufio.NewReaderSize(conn, 64<<10)
	for {
		asked, err := readRequest(from)
		if err != nil {
			return
		}
		switch asked.Op {
		case "cancel":
			g.cancel(asked.ID)
		case "stdin":
			if !g.pass(asked) {
				return
			}
		default:
			go g.serve(asked, g.begin(asked.ID))
		}
	}
}

func (g *guest) leave() {
	_ = g.wire.conn.Close()
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, one := range g.open {
		one.end()
	}
}

func (g *guest) begin(id uint64) *dialogue {
	made := &dialogue{stop: make(chan struct{}), input: make(chan []byte, piecesInHand)}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open[id] = made
	return made
}

func (g *guest) cancel(id uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if one := g.open[id]; one != nil {
		one.end()
	}
}

// Never blocks the connection: a sender that does not wait for its pieces to be taken is cut off.
func (g *guest) pass(asked *request) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	one := g.open[asked.ID]
	if one == nil || one.whole {
		return true
	}
	if len(asked.body) > 0 {
		select {
		case one.input <- asked.body:
		default:
			return false
		}
	}
	if asked.Last {
		close(one.input)
		one.whole = true
	}
	return true
}

func (g *guest) serve(asked *request, within *dialogue) {
	err := g.handle(asked, within)
	g.mu.Lock()
	delete(g.open, asked.ID)
	g.mu.Unlock()
	var no *refusal
	switch {
	case err == nil:
	case errors.As(err, &no):
		_ = g.wire.send(reply{ID: asked.ID, Kind: "refused", Code: no.code, Message: no.message}, nil)
	default:
		_ = g.wire.send(reply{ID: asked.ID, Kind: "refused", Code: "target.failed", Message: err.Error()}, nil)
	}
}

func (g *guest) handle(asked *request, within *dialogue) error {
	b, id := g.server.box, asked.ID
	switch asked.Op {
	case "hello":
		return g.wire.send(reply{ID: id, Kind: "done", Version: version}, nil)
	case "claim":
		g.server.claimed.Store(true)
		return g.wire.answer(id, nil)
	case "start":
		// Its output follows at once: who starts a command wants to hear it, and is spared a round trip.
		// What comes within a millisecond also says that it started.
		if err := b.start(asked); err != nil {
			return err
		}
		e := b.find(asked.Execution)
		if e.silentFor(time.Millisecond) {
			if err := g.wire.send(reply{ID: id, Kind: "taken"}, nil); err != nil {
				return err
			}
		}
		return e.follow(id, [2]int64{}, g.wire, within.stop)
	case "kill":
		return g.after(id, b.kill(asked.Execution))
	case "forget":
		return g.after(id, b.forget(asked.Execution))
	case "follow":
		e := b.find(asked.Execution)
		if e == nil {
			return refuse("target.execution_unknown", "this box never started "+asked.Execution)
		}
		return e.follow(id, [2]int64{asked.Stdout, asked.Stderr}, g.wire, within.stop)
	case "run":
		return b.run(asked, within.input, g.wire, within.stop)
	}
	b.files <- struct{}{}
	body, err := g.file(asked, within.stop)
	<-b.files
	if err != nil {
		return err
	}
	return g.wire.answer(id, body)
}

func (g *guest) after(id uint64, err error) error {
	if err != nil {
		return err
	}
	return g.wire.send(reply{ID: id, Kind: "done"}, nil)
}

func (g *guest) file(asked *request, stop <-chan struct{}) ([]byte, error) {
	in := g.server.box.root
	switch asked.Op {
	case "read":
		return in.read(asked.Path, asked.Limit)
	case "write":
		return nil, in.write(asked.Path, asked.body)
	case "glob":
		return in.glob(asked.Pattern, int(asked.Limit), stop)
	case "grep":
		return in.grep(asked.Pattern, asked.Path, asked.Glob, int(asked.Limit), stop)
	}
	return nil, refuse("target.unknown_request", "no such request: "+asked.Op)
}

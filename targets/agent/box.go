package main

import (
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"
)

const longest = 30 * 24 * time.Hour

var validID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,127}$`)

// Everything that PID 1 knows: the root, the executions that it ever started, and their processes.
type box struct {
	root   tree
	reaper *reaper
	files  chan struct{} // how many file operations may block a thread at once

	mu         sync.Mutex
	executions map[string]*execution
	sessions   map[int]*execution
}

func (b *box) find(id string) *execution {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.executions[id]
}

func (b *box) bySession(session int) *execution {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sessions[session]
}

// Claims the id before anything starts, so that two starts at once start one command. A start that
// failed gives the id back.
func (b *box) start(asked *request) error {
	if !validID.MatchString(asked.Execution) {
		return refuse("target.command_refused", "not an execution id")
	}
	b.mu.Lock()
	if known := b.executions[asked.Execution]; known != nil {
		b.mu.Unlock()
		known.running() // waits for the other start
		if b.find(asked.Execution) == known {
			return nil
		}
		return b.start(asked)
	}
	dir := filepath.Join(spool, asked.Execution)
	e, err := b.prepare(asked, dir)
	if err == nil {
		b.executions[e.id] = e
		e.mu.Lock()
	}
	b.mu.Unlock()
	if err != nil {
		return err
	}
	pid, ended, ends, err := b.launch(asked, len(asked.body) > 0)
	if err != nil {
		e.mu.Unlock()
		b.mu.Lock()
		delete(b.executions, e.id)
		b.mu.Unlock()
		e.drop()
		return err
	}
	b.begin(e, pid, asked)
	e.mu.Unlock()
	if ends.stdin != nil {
		go func() {
			_, _ = ends.stdin.Write(asked.body)
			_ = ends.stdin.Close()
		}()
	}
	go e.finish(ended, ends, [2]func([]byte) error{})
	return nil
}

func (b *box) prepare(asked *request, dir string) (*execution, error) {
	// A command could have made the folder, guessing the id; what is ours is known here, not there.
	_ = os.RemoveAll(dir)
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, refuse("target.spool_full", "no room to keep output: "+err.Error())
	}
	return newExecution(asked.Execution, dir, asked.OutputCap), nil
}

// The time limit is kept here: it holds with every worker dead.
func (b *box) begin(e *execution, pid int, asked *request) {
	e.pid, e.started = pid, time.Now()
	b.mu.Lock()
	b.sessions[pid] = e
	b.mu.Unlock()
	limit := time.Duration(min(max(asked.TimeoutMS, 1), longest.Milliseconds())) * time.Millisecond
	e.limit = time.AfterFunc(limit, func() {
		e.mu.Lock()
		e.timedOut = !e.over && !e.killed
		late := e.timedOut
		e.mu.Unlock()
		if late {
			_ = b.destroy(e)
		}
	})
}

// Returns when the command is gone with all that descends from it, also what it left behind.
func (b *box) kill(id string) error {
	e := b.find(id)
	if e == nil {
		return nil
	}
	e.mu.Lock()
	e.killed = e.killed || (!e.over && !e.timedOut)
	e.mu.Unlock()
	if err := b.destroy(e); err != nil {
		return err
	}
	<-e.gone
	return nil
}

func (b *box) forget(id string) error {
	e := b.find(id)
	if e == nil {
		return nil
	}
	e.mu.Lock()
	told := e.exit != nil
	e.mu.Unlock()
	if !told {
		return refuse("target.execution_running", id+" is still running")
	}
	<-e.gone // its exit is told a moment before it is written down
	e.drop()
	return nil
}

// Ends what finished commands left behind; the box is full of processes and a new one wants to start.
func (b *box) endLeftovers() bool {
	b.mu.Lock()
	var finished []*execution
	for _, e := range b.executions {
		select {
		case <-e.gone:
			finished = append(finished, e)
		default:
		}
	}
	b.mu.Unlock()
	ended := false
	for _, e := range finished {
		if left, err := b.members(e); err == nil && len(left) > 0 {
			ended = b.destroy(e) == nil || ended
		}
	}
	return ended
}

// A command that lives no longer than the request that runs it: nothing is spooled, its output goes
// straight to the connection, and it ends with the connection.
func (b *box) run(asked *request, input <-chan []byte, to *wire, stop <-chan struct{}) error {
	e := newExecution(asked.Execution, "", 0)
	pid, ended, ends, err := b.launch(asked, true)
	if err != nil {
		return err
	}
	e.mu.Lock()
	b.begin(e, pid, asked)
	e.mu.Unlock()
	b.mu.Lock()
	b.executions[e.id] = e
	b.mu.Unlock()
	defer b.end(e)
	go feed(asked.ID, ends.stdin, input, to, e.gone)
	var sent [2]int64
	var sinks [2]func([]byte) error
	for i := range sinks {
		sinks[i] = func(data []byte) error {
			said := reply{ID: asked.ID, Kind: "data", Stream: streamNames[i], Offset: sent[i]}
			sent[i] += int64(len(data))
			return to.send(said, data)
		}
	}
	go e.finish(ended, ends, sinks)
	select {
	case <-e.gone:
	case <-stop:
		return refuse("target.cancelled", "nobody waits for this command")
	}
	return to.send(reply{ID: asked.ID, Kind: "done", Exit: e.exit}, nil)
}

func (b *box) end(e *execution) {
	_ = b.destroy(e)
	<-e.gone
	b.mu.Lock()
	delete(b.executions, e.id)
	delete(b.sessions, e.pid)
	b.mu.Unlock()
}

// Each piece is answered when the command has taken it: that is the sender's back-pressure.
func feed(id uint64, stdin *os.File, input <-chan []byte, to *wire, gone <-chan struct{}) {
	defer stdin.Close()
	for {
		select {
		case <-gone:
			return
		case piece, more := <-input:
			if !more {
				return
			}
			_, _ = stdin.Write(piece)
			_ = to.send(reply{ID: id, Kind: "taken"}, nil)
		}
	}
}

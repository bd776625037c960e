package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

var streamNames = [2]string{"stdout", "stderr"}

type exitReport struct {
	ExitCode     *int   `json:"exit_code"`
	Signal       *int   `json:"signal"`
	TimedOut     bool   `json:"timed_out"`
	Killed       bool   `json:"killed"`
	StdoutBytes  int64  `json:"stdout_bytes"`
	StderrBytes  int64  `json:"stderr_bytes"`
	StdoutDigest string `json:"stdout_digest"`
	StderrDigest string `json:"stderr_digest"`
	DurationMS   int64  `json:"duration_ms"`
}

// One stream of a command: all of it is counted and digested, the first `limit` bytes are kept.
type stream struct {
	file        *os.File
	kept, total int64
	limit       int64
	digest      hash.Hash
}

func (s *stream) take(data []byte) {
	s.total += int64(len(data))
	s.digest.Write(data)
	if room := s.limit - s.kept; room > 0 && s.file != nil {
		written, err := s.file.WriteAt(data[:min(room, int64(len(data)))], s.kept)
		s.kept += int64(written)
		if err != nil {
			s.limit = s.kept // the spool is full: counted from here on, not kept
		}
	}
}

func (s *stream) sum() string { return "sha256:" + hex.EncodeToString(s.digest.Sum(nil)) }

// A command under its execution id. Its truth is here, in PID 1; the files in the spool are its memory.
type execution struct {
	id      string
	pid     int
	dir     string
	started time.Time
	limit   *time.Timer

	mu       sync.Mutex
	streams  [2]stream
	changed  chan struct{}
	over     bool // the command itself has ended
	timedOut bool
	killed   bool
	dropped  bool
	exit     *exitReport
	gone     chan struct{}
}

func newExecution(id, dir string, outputCap int64) (*execution, error) {
	e := &execution{id: id, dir: dir, changed: make(chan struct{}), gone: make(chan struct{})}
	for i := range e.streams {
		e.streams[i] = stream{limit: outputCap, digest: sha256.New()}
		if dir == "" {
			continue
		}
		file, err := os.OpenFile(filepath.Join(dir, streamNames[i]), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
		if err != nil {
			e.drop()
			return nil, err
		}
		e.streams[i].file = file
	}
	return e, nil
}

// Takes a stream until its command ends, then exactly what the pipe still holds. A process that the
// command left behind may go on writing: into nothing, and without a broken pipe.
func (e *execution) drain(index int, from *os.File, sink func([]byte) error) {
	buffer := make([]byte, 64<<10)
	for {
		size, err := from.Read(buffer)
		if size > 0 {
			e.took(index, buffer[:size], sink)
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			_ = from.Close()
			return
		}
		break
	}
	_ = from.SetReadDeadline(time.Time{})
	for waiting := unread(from); waiting > 0; {
		size, err := from.Read(buffer[:min(waiting, len(buffer))])
		if err != nil {
			break
		}
		e.took(index, buffer[:size], sink)
		waiting -= size
	}
	go func() {
		_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{from}, buffer[:4096])
		_ = from.Close()
	}()
}

func unread(from *os.File) (waiting int) {
	raw, err := from.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		var size int32
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, syscall.TIOCINQ, uintptr(unsafe.Pointer(&size))); errno == 0 {
			waiting = int(size)
		}
	})
	return waiting
}

func (e *execution) took(index int, data []byte, sink func([]byte) error) {
	e.mu.Lock()
	e.streams[index].take(data)
	e.tell()
	e.mu.Unlock()
	if sink != nil {
		_ = sink(data)
	}
}

func (e *execution) running() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return !e.over
}

func (e *execution) tell() {
	close(e.changed)
	e.changed = make(chan struct{})
}

// Waits for the command itself, not for what it left behind, and writes its exit.
func (e *execution) finish(ended <-chan syscall.WaitStatus, ends *pipes, sinks [2]func([]byte) error) {
	var drained sync.WaitGroup
	for i := range ends.out {
		drained.Add(1)
		go func() {
			defer drained.Done()
			e.drain(i, ends.out[i], sinks[i])
		}()
	}
	status := <-ended
	e.mu.Lock()
	e.over = true
	e.mu.Unlock()
	for _, from := range ends.out {
		_ = from.SetReadDeadline(time.Unix(1, 0))
	}
	drained.Wait()
	if e.limit != nil {
		e.limit.Stop()
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	report := &exitReport{
		TimedOut:     e.timedOut,
		Killed:       e.killed,
		StdoutBytes:  e.streams[0].total,
		StderrBytes:  e.streams[1].total,
		StdoutDigest: e.streams[0].sum(),
		StderrDigest: e.streams[1].sum(),
		DurationMS:   time.Since(e.started).Milliseconds(),
	}
	if status.Signaled() {
		signal := int(status.Signal())
		report.Signal = &signal
	} else {
		code := status.ExitStatus()
		report.ExitCode = &code
	}
	e.exit = report
	e.writeExit()
	e.tell()
	close(e.gone)
}

func (e *execution) writeExit() {
	if e.dir == "" {
		return
	}
	data, _ := json.Marshal(e.exit)
	temporary := filepath.Join(e.dir, "exit.part")
	if os.WriteFile(temporary, data, 0o600) == nil {
		_ = os.Rename(temporary, filepath.Join(e.dir, "exit"))
	}
}

func (e *execution) drop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.streams {
		if e.streams[i].file != nil {
			_ = e.streams[i].file.Close()
			e.streams[i].file = nil
		}
	}
	e.dropped = true
	if e.dir != "" {
		_ = os.RemoveAll(e.dir)
	}
}

// Streams from the given offsets, then live, then the exit.
func (e *execution) follow(id uint64, offsets [2]int64, to *wire, stop <-chan struct{}) error {
	buffer := make([]byte, chunk)
	for {
		e.mu.Lock()
		if e.dropped {
			e.mu.Unlock()
			return refuse("target.execution_forgotten", "the output of "+e.id+" was dropped")
		}
		kept := [2]int64{e.streams[0].kept, e.streams[1].kept}
		files := [2]*os.File{e.streams[0].file, e.streams[1].file}
		changed, exit := e.changed, e.exit
		e.mu.Unlock()
		sent := false
		for i := range kept {
			for offsets[i] < kept[i] {
				size, err := files[i].ReadAt(buffer[:min(int64(len(buffer)), kept[i]-offsets[i])], offsets[i])
				if size == 0 {
					return refuse("target.spool_damaged", "kept output is gone: "+err.Error())
				}
				said := reply{ID: id, Kind: "data", Stream: streamNames[i], Offset: offsets[i]}
				if err := to.send(said, buffer[:size]); err != nil {
					return err
				}
				offsets[i] += int64(size)
				sent = true
			}
		}
		switch {
		case sent:
			continue
		case exit != nil:
			return to.send(reply{ID: id, Kind: "done", Exit: exit}, nil)
		}
		select {
		case <-changed:
		case <-stop:
			return refuse("target.cancelled", "nobody follows any more")
		}
	}
}

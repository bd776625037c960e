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
	path        string
	file        *os.File
	kept, total int64
	limit       int64
	digest      hash.Hash
}

func (s *stream) take(data []byte) {
	s.total += int64(len(data))
	s.digest.Write(data)
	room := s.limit - s.kept
	if room <= 0 {
		return
	}
	var err error
	if s.file == nil {
		s.file, err = os.OpenFile(s.path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	}
	if err == nil {
		var written int
		written, err = s.file.WriteAt(data[:min(room, int64(len(data)))], s.kept)
		s.kept += int64(written)
	}
	if err != nil {
		s.limit = s.kept // the spool is full: counted from here on, not kept
	}
}

func (s *stream) close() {
	if s.file != nil {
		_ = s.file.Close()
		s.file = nil
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

func newExecution(id, dir string, outputCap int64) *execution {
	e := &execution{id: id, dir: dir, changed: make(chan struct{}), gone: make(chan struct{})}
	for i := range e.streams {
		path := filepath.Join(dir, streamNames[i])
		e.streams[i] = stream{path: path, limit: outputCap, digest: sha256.New()}
	}
	return e
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
	report := e.report(status)
	e.mu.Lock()
	e.exit = report
	for i := range e.streams {
		e.streams[i].close() // a fork copies the table of our open files, so none is kept for long
	}
	e.tell()
	e.mu.Unlock()
	e.writeExit(report)
	close(e.gone)
}

func (e *execution) report(status syscall.WaitStatus) *exitReport {
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
	return report
}

func (e *execution) writeExit(report *exitReport) {
	if e.dir == "" {
		return
	}
	data, _ := json.Marshal(report)
	temporary := filepath.Join(e.dir, "exit.part")
	if os.WriteFile(temporary, data, 0o600) == nil {
		_ = os.Rename(temporary, filepath.Join(e.dir, "exit"))
	}
}

func (e *execution) drop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.streams {
		e.streams[i].close()
		e.streams[i].digest = nil
	}
	e.dropped = true
	if e.dir != "" {
		_ = os.RemoveAll(e.dir)
	}
}

// What one follower has open, and how far it is.
type follower struct {
	of      *execution
	files   [2]*os.File
	offsets [2]int64
	buffer  []byte
}

func (f *follower) close() {
	for _, file := range f.files {
		if file != nil {
			_ = file.Close()
		}
	}
}

// Sends what is kept of a stream and not yet sent.
func (f *follower) send(id uint64, index int, kept int64, to *wire) error {
	for f.offsets[index] < kept {
		if f.files[index] == nil {
			file, err := os.OpenFile(f.of.streams[index].path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
			if err != nil {
				return refuse("target.spool_damaged", "kept output is gone: "+err.Error())
			}
			f.files[index] = file
		}
		if f.buffer == nil {
			f.buffer = make([]byte, min(int64(chunk), max(kept-f.offsets[index], 4096)))
		}
		part := f.buffer[:min(int64(len(f.buffer)), kept-f.offsets[index])]
		size, err := f.files[index].ReadAt(part, f.offsets[index])
		if size == 0 {
			return refuse("target.spool_damaged", "kept output is gone: "+err.Error())
		}
		said := reply{ID: id, Kind: "data", Stream: streamNames[index], Offset: f.offsets[index]}
		if err := to.send(said, part[:size]); err != nil {
			return err
		}
		f.offsets[index] += int64(size)
	}
	return nil
}

// Whether a follower would hear nothing for so long.
func (e *execution) silentFor(limit time.Duration) bool {
	late := time.After(limit)
	for {
		e.mu.Lock()
		kept := e.streams[0].kept + e.streams[1].kept
		changed, spoken := e.changed, !e.dropped && (e.exit != nil || kept > 0)
		e.mu.Unlock()
		if spoken {
			return false
		}
		select {
		case <-changed:
		case <-late:
			return true
		}
	}
}

// Streams from the given offsets, then live, then the exit.
func (e *execution) follow(id uint64, offsets [2]int64, to *wire, stop <-chan struct{}) error {
	f := &follower{of: e, offsets: offsets}
	defer f.close()
	for {
		e.mu.Lock()
		dropped, changed, exit := e.dropped, e.changed, e.exit
		kept := [2]int64{e.streams[0].kept, e.streams[1].kept}
		e.mu.Unlock()
		if dropped {
			return refuse("target.execution_forgotten", "the output of "+e.id+" was dropped")
		}
		for i := range kept {
			if err := f.send(id, i, kept[i], to); err != nil {
				return err
			}
		}
		if exit != nil {
			return to.send(reply{ID: id, Kind: "done", Exit: exit}, nil)
		}
		select {
		case <-changed:
		case <-stop:
			return refuse("target.cancelled", "nobody follows any more")
		}
	}
}

package main

import (
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// The one place where children are born and buried. PID 1 inherits every orphan of the box, so nobody
// else may wait for a child.
type reaper struct {
	mu      sync.Mutex
	mains   map[int]chan<- syscall.WaitStatus
	oom     *os.File
	signals chan os.Signal
	born    chan struct{}
}

func newReaper() (*reaper, error) {
	// Opened before we become undumpable: afterwards the file belongs to root.
	oom, err := os.OpenFile("/proc/self/oom_score_adj", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	r := &reaper{
		mains:   map[int]chan<- syscall.WaitStatus{},
		oom:     oom,
		signals: make(chan os.Signal, 64),
		born:    make(chan struct{}, 1),
	}
	// Every signal is taken, or one that a command sends would end us by the runtime's own default.
	signal.Notify(r.signals)
	go r.bury()
	return r, nil
}

// Commands are the first that a full box loses: the child inherits the score that we wear for the fork.
func (r *reaper) spawn(path string, argv []string, attr *syscall.ProcAttr) (int, <-chan syscall.WaitStatus, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	before := make([]byte, 16)
	size, err := r.oom.ReadAt(before, 0)
	if size > 0 {
		_, _ = r.oom.WriteAt([]byte("1000"), 0)
		defer func() { _, _ = r.oom.WriteAt(before[:size], 0) }()
	} else if err != nil {
		return 0, nil, err
	}
	pid, err := syscall.ForkExec(path, argv, attr)
	if err != nil {
		return 0, nil, err
	}
	ended := make(chan syscall.WaitStatus, 1)
	r.mains[pid] = ended
	select {
	case r.born <- struct{}{}:
	default:
	}
	return pid, ended, nil
}

func (r *reaper) isMain(pid int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, found := r.mains[pid]
	return found
}

func (r *reaper) bury() {
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		if err == syscall.ECHILD {
			select {
			case <-r.born:
			case <-r.signals:
			}
			continue
		}
		if err != nil || pid <= 0 {
			continue
		}
		r.mu.Lock()
		ended := r.mains[pid]
		delete(r.mains, pid)
		r.mu.Unlock()
		if ended != nil {
			ended <- status
		}
	}
}

// The agent of a box: one static binary, mounted read-only, that is the box's first process (`init`),
// a worker's way in (`attach`) and the probe of the box's walls (`posture`).
package main

import (
	"fmt"
	"os"
	"runtime"
	"sync"
	"syscall"
)

const (
	root    = "/workspace"
	spool   = "/spool"
	address = "@rhone-agent" // an abstract socket: no command can unlink it, and PID 1 binds it first
	version = 1
)

func main() {
	mode := ""
	if len(os.Args) > 1 {
		mode = os.Args[1]
	}
	var err error
	switch mode {
	case "init":
		err = serve(len(os.Args) > 2 && os.Args[2] == "--pooled")
	case "attach":
		err = attach()
	case "posture":
		err = posture()
	default:
		err = fmt.Errorf("usage: agent init [--pooled] | attach | posture")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

const (
	prSetDumpable     = 4
	prSetMMNotDumped  = 0
	threadsKeptInHand = 12
)

// Commands run under our uid: an undumpable process is one that they can neither trace nor read.
func hideFromCommands() error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetDumpable, prSetMMNotDumped, 0); errno != 0 {
		return errno
	}
	return nil
}

// The runtime never ends a thread that it has made, and a box at its process limit grants no new one:
// what the busiest moment needs is made before the first command.
func keepThreadsInHand(count int) {
	runtime.GOMAXPROCS(2)
	var ready, done sync.WaitGroup
	release := make(chan struct{})
	ready.Add(count)
	done.Add(count)
	for range count {
		go func() {
			runtime.LockOSThread()
			ready.Done()
			<-release
			runtime.UnlockOSThread()
			done.Done()
		}()
	}
	ready.Wait()
	close(release)
	done.Wait()
}

package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	tagName   = "RHONE_EXECUTION"
	maxSweeps = 500
)

type process struct {
	pid, parent, session int
	state                byte
}

func (p process) alive() bool { return p.state != 'Z' && p.state != 'X' }

func parseStat(data []byte) (process, bool) {
	open, end := bytes.IndexByte(data, '('), bytes.LastIndexByte(data, ')')
	if open < 2 || end < 0 {
		return process{}, false
	}
	fields := strings.Fields(string(data[end+1:]))
	if len(fields) < 4 {
		return process{}, false
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(data[:open])))
	parent, _ := strconv.Atoi(fields[1])
	session, _ := strconv.Atoi(fields[3])
	return process{pid, parent, session, fields[0][0]}, true
}

func processes() ([]process, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	var all []process
	for _, name := range names {
		if name[0] < '1' || name[0] > '9' {
			continue
		}
		data, err := os.ReadFile("/proc/" + name + "/stat")
		if err != nil {
			continue
		}
		if found, ok := parseStat(data); ok {
			all = append(all, found)
		}
	}
	return all, nil
}

// What descends from a command. `setsid` leaves the session and a double fork leaves the parent, but
// never the box: an orphan comes to PID 1, and is known by its session or by the execution id in its
// environment. One that shed both could be anybody's, and goes with the first command that is killed.
func (b *box) members(of *execution) ([]process, error) {
	all, err := processes()
	if err != nil {
		return nil, err
	}
	running := of.running()
	children := map[int][]process{}
	for _, one := range all {
		children[one.parent] = append(children[one.parent], one)
	}
	var found []process
	var take func(one process)
	take = func(one process) {
		found = append(found, one)
		for _, child := range children[one.pid] {
			take(child)
		}
	}
	for _, one := range children[1] {
		if (running && one.pid == of.pid) || (!b.reaper.isMain(one.pid) && b.ownerOf(one, of) == of) {
			take(one)
		}
	}
	return found, nil
}

func (b *box) ownerOf(orphan process, otherwise *execution) *execution {
	if owner := b.bySession(orphan.session); owner != nil {
		return owner
	}
	environment, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", orphan.pid))
	for _, pair := range bytes.Split(environment, []byte{0}) {
		if id, ok := bytes.CutPrefix(pair, []byte(tagName+"=")); ok {
			if owner := b.find(string(id)); owner != nil {
				return owner
			}
		}
	}
	return otherwise
}

// Ends all of it. Everything is stopped before anything is killed, or a fork bomb outruns us.
func (b *box) destroy(of *execution) error {
	deadline := time.Now().Add(30 * time.Second)
	pause := 200 * time.Microsecond
	for time.Now().Before(deadline) {
		left, err := b.stopAll(of)
		if err != nil {
			return err
		}
		if len(left) == 0 {
			return nil
		}
		for _, one := range left {
			_ = syscall.Kill(one.pid, syscall.SIGKILL)
		}
		time.Sleep(pause)
		pause = min(2*pause, 5*time.Millisecond)
	}
	return refuse("target.kill_incomplete", "processes of the command did not end")
}

func (b *box) stopAll(of *execution) ([]process, error) {
	stopped := map[int]bool{}
	for sweep := 0; ; sweep++ {
		members, err := b.members(of)
		if err != nil {
			return nil, err
		}
		var living []process
		fresh := false
		for _, one := range members {
			if !one.alive() {
				continue
			}
			living = append(living, one)
			if !stopped[one.pid] {
				stopped[one.pid], fresh = true, true
				_ = syscall.Kill(one.pid, syscall.SIGSTOP)
			}
		}
		if !fresh || sweep == maxSweeps {
			return living, nil
		}
	}
}

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// What a command sees of the environment: the image's own, then what it was given. Nothing of a host.
func environment(id string, given map[string]string) []string {
	merged := map[string]string{
		"PATH": "/usr/local/bin:/usr/bin:/bin",
		"LANG": "C.UTF-8",
	}
	for _, pair := range os.Environ() {
		if name, value, ok := strings.Cut(pair, "="); ok {
			merged[name] = value
		}
	}
	merged["HOME"] = "/home/agent"
	delete(merged, "HOSTNAME")
	for name, value := range given {
		merged[name] = value
	}
	merged[tagName] = id
	pairs := make([]string, 0, len(merged))
	for name, value := range merged {
		pairs = append(pairs, name+"="+value)
	}
	return pairs
}

func lookUp(name string, environment []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, pair := range environment {
		if path, ok := strings.CutPrefix(pair, "PATH="); ok {
			for _, dir := range filepath.SplitList(path) {
				candidate := filepath.Join(dir, name)
				found, err := os.Stat(candidate)
				if err == nil && found.Mode().IsRegular() && found.Mode()&0o111 != 0 {
					return candidate, nil
				}
			}
		}
	}
	return "", refuse("target.command_not_found", "there is no command "+name)
}

// The three ends that a command holds; ours are made non-blocking so that the runtime's poller has them.
type pipes struct {
	theirs [3]int
	stdin  *os.File
	out    [2]*os.File
}

func openPipes(withInput bool) (*pipes, error) {
	made := &pipes{theirs: [3]int{-1, -1, -1}}
	var err error
	if withInput {
		made.stdin, made.theirs[0], err = pipe(false)
	} else {
		made.theirs[0], err = syscall.Open("/dev/null", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	}
	for i := 0; err == nil && i < 2; i++ {
		made.out[i], made.theirs[i+1], err = pipe(true)
	}
	if err != nil {
		made.closeTheirs()
		made.closeOurs()
		return nil, err
	}
	return made, nil
}

func pipe(weRead bool) (*os.File, int, error) {
	var ends [2]int
	if err := syscall.Pipe2(ends[:], syscall.O_CLOEXEC); err != nil {
		return nil, -1, err
	}
	ours, theirs := ends[1], ends[0]
	if weRead {
		ours, theirs = ends[0], ends[1]
	}
	if err := syscall.SetNonblock(ours, true); err != nil {
		return nil, -1, err
	}
	return os.NewFile(uintptr(ours), "pipe"), theirs, nil
}

func (p *pipes) closeTheirs() {
	for _, end := range p.theirs {
		if end >= 0 {
			_ = syscall.Close(end)
		}
	}
}

func (p *pipes) closeOurs() {
	for _, end := range []*os.File{p.stdin, p.out[0], p.out[1]} {
		if end != nil {
			_ = end.Close()
		}
	}
}

// Starts the process in a session of its own, in a folder that is inside the root by the kernel's word.
func (b *box) launch(asked *request, withInput bool) (int, <-chan syscall.WaitStatus, *pipes, error) {
	if len(asked.Argv) == 0 {
		return 0, nil, nil, refuse("target.command_refused", "an empty command")
	}
	dir, err := b.root.open(asked.Cwd, opathFlag|syscall.O_DIRECTORY, 0)
	if err != nil {
		return 0, nil, nil, named(err, asked.Cwd)
	}
	defer syscall.Close(dir)
	env := environment(asked.Execution, asked.Env)
	path, err := lookUp(asked.Argv[0], env)
	if err != nil {
		return 0, nil, nil, err
	}
	ends, err := openPipes(withInput)
	if err != nil {
		return 0, nil, nil, err
	}
	defer ends.closeTheirs()
	attr := &syscall.ProcAttr{
		Dir:   fdPath(dir),
		Env:   env,
		Files: []uintptr{uintptr(ends.theirs[0]), uintptr(ends.theirs[1]), uintptr(ends.theirs[2])},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	}
	pid, ended, err := b.reaper.spawn(path, asked.Argv, attr)
	if errors.Is(err, syscall.EAGAIN) && b.endLeftovers() {
		pid, ended, err = b.reaper.spawn(path, asked.Argv, attr)
	}
	if err != nil {
		ends.closeOurs()
		return 0, nil, nil, cannotStart(asked.Argv[0], err)
	}
	return pid, ended, ends, nil
}

func cannotStart(name string, err error) error {
	switch {
	case errors.Is(err, syscall.EAGAIN):
		return refuse("target.processes_exhausted", "the box is at its process limit")
	case errors.Is(err, syscall.ENOENT):
		return refuse("target.command_not_found", "there is no command "+name)
	}
	return refuse("target.command_refused", name+": "+err.Error())
}

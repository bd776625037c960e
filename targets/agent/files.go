package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path"
	"strconv"
	"strings"
	"syscall"
	"unsafe"
)

const (
	sysOpenat2        = 437
	resolveNoXDev     = 0x01
	resolveNoMagic    = 0x02
	resolveBeneath    = 0x08
	opathFlag         = 0x200000
	racesBeforeGiveUp = 128
)

// Files that tools on somebody's machine run or obey; a box's shell may write them, the file tools do
// not, and no host ever runs them.
var protected = map[string]bool{
	".git": true, ".vscode": true, ".idea": true, ".claude": true, ".cursor": true, ".codex": true,
	".gemini": true, ".opencode": true, ".mcp.json": true, ".envrc": true,
}

// A folder that the kernel keeps every lookup beneath, whatever is renamed or linked meanwhile.
type tree struct {
	fd   int
	name string
}

func openTree(name string) (tree, error) {
	fd, err := syscall.Open(name, opathFlag|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
	return tree{fd, name}, err
}

func (t tree) open(name string, flags int, mode uint32) (int, error) {
	if name == "" {
		name = "."
	}
	pointer, err := syscall.BytePtrFromString(name)
	if err != nil {
		return -1, refuse("target.path_refused", "a path with a zero byte")
	}
	how := struct{ flags, mode, resolve uint64 }{
		uint64(flags | syscall.O_CLOEXEC), uint64(mode), resolveNoXDev | resolveNoMagic | resolveBeneath,
	}
	for range racesBeforeGiveUp {
		fd, _, errno := syscall.Syscall6(sysOpenat2, uintptr(t.fd), uintptr(unsafe.Pointer(pointer)),
			uintptr(unsafe.Pointer(&how)), unsafe.Sizeof(how), 0, 0)
		switch errno {
		case 0:
			return int(fd), nil
		case syscall.EAGAIN, syscall.EINTR:
			continue
		default:
			return -1, errno
		}
	}
	return -1, syscall.EXDEV
}

func named(err error, name string) error {
	code := map[syscall.Errno]string{
		syscall.ENOENT: "target.not_found", syscall.ENOTDIR: "target.not_found",
		syscall.EXDEV: "target.path_refused", syscall.ELOOP: "target.path_refused",
		syscall.ENOSYS: "target.path_refused", syscall.EPERM: "target.path_refused",
		syscall.ENAMETOOLONG: "target.path_refused", syscall.EINVAL: "target.path_refused",
		syscall.EISDIR: "target.not_a_file", syscall.ENXIO: "target.not_a_file",
		syscall.EACCES: "target.permission_denied",
		syscall.ENOSPC: "target.disk_full", syscall.EDQUOT: "target.disk_full",
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err
	}
	if found, ok := code[errno]; ok {
		return refuse(found, name+": "+errno.Error())
	}
	return refuse("target.file_failed", name+": "+errno.Error())
}

// Opens a regular file; a pipe or a socket in its place must not hold us.
func (t tree) regular(name string, flags int) (*os.File, error) {
	fd, err := t.open(name, flags|syscall.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, named(err, name)
	}
	var found syscall.Stat_t
	if err := syscall.Fstat(fd, &found); err != nil || found.Mode&syscall.S_IFMT != syscall.S_IFREG {
		_ = syscall.Close(fd)
		return nil, refuse("target.not_a_file", name+" is not a regular file")
	}
	return os.NewFile(uintptr(fd), name), nil
}

func (t tree) read(name string, limit int64) ([]byte, error) {
	file, err := t.regular(name, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, limit))
	if err != nil {
		return nil, named(err, name)
	}
	return data, nil
}

// Writes beside the file and renames over it, so that a reader sees all of one or all of the other.
func (t tree) write(name string, content []byte) error {
	name, dir, err := t.destination(name)
	if err != nil {
		return err
	}
	defer syscall.Close(dir)
	mode := uint32(0o644)
	last := path.Base(name)
	var found syscall.Stat_t
	if err := fstatat(dir, last, &found); err == nil {
		if found.Mode&syscall.S_IFMT != syscall.S_IFREG {
			return refuse("target.not_a_file", name+" is not a regular file")
		}
		mode = found.Mode & 0o777
	}
	return replace(dir, last, content, mode)
}

func replace(dir int, last string, content []byte, mode uint32) error {
	var random [8]byte
	_, _ = rand.Read(random[:])
	temporary := ".rhone-" + hex.EncodeToString(random[:])
	flags := syscall.O_WRONLY | syscall.O_CREAT | syscall.O_EXCL | syscall.O_NOFOLLOW | syscall.O_CLOEXEC
	fd, err := syscall.Openat(dir, temporary, flags, 0o600)
	if err != nil {
		return named(err, last)
	}
	file := os.NewFile(uintptr(fd), temporary)
	_, err = file.Write(content)
	if err == nil {
		err = syscall.Fchmod(fd, mode)
	}
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = syscall.Renameat(dir, temporary, dir, last)
	}
	if err != nil {
		_ = syscall.Unlinkat(dir, temporary)
		return named(err, last)
	}
	return nil
}

// The folder that a path ends in, made where it is missing, and the path with its last link followed:
// writing through a link changes what it points to, beneath the root.
func (t tree) destination(name string) (string, int, error) {
	for range 16 {
		last := path.Base(name)
		if last == "." || last == ".." || last == "/" {
			return "", -1, refuse("target.not_a_file", name+" is a folder")
		}
		dir, err := t.folder(path.Dir(name))
		if err != nil {
			return "", -1, named(err, name)
		}
		if err := t.unprotected(dir, last); err != nil {
			_ = syscall.Close(dir)
			return "", -1, err
		}
		target, err := readlinkat(dir, last)
		if err != nil {
			return name, dir, nil
		}
		_ = syscall.Close(dir)
		if path.IsAbs(target) {
			return "", -1, refuse("target.path_refused", name+" links out of the work tree")
		}
		name = path.Dir(name) + "/" + target
	}
	return "", -1, refuse("target.path_refused", name+" is a loop of links")
}

func (t tree) folder(name string) (int, error) {
	fd, err := t.open(name, opathFlag|syscall.O_DIRECTORY, 0)
	if err != syscall.ENOENT || name == "." {
		return fd, err
	}
	above, err := t.folder(path.Dir(name))
	if err != nil {
		return -1, err
	}
	err = syscall.Mkdirat(above, path.Base(name), 0o755)
	_ = syscall.Close(above)
	if err != nil && err != syscall.EEXIST {
		return -1, err
	}
	return t.open(name, opathFlag|syscall.O_DIRECTORY, 0)
}

// Asked of the folder as the kernel sees it, so that a link does not hide it.
func (t tree) unprotected(dir int, last string) error {
	where, err := os.Readlink(fdPath(dir))
	if err != nil {
		return err
	}
	within := strings.TrimPrefix(where, t.name)
	for _, part := range strings.Split(within+"/"+last, "/") {
		if protected[strings.ToLower(part)] {
			return refuse("target.path_protected", "the file tools do not write "+part+"; use the shell")
		}
	}
	return nil
}

func fdPath(fd int) string { return "/proc/self/fd/" + strconv.Itoa(fd) }

func readlinkat(dir int, name string) (string, error) {
	pointer, err := syscall.BytePtrFromString(name)
	if err != nil {
		return "", err
	}
	buffer := make([]byte, 4096)
	size, _, errno := syscall.Syscall6(syscall.SYS_READLINKAT, uintptr(dir), uintptr(unsafe.Pointer(pointer)),
		uintptr(unsafe.Pointer(&buffer[0])), uintptr(len(buffer)), 0, 0)
	if errno != 0 {
		return "", errno
	}
	return string(buffer[:size]), nil
}

func fstatat(dir int, name string, found *syscall.Stat_t) error {
	fd, err := syscall.Openat(dir, name, opathFlag|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	return syscall.Fstat(fd, found)
}

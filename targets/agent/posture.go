package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

type finding struct {
	Held  bool   `json:"held"`
	Found string `json:"found"`
}

const (
	readOnlyMount = 0x01
	noSetuid      = 0x02
	noDevices     = 0x04
	tmpfsMagic    = 0x01021994
	newUser       = 0x10000000
	newMount      = 0x00020000
)

// What the walls are like from inside, each check by name: it tries what must fail.
func posture() error {
	status := statusFields()
	checks := map[string]finding{}
	for name, field := range map[string]string{
		"no_effective_capabilities": "CapEff", "no_permitted_capabilities": "CapPrm",
		"no_bounding_capabilities": "CapBnd",
	} {
		checks[name] = finding{strings.Trim(status[field], "0") == "" && status[field] != "", status[field]}
	}
	inherited := status["CapInh"] + status["CapAmb"]
	checks["no_inherited_capabilities"] = finding{strings.Trim(inherited, "0") == "" && inherited != "", inherited}
	checks["no_new_privileges"] = finding{status["NoNewPrivs"] == "1", status["NoNewPrivs"]}
	checks["seccomp_filter"] = finding{status["Seccomp"] == "2", status["Seccomp"]}
	checks["not_the_root_user"] = finding{!holdsZero(status["Uid"]), status["Uid"]}
	groups := status["Gid"] + " " + status["Groups"]
	checks["not_the_root_group"] = finding{!holdsZero(groups), groups}
	for name, check := range map[string]func() (bool, string){
		"root_is_read_only":                rootIsReadOnly,
		"agent_is_read_only":               agentIsReadOnly,
		"workspace_is_a_bounded_tmpfs":     func() (bool, string) { return boundedTmpfs(root) },
		"spool_is_a_bounded_tmpfs":         func() (bool, string) { return boundedTmpfs(spool) },
		"only_the_loopback":                onlyLoopback,
		"no_way_out":                       noWayOut,
		"no_engine_socket":                 noEngineSocket,
		"own_process_namespace":            ownProcesses,
		"first_process_is_hidden":          firstIsHidden,
		"mount_is_refused":                 func() (bool, string) { return denied(syscall.Mount("none", "/tmp", "tmpfs", 0, "")) },
		"namespaces_are_refused":           namespacesRefused,
		"becoming_root_is_refused":         func() (bool, string) { return denied(rawSetuid()) },
		"kernel_settings_are_read_only":    func() (bool, string) { return unwritable("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger") },
		"kernel_memory_is_masked":          func() (bool, string) { return masked("/proc/kcore", "/proc/keys", "/proc/timer_list") },
		"system_files_are_read_only":       systemReadOnly,
		"no_devices":                       noDeviceNodes,
		"memory_and_processes_are_limited": limited,
	} {
		held, found := check()
		checks[name] = finding{held, found}
	}
	return json.NewEncoder(os.Stdout).Encode(checks)
}

func statusFields() map[string]string {
	data, _ := os.ReadFile("/proc/self/status")
	fields := map[string]string{}
	for _, line := range strings.Split(string(data), "\n") {
		if name, value, ok := strings.Cut(line, ":"); ok {
			fields[name] = strings.TrimSpace(value)
		}
	}
	return fields
}

func holdsZero(ids string) bool {
	for _, id := range strings.Fields(ids) {
		if id == "0" {
			return true
		}
	}
	return strings.TrimSpace(ids) == ""
}

func denied(err error) (bool, string) {
	refused := errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.EACCES) || errors.Is(err, syscall.EROFS)
	return refused, fmt.Sprint(err)
}

func rootIsReadOnly() (bool, string) {
	file, err := os.OpenFile("/rhone-probe", os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_ = file.Close()
	}
	var mount syscall.Statfs_t
	_ = syscall.Statfs("/", &mount)
	return err != nil && mount.Flags&readOnlyMount != 0, fmt.Sprint(err)
}

func agentIsReadOnly() (bool, string) {
	var mount syscall.Statfs_t
	if err := syscall.Statfs(os.Args[0], &mount); err != nil {
		return false, err.Error()
	}
	return mount.Flags&readOnlyMount != 0, fmt.Sprintf("flags %#x", mount.Flags)
}

func boundedTmpfs(name string) (bool, string) {
	var mount, above syscall.Stat_t
	var found syscall.Statfs_t
	if syscall.Stat(name, &mount) != nil || syscall.Stat("/", &above) != nil || syscall.Statfs(name, &found) != nil {
		return false, "not there"
	}
	bounded := found.Type == tmpfsMagic && mount.Dev != above.Dev && found.Blocks > 0 && found.Files > 0
	safe := found.Flags&noSetuid != 0 && found.Flags&noDevices != 0
	return bounded && safe, fmt.Sprintf("%d MiB, %d files", found.Blocks*uint64(found.Bsize)>>20, found.Files)
}

func onlyLoopback() (bool, string) {
	links, err := net.Interfaces()
	names := []string{}
	for _, link := range links {
		names = append(names, link.Name)
	}
	return err == nil && len(names) == 1 && names[0] == "lo", strings.Join(names, " ")
}

func noWayOut() (bool, string) {
	conn, err := net.DialTimeout("tcp", "192.0.2.1:80", 2*time.Second)
	if err == nil {
		_ = conn.Close()
	}
	return errors.Is(err, syscall.ENETUNREACH), fmt.Sprint(err)
}

func noEngineSocket() (bool, string) {
	for _, pattern := range []string{"/run/*.sock", "/var/run/*.sock", "/run/*/*.sock", "/var/run/*/*.sock"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return false, strings.Join(found, " ")
		}
	}
	return true, "none"
}

func ownProcesses() (bool, string) {
	line, err := os.ReadFile("/proc/1/cmdline")
	first, _, _ := strings.Cut(string(line), "\x00")
	return err == nil && first == os.Args[0], first
}

func firstIsHidden() (bool, string) {
	for _, name := range []string{"mem", "environ", "fd", "maps"} {
		file, err := os.Open("/proc/1/" + name)
		if err == nil {
			_ = file.Close()
			return false, name + " opens"
		}
	}
	return denied(syscall.PtraceAttach(1))
}

func namespacesRefused() (bool, string) {
	for _, flag := range []uintptr{newUser, newMount} {
		attr := &syscall.ProcAttr{Sys: &syscall.SysProcAttr{Cloneflags: flag}}
		pid, err := syscall.ForkExec(os.Args[0], []string{os.Args[0]}, attr)
		if err == nil {
			_, _ = syscall.Wait4(pid, nil, 0, nil)
			return false, fmt.Sprintf("%#x", flag)
		}
		if held, found := denied(err); !held {
			return false, found
		}
	}
	return true, "refused"
}

func rawSetuid() error {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETUID, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

func unwritable(names ...string) (bool, string) {
	for _, name := range names {
		file, err := os.OpenFile(name, os.O_WRONLY, 0)
		if err == nil {
			_ = file.Close()
			return false, name + " opens for writing"
		}
	}
	return true, "refused"
}

func masked(names ...string) (bool, string) {
	for _, name := range names {
		file, err := os.Open(name)
		if err != nil {
			continue
		}
		size, _ := file.Read(make([]byte, 1))
		_ = file.Close()
		if size > 0 {
			return false, name + " is readable"
		}
	}
	return true, "nothing to read"
}

func systemReadOnly() (bool, string) {
	var mount syscall.Statfs_t
	if err := syscall.Statfs("/sys", &mount); err != nil {
		return true, "not mounted"
	}
	firmware, _ := os.ReadDir("/sys/firmware")
	return mount.Flags&readOnlyMount != 0 && len(firmware) == 0, fmt.Sprintf("flags %#x", mount.Flags)
}

func noDeviceNodes() (bool, string) {
	entries, err := os.ReadDir("/dev")
	if err != nil {
		return false, err.Error()
	}
	harmless := map[string]bool{"null": true, "zero": true, "full": true, "random": true, "urandom": true,
		"tty": true, "ptmx": true, "console": true}
	for _, entry := range entries {
		if entry.Type()&os.ModeDevice != 0 && !harmless[entry.Name()] {
			return false, entry.Name()
		}
	}
	return denied(syscall.Mknod("/tmp/rhone-probe", syscall.S_IFBLK|0o600, 0x0801))
}

func limited() (bool, string) {
	found := []string{}
	for _, either := range [][2]string{
		{"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"},
		{"/sys/fs/cgroup/pids.max", "/sys/fs/cgroup/pids/pids.max"},
	} {
		data, err := os.ReadFile(either[0])
		if err != nil {
			data, err = os.ReadFile(either[1])
		}
		limit := strings.TrimSpace(string(data))
		if err != nil || limit == "max" || len(limit) > 15 {
			return false, either[0] + ": " + limit
		}
		found = append(found, limit)
	}
	return true, strings.Join(found, " ")
}

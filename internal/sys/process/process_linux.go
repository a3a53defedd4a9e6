package process

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"samepage/internal/forgotten"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// myself is the result of Myself.
var myself atomic.Pointer[layout.Process]

// Myself returns the identity of this process. After one success it never fails again.
func Myself() (layout.Process, error) {
	if p := myself.Load(); p != nil {
		return *p, nil
	}
	// The path has "self", because /proc may belong to another pid namespace.
	_, start, err := stat("self")
	if err != nil {
		return layout.Process{}, fmt.Errorf("name this process: %w", err)
	}
	p := layout.Process{PID: uint32(os.Getpid()), Start: start}
	myself.Store(&p)
	return p, nil
}

// Self returns the identity of this process, see Myself.
func Self() layout.Process {
	p, _ := Myself()
	return p
}

// Find returns the identity of a running process. Errors: ErrPeerNotStarted; fs.ErrPermission, if
// the caller has no rights on the process.
func Find(pid int) (layout.Process, error) {
	if pid <= 0 {
		return layout.Process{}, fmt.Errorf("process %d: %w", pid, syserr.ErrPeerNotStarted)
	}
	switch err := unix.Kill(pid, 0); err {
	case nil:
	case unix.EPERM:
		return layout.Process{}, fmt.Errorf("process %d belongs to another user: %w (%w)", pid, fs.ErrPermission, err)
	default:
		return layout.Process{}, fmt.Errorf("process %d: %w (%w)", pid, syserr.ErrPeerNotStarted, err)
	}
	state, start, err := stat(strconv.Itoa(pid))
	if err != nil {
		return layout.Process{}, err
	}
	if state == 'Z' || state == 'X' {
		return layout.Process{}, fmt.Errorf("process %d has ended: %w", pid, syserr.ErrPeerNotStarted)
	}
	return layout.Process{PID: uint32(pid), Start: start}, nil
}

// stat returns the state of a process, which is the state of its first thread, and the time of its
// start. Errors: ErrPeerNotStarted.
func stat(pid string) (state byte, start uint64, err error) {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ESRCH):
		return 0, 0, fmt.Errorf("process %s: %w: %w", pid, syserr.OnlyNumber(err), syserr.ErrPeerNotStarted)
	case err != nil: // an error that says nothing about the process
		return 0, 0, fmt.Errorf("process %s: %w", pid, syserr.OfFile(err))
	}
	// proc(5): the name in brackets may have any characters; field 3 is the state, field 22 the
	// start in clock ticks since boot.
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(f) < 20 {
		return 0, 0, fmt.Errorf("process %s: /proc has %q: %w", pid, b, errors.ErrUnsupported)
	}
	start, err = strconv.ParseUint(string(f[19]), 10, 64)
	return f[0][0], start, err
}

// Running is a handle to a process: while it is open, no other process gets the same id. Ended may
// be called concurrently. Close must be the last call.
type Running struct {
	p     layout.Process
	fd    int // a pidfd; negative if the system has none
	guard forgotten.Guard
}

// Hold opens a handle to a process. Errors: ErrPeerNotStarted, if it has ended or another process
// has its id; fs.ErrPermission.
func Hold(p layout.Process) (*Running, error) {
	r := &Running{p: p, fd: -1}
	switch fd, err := unix.PidfdOpen(int(p.PID), 0); err {
	case nil:
		r.fd = fd
	case unix.ENOSYS, unix.EPERM: // before Linux 5.3, or forbidden: see Ended
	case unix.ESRCH, unix.EINVAL: // EINVAL: a thread of another process has the id
		return nil, fmt.Errorf("process %d: %w (%w)", p.PID, syserr.ErrPeerNotStarted, syserr.OnlyNumber(err))
	default:
		return nil, os.NewSyscallError("pidfd_open", syserr.Limit(err))
	}
	// This check comes after the open: from now on the process with this id is the one that the
	// handle holds. Its first thread may have ended although others run.
	_, start, err := stat(strconv.Itoa(int(p.PID)))
	ended := false
	if err == nil {
		ended, err = r.Ended()
	}
	if err == nil && (ended || start != p.Start) {
		err = fmt.Errorf("process %d has ended, or is another one now: %w", p.PID, syserr.ErrPeerNotStarted)
	}
	if err != nil {
		_ = r.Close()
		return nil, err
	}
	if r.fd >= 0 {
		r.guard = forgotten.Watch(r, "hold on process", strconv.Itoa(int(p.PID)), giveBackPidfd, r.fd)
	}
	return r, nil
}

func giveBackPidfd(fd int) (kept bool) {
	_ = unix.Close(fd)
	return false
}

// Ended says whether the process has ended, also if nobody has waited for it yet.
func (r *Running) Ended() (bool, error) {
	if r.fd < 0 {
		now, err := Find(int(r.p.PID))
		if errors.Is(err, syserr.ErrPeerNotStarted) || errors.Is(err, fs.ErrPermission) {
			return true, nil // or the id belongs to another user's process now
		}
		return now != r.p, err
	}
	fds := [1]unix.PollFd{{Fd: int32(r.fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds[:], 0)
		if err != unix.EINTR {
			runtime.KeepAlive(r)
			return n == 1, os.NewSyscallError("poll", err)
		}
	}
}

// Close closes the handle.
func (r *Running) Close() error {
	if r.fd < 0 {
		return nil
	}
	r.guard.Done()
	return os.NewSyscallError("close", unix.Close(r.fd))
}

// PIDSpace returns the id of the pid namespace in which this process sees process ids, or 0 if it
// is not known.
var PIDSpace = sync.OnceValue(func() uint64 {
	var st unix.Stat_t
	if unix.Stat("/proc/self/ns/pid", &st) != nil {
		return 0
	}
	return st.Ino
})

// Whereabouts looks for a process of which the id, the start and the pid namespace are known.
// foreign says that the id belongs to another namespace. ended says that the process has ended. If
// it cannot find out, both are false.
func Whereabouts(p layout.Process, space uint64) (foreign, ended bool) {
	if mine := PIDSpace(); space != 0 && mine != 0 && space != mine {
		return true, false
	}
	gone := unix.Kill(int(p.PID), 0) == unix.ESRCH
	if !gone {
		_, start, err := stat(strconv.Itoa(int(p.PID)))
		gone = err == nil && p.Start != 0 && start != p.Start
		if !gone && err == nil {
			gone = onlyZombie(p.PID)
		}
	}
	if !gone {
		return false, false
	}
	return space == 0, space != 0
}

// Stopped says whether a signal or a debugger has stopped a process. It is false if that is not
// known.
func Stopped(pid int) bool {
	state, _, err := stat(strconv.Itoa(pid))
	return err == nil && (state == 'T' || state == 't')
}

// onlyZombie says whether all threads of a process have ended, and nobody has waited for it yet.
// The first thread may end before the others.
func onlyZombie(pid uint32) bool {
	dir := "/proc/" + strconv.Itoa(int(pid))
	threads, err := os.ReadDir(dir + "/task")
	if err != nil {
		return false
	}
	for _, t := range threads {
		state, _, err := stat(strconv.Itoa(int(pid)) + "/task/" + t.Name())
		if err == nil && state != 'Z' && state != 'X' {
			return false
		}
	}
	return true
}

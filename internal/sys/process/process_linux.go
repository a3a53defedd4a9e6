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

// myself is what Myself found.
var myself atomic.Pointer[layout.Process]

// Myself is this process. Once it is known there is no error any more.
func Myself() (layout.Process, error) {
	if p := myself.Load(); p != nil {
		return *p, nil
	}
	// By "self", for /proc may be that of another pid namespace.
	_, start, err := stat("self")
	if err != nil {
		return layout.Process{}, fmt.Errorf("name this process: %w", err)
	}
	p := layout.Process{PID: uint32(os.Getpid()), Start: start}
	myself.Store(&p)
	return p, nil
}

// Self is this process, as Myself has it.
func Self() layout.Process {
	p, _ := Myself()
	return p
}

// Find names a running process. Errors: ErrPeerNotStarted; fs.ErrPermission, when the caller
// may not deal with it.
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

// stat tells the state of a process, which is that of its first thread, and the time of its
// start. Errors: ErrPeerNotStarted.
func stat(pid string) (state byte, start uint64, err error) {
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ESRCH):
		return 0, 0, fmt.Errorf("process %s: %w: %w", pid, syserr.OnlyNumber(err), syserr.ErrPeerNotStarted)
	case err != nil: // which tells nothing about the process
		return 0, 0, fmt.Errorf("process %s: %w", pid, syserr.OfFile(err))
	}
	// proc(5): the name in brackets may hold anything; field 3 is the state, field 22 the
	// start in clock ticks since boot.
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(f) < 20 {
		return 0, 0, fmt.Errorf("process %s: /proc has %q: %w", pid, b, errors.ErrUnsupported)
	}
	start, err = strconv.ParseUint(string(f[19]), 10, 64)
	return f[0][0], start, err
}

// Running is a hold on a process: while it lasts no other process gets the same id. Ended may
// be called concurrently, Close comes last.
type Running struct {
	p     layout.Process
	fd    int // a pidfd; negative where the system gives none
	guard forgotten.Guard
}

// Hold takes hold of a process. Errors: ErrPeerNotStarted, when it has ended or another
// process has its id; fs.ErrPermission.
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
	// Only now: the process that has this id from now on is the one that is held. Its first
	// thread may have ended before the others have.
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

// Ended says whether the process has ended, also when nobody has waited for it yet.
func (r *Running) Ended() (bool, error) {
	if r.fd < 0 {
		now, err := Find(int(r.p.PID))
		if errors.Is(err, syserr.ErrPeerNotStarted) || errors.Is(err, fs.ErrPermission) {
			return true, nil // or another user's by now
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

// Close ends the hold.
func (r *Running) Close() error {
	if r.fd < 0 {
		return nil
	}
	r.guard.Done()
	return os.NewSyscallError("close", unix.Close(r.fd))
}

// PIDSpace is the id of the pid namespace that the ids of this process are of, 0 when it is
// not known.
var PIDSpace = sync.OnceValue(func() uint64 {
	var st unix.Stat_t
	if unix.Stat("/proc/self/ns/pid", &st) != nil {
		return 0
	}
	return st.Ino
})

// Whereabouts looks for a process that told its id, its start and its pid namespace. foreign:
// the id is one of another namespace. ended: the process has ended. When it cannot tell,
// both are false.
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

// onlyZombie says whether all threads of a process have ended and nobody has waited for it
// yet. That the first thread has ended says nothing about the others.
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

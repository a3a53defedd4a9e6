package sys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"sync"

	"golang.org/x/sys/unix"

	"samepage/internal/forgotten"
	"samepage/internal/sys/syserr"
)

// Running is a hold on a process: its id names no other one meanwhile. Ended may
// be called concurrently, Close comes last.
type Running struct {
	p     Process
	fd    int // a pidfd; negative where the system gives none
	guard forgotten.Guard
}

// HoldProcess takes hold of a process. Errors: ErrPeerNotStarted, when it has
// ended, or another one has its id; fs.ErrPermission.
func HoldProcess(p Process) (*Running, error) {
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
	// After that: the process with this id now is the one that is held. Its first
	// thread may have ended before the others have.
	_, start, err := processStat(strconv.Itoa(int(p.PID)))
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

// Ended says whether the process has ended; it has, too, when nobody has waited
// for it yet.
func (r *Running) Ended() (bool, error) {
	if r.fd < 0 {
		now, err := FindProcess(int(r.p.PID))
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

// Close lets go of the process.
func (r *Running) Close() error {
	if r.fd < 0 {
		return nil
	}
	r.guard.Done()
	return os.NewSyscallError("close", unix.Close(r.fd))
}

// PIDSpace is the id of the pid namespace in which this process's ids are ones, 0 when
// that is not known.
var PIDSpace = sync.OnceValue(func() uint64 {
	var st unix.Stat_t
	if unix.Stat("/proc/self/ns/pid", &st) != nil {
		return 0
	}
	return st.Ino
})

// Whereabouts says of a process that told its id, its start and its pid namespace whether
// the id is not one of this process's namespace, or its process has ended. Where that
// cannot be told it says neither.
func Whereabouts(p Process, space uint64) (foreign, ended bool) {
	if mine := PIDSpace(); space != 0 && mine != 0 && space != mine {
		return true, false
	}
	gone := unix.Kill(int(p.PID), 0) == unix.ESRCH
	if !gone {
		_, start, err := processStat(strconv.Itoa(int(p.PID)))
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

// onlyZombie says whether a process has ended and nobody has waited for it yet. That its
// first thread has ended says nothing of the others.
func onlyZombie(pid uint32) bool {
	dir := "/proc/" + strconv.Itoa(int(pid))
	threads, err := os.ReadDir(dir + "/task")
	if err != nil {
		return false
	}
	for _, t := range threads {
		if state, _, err := processStat(strconv.Itoa(int(pid)) + "/task/" + t.Name()); err == nil && state != 'Z' && state != 'X' {
			return false
		}
	}
	return true
}

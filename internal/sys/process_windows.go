package sys

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"

	"golang.org/x/sys/windows"

	"samepage/internal/forgotten"
	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/syserr"
)

// Running is a hold on a process: its id names no other one meanwhile. Ended may
// be called concurrently, Close comes last.
type Running struct {
	p     Process
	h     windows.Handle
	guard forgotten.Guard
}

// HoldProcess takes hold of a process. Errors: ErrPeerNotStarted, when it has
// ended, or another one has its id; fs.ErrPermission.
func HoldProcess(p Process) (*Running, error) {
	h, now, err := kernel.OpenProcess(int(p.PID), 0)
	if err != nil {
		return nil, err
	}
	if now != p {
		_ = windows.CloseHandle(h)
		return nil, fmt.Errorf("process %d is another one now: %w", p.PID, syserr.ErrPeerNotStarted)
	}
	r := &Running{p: p, h: h}
	r.guard = forgotten.Watch(r, "hold on process", strconv.Itoa(int(p.PID)), giveBackHandle, h)
	return r, nil
}

func giveBackHandle(h windows.Handle) (kept bool) {
	_ = windows.CloseHandle(h)
	return false
}

// Ended says whether the process has ended; it has, too, when nobody has waited
// for it yet. The exit code would not tell: 259 is one, too.
func (r *Running) Ended() (bool, error) {
	ev, err := windows.WaitForSingleObject(r.h, 0)
	runtime.KeepAlive(r)
	if err != nil {
		return false, fmt.Errorf("process %d: %w", r.p.PID, err)
	}
	return ev == windows.WAIT_OBJECT_0, nil
}

// Close lets go of the process.
func (r *Running) Close() error {
	r.guard.Done()
	return windows.CloseHandle(r.h)
}

// PIDSpace would be the id of a pid namespace, which Windows does not have.
func PIDSpace() uint64 { return 0 }

// Whereabouts says of a process that told its id and its start whether it has ended.
func Whereabouts(p Process, _ uint64) (foreign, ended bool) {
	now, err := FindProcess(int(p.PID))
	return false, errors.Is(err, syserr.ErrPeerNotStarted) || err == nil && p.Start != 0 && now != p
}

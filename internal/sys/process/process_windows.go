package process

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"

	"golang.org/x/sys/windows"

	"samepage/internal/forgotten"
	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// Myself is this process.
func Myself() (layout.Process, error) {
	start, err := kernel.StartOf(windows.CurrentProcess())
	if err != nil {
		err = fmt.Errorf("name this process: %w", err)
	}
	return layout.Process{PID: windows.GetCurrentProcessId(), Start: start}, err
}

// Self returns the identity of this process, see Myself.
func Self() layout.Process {
	p, _ := Myself()
	return p
}

// Find returns the identity of a running process. Errors: ErrPeerNotStarted; fs.ErrPermission, if
// the caller has no rights on the process.
func Find(pid int) (layout.Process, error) {
	h, p, err := kernel.OpenProcess(pid, 0)
	if err == nil {
		_ = windows.CloseHandle(h)
	}
	return p, err
}

// Running is a handle to a process: while it is open, no other process gets the same id. Ended may
// be called concurrently. Close must be the last call.
type Running struct {
	p     layout.Process
	h     windows.Handle
	guard forgotten.Guard
}

// Hold opens a handle to a process. Errors: ErrPeerNotStarted, if it has ended or another process
// has its id; fs.ErrPermission.
func Hold(p layout.Process) (*Running, error) { return hold(p, 0) }

// hold is Hold with more rights.
func hold(p layout.Process, rights uint32) (*Running, error) {
	h, now, err := kernel.OpenProcess(int(p.PID), rights)
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

// Ended says whether the process has ended, also if nobody has waited for it yet. (The exit
// code cannot say this: 259 means that the process runs, but a process may also return 259.)
func (r *Running) Ended() (bool, error) {
	ev, err := windows.WaitForSingleObject(r.h, 0)
	runtime.KeepAlive(r)
	if err != nil {
		return false, fmt.Errorf("process %d: %w", r.p.PID, err)
	}
	return ev == windows.WAIT_OBJECT_0, nil
}

// Close closes the handle.
func (r *Running) Close() error {
	r.guard.Done()
	return windows.CloseHandle(r.h)
}

// PIDSpace would be the id of a pid namespace, which Windows does not have.
func PIDSpace() uint64 { return 0 }

// Stopped is always false: Windows stops threads, and not processes.
func Stopped(int) bool { return false }

// Whereabouts says whether a process has ended of which the id and the start are known.
func Whereabouts(p layout.Process, _ uint64) (foreign, ended bool) {
	now, err := Find(int(p.PID))
	return false, errors.Is(err, syserr.ErrPeerNotStarted) || err == nil && p.Start != 0 && now != p
}

package kernel

import (
	"fmt"
	"math"

	"golang.org/x/sys/windows"

	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// StartOf returns when a process was started.
func StartOf(h windows.Handle) (uint64, error) {
	var start, x windows.Filetime
	err := windows.GetProcessTimes(h, &start, &x, &x, &x)
	return uint64(start.HighDateTime)<<32 | uint64(start.LowDateTime), err
}

// OpenProcess opens a running process with some rights, and returns its identity. Errors:
// ErrPeerNotStarted, fs.ErrPermission.
func OpenProcess(pid int, rights uint32) (windows.Handle, layout.Process, error) {
	if pid <= 0 || int64(pid) > math.MaxUint32 {
		return 0, layout.Process{}, fmt.Errorf("process %d: %w", pid, syserr.ErrPeerNotStarted)
	}
	h, err := windows.OpenProcess(rights|windows.PROCESS_QUERY_LIMITED_INFORMATION|windows.SYNCHRONIZE, false, uint32(pid))
	switch err {
	case nil:
	case windows.ERROR_INVALID_PARAMETER:
		return 0, layout.Process{}, fmt.Errorf("process %d: %w", pid, syserr.ErrPeerNotStarted)
	default:
		return 0, layout.Process{}, fmt.Errorf("process %d: %w", pid, err)
	}
	p, err := ExamineProcess(h, uint32(pid))
	if err != nil {
		_ = windows.CloseHandle(h)
		return 0, layout.Process{}, err
	}
	return h, p, nil
}

// ExamineProcess returns the identity of the process of h. Errors: ErrPeerNotStarted, if it has
// ended or its id is not pid.
func ExamineProcess(h windows.Handle, pid uint32) (layout.Process, error) {
	// The kernel ignores the last two bits of a process id.
	if real, err := windows.GetProcessId(h); err != nil || real != pid {
		return layout.Process{}, fmt.Errorf("process %d: %w", pid, syserr.ErrPeerNotStarted)
	}
	// The exit code cannot say this: 259 means that the process runs, but it may also return 259.
	ev, err := windows.WaitForSingleObject(h, 0)
	if err != nil {
		return layout.Process{}, fmt.Errorf("process %d: %w", pid, err)
	}
	if ev != uint32(windows.WAIT_TIMEOUT) {
		return layout.Process{}, fmt.Errorf("process %d has ended: %w", pid, syserr.ErrPeerNotStarted)
	}
	start, err := StartOf(h)
	if err != nil {
		return layout.Process{}, fmt.Errorf("start of process %d: %w", pid, err)
	}
	return layout.Process{PID: pid, Start: start}, nil
}

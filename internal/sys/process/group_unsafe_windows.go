package process

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"

	"samepage/internal/forgotten"
	"samepage/internal/sys/internal/kernel"
	"samepage/layout"
)

var (
	kernel32        = windows.NewLazySystemDLL("kernel32.dll")
	procOpenJob     = kernel32.NewProc("OpenJobObjectW")
	procHandleCount = kernel32.NewProc("GetProcessHandleCount")
)

// job is the job object of a group, 0 if there is none.
type job struct{ h windows.Handle }

// StartGroup starts cmd. The caller calls cmd.Wait later, also if StartGroup returns an error and
// cmd.Process is not nil.
//
// With Together the kernel ends the group when the last handle to it is closed, until Keep: also if
// the processes that have the handles are killed. The child does not run before it is in its group.
//
// Errors: those of exec.Cmd.Start, and those of the job object.
func StartGroup(cmd *exec.Cmd, o GroupOptions) (*Group, error) {
	g := &Group{}
	attr := &syscall.SysProcAttr{}
	if cmd.SysProcAttr != nil {
		*attr = *cmd.SysProcAttr
	}
	resume := attr.CreationFlags&windows.CREATE_SUSPENDED == 0
	if o.Together || o.WithParent {
		var err error
		if g.job.h, err = newJob(o.ID, o.WithParent); err != nil {
			return nil, err
		}
		attr.CreationFlags |= windows.CREATE_SUSPENDED
	}
	cmd.SysProcAttr = attr
	err := cmd.Start()
	if err == nil {
		if err = g.take(cmd.Process.Pid, resume); err != nil {
			_ = cmd.Process.Kill()
		}
	}
	if err != nil {
		if g.job.h != 0 {
			_ = windows.CloseHandle(g.job.h)
		}
		return nil, err
	}
	return g, nil
}

// take opens the child, puts it into its job, and has it run. cmd has a handle of the child, so the
// id belongs to the child.
func (g *Group) take(pid int, resume bool) error {
	rights := uint32(windows.PROCESS_QUERY_LIMITED_INFORMATION | windows.SYNCHRONIZE | windows.PROCESS_TERMINATE | windows.PROCESS_SET_QUOTA)
	h, err := windows.OpenProcess(rights, false, uint32(pid))
	if err != nil {
		return fmt.Errorf("open process %d: %w", pid, err)
	}
	began, err := kernel.StartOf(h)
	if err == nil && g.job.h != 0 {
		if err = windows.AssignProcessToJobObject(g.job.h, h); err == nil && resume {
			err = resumeThreads(pid)
		}
	}
	if err != nil {
		_ = windows.CloseHandle(h)
		return fmt.Errorf("put process %d into a job: %w", pid, err)
	}
	g.p = layout.Process{PID: uint32(pid), Start: began}
	g.held = &Running{p: g.p, h: h}
	g.held.guard = forgotten.Watch(g.held, "hold on process", strconv.Itoa(pid), giveBackHandle, h)
	return nil
}

// newJob makes a job that ends with its last handle. A private one has no name, so that other
// processes have no handle of it.
func newJob(id GroupID, private bool) (windows.Handle, error) {
	var name *uint16
	if !private {
		name = jobName(id)
	}
	h, err := windows.CreateJobObject(nil, name)
	if err != nil {
		return 0, fmt.Errorf("make a job: %w", err)
	}
	if err := limit(h, windows.JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE); err != nil {
		_ = windows.CloseHandle(h)
		return 0, err
	}
	return h, nil
}

func jobName(id GroupID) *uint16 {
	p, _ := windows.UTF16PtrFromString(`Local\samepage.group.` + hex.EncodeToString(id[:]))
	return p
}

func limit(job windows.Handle, flags uint32) error {
	var l windows.JOBOBJECT_EXTENDED_LIMIT_INFORMATION
	l.BasicLimitInformation.LimitFlags = flags
	_, err := windows.SetInformationJobObject(job, windows.JobObjectExtendedLimitInformation, uintptr(unsafe.Pointer(&l)), uint32(unsafe.Sizeof(l)))
	if err != nil {
		return fmt.Errorf("set the limits of a job: %w", err)
	}
	return nil
}

// resumeThreads has a process run that was started suspended.
func resumeThreads(pid int) error {
	all, err := threadsOf(uint32(pid))
	if err != nil {
		return fmt.Errorf("list the threads: %w", err)
	}
	if len(all) == 0 {
		return fmt.Errorf("process %d has no thread: %w", pid, windows.ERROR_NOT_FOUND)
	}
	for _, id := range all {
		t, err := windows.OpenThread(windows.THREAD_SUSPEND_RESUME, false, id)
		if err != nil {
			return fmt.Errorf("open thread %d: %w", id, err)
		}
		_, err = windows.ResumeThread(t)
		_ = windows.CloseHandle(t)
		if err != nil {
			return fmt.Errorf("resume thread %d: %w", id, err)
		}
	}
	return nil
}

// threadsOf returns the ids of the threads of a process.
func threadsOf(pid uint32) (all []uint32, err error) {
	snap, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPTHREAD, 0)
	if err != nil {
		return nil, err
	}
	defer windows.CloseHandle(snap)
	te := windows.ThreadEntry32{Size: uint32(unsafe.Sizeof(windows.ThreadEntry32{}))}
	for err = windows.Thread32First(snap, &te); err == nil; err = windows.Thread32Next(snap, &te) {
		if te.OwnerProcessID == pid {
			all = append(all, te.ThreadID)
		}
	}
	if !errors.Is(err, windows.ERROR_NO_MORE_FILES) {
		return nil, err
	}
	return all, nil
}

// HoldGroup opens a handle to the group of a running process that another process, or this one, has
// started with StartGroup. If the job is not found, Kill ends only the process. Errors: those of
// Hold.
func HoldGroup(p layout.Process, id GroupID) (*Group, error) {
	held, err := hold(p, windows.PROCESS_TERMINATE)
	if errors.Is(err, windows.ERROR_ACCESS_DENIED) {
		held, err = hold(p, 0)
	}
	if err != nil {
		return nil, err
	}
	g := &Group{p: p, held: held}
	const terminate, setAttributes = 8, 2 // JOB_OBJECT_TERMINATE, JOB_OBJECT_SET_ATTRIBUTES
	h, _, _ := procOpenJob.Call(terminate|setAttributes, 0, uintptr(unsafe.Pointer(jobName(id))))
	g.job.h = windows.Handle(h)
	return g, nil
}

// Await waits until the first process of the group has ended.
func (g *Group) Await() {
	_, _ = windows.WaitForSingleObject(g.held.h, windows.INFINITE)
	runtime.KeepAlive(g.held)
}

// Ask does nothing, and returns false: Windows has no way to ask every process to end.
func (g *Group) Ask() (asked bool, err error) { return false, nil }

// Kill ends all processes of the group, also if the first one has ended. The first process need not
// have ended when Kill returns.
func (g *Group) Kill() error {
	defer runtime.KeepAlive(g.held)
	if g.job.h != 0 {
		if err := windows.TerminateJobObject(g.job.h, 1); err != nil {
			return fmt.Errorf("end the job of process %d: %w", g.p.PID, err)
		}
		return nil
	}
	if ended, err := g.Ended(); ended || err != nil {
		return err
	}
	if err := windows.TerminateProcess(g.held.h, 1); err != nil {
		if ended, _ := g.Ended(); ended {
			return nil
		}
		return fmt.Errorf("end process %d: %w", g.p.PID, err)
	}
	return nil
}

// Keep has the group go on when all handles to it are closed.
func (g *Group) Keep() error {
	if g.job.h == 0 {
		return nil
	}
	return limit(g.job.h, 0)
}

// Exit returns how the first process of the group ended. It is not known while it runs.
func (g *Group) Exit() Exit {
	defer runtime.KeepAlive(g.held)
	if ended, err := g.Ended(); !ended || err != nil {
		return Exit{}
	}
	var code uint32
	if windows.GetExitCodeProcess(g.held.h, &code) != nil {
		return Exit{}
	}
	return Exit{Known: true, Code: int(code)}
}

// Close closes the handle. The processes of the group go on if another process has a handle to
// the group, or after Keep.
func (g *Group) Close() error {
	var err error
	if g.job.h != 0 {
		err = windows.CloseHandle(g.job.h)
	}
	return errors.Join(err, g.held.Close())
}

// ExitOf returns how a process ended that cmd.Wait has waited for.
func ExitOf(s *os.ProcessState) Exit {
	if s == nil {
		return Exit{}
	}
	return Exit{Known: true, Code: s.ExitCode()}
}

// WithVariable returns no process: Windows does not tell with which environment a process was
// started. It is not needed there, see StartGroup.
func WithVariable(string) []layout.Process { return nil }

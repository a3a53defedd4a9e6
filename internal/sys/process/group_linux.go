package process

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"samepage/internal/forgotten"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// job says whether the process leads a process group.
type job struct{ leads bool }

// forParents has a thread that never ends. A child that shall end with its parent gets the signal
// when the thread that has started it ends, and threads of Go may end.
var forParents = sync.OnceValue(func() chan<- func() {
	calls := make(chan func())
	go func() {
		runtime.LockOSThread()
		for f := range calls {
			f()
		}
	}()
	return calls
})

// StartGroup starts cmd. The caller calls cmd.Wait later, also if StartGroup returns an error and
// cmd.Process is not nil.
//
// Errors: those of exec.Cmd.Start.
func StartGroup(cmd *exec.Cmd, o GroupOptions) (*Group, error) {
	attr := &syscall.SysProcAttr{}
	if cmd.SysProcAttr != nil {
		*attr = *cmd.SysProcAttr
	}
	if o.Together && !attr.Setsid && !attr.Setpgid {
		attr.Setpgid = true
	}
	if o.WithParent && attr.Pdeathsig == 0 {
		attr.Pdeathsig = syscall.SIGKILL
	}
	cmd.SysProcAttr = attr
	err := start(cmd, attr.Pdeathsig != 0)
	if err != nil {
		return nil, err
	}
	// Until cmd.Wait the id belongs to the child, also if it has ended.
	pid := cmd.Process.Pid
	g := &Group{job: job{leads: attr.Setsid || attr.Setpgid && attr.Pgid == 0}}
	_, began, err := stat(strconv.Itoa(pid))
	if err == nil {
		g.p = layout.Process{PID: uint32(pid), Start: began}
		g.held, err = holdChild(g.p)
	}
	if err != nil {
		_ = cmd.Process.Kill()
		return nil, err
	}
	return g, nil
}

func start(cmd *exec.Cmd, onLastingThread bool) (err error) {
	if !onLastingThread {
		return cmd.Start()
	}
	done := make(chan struct{})
	forParents() <- func() {
		defer close(done)
		err = cmd.Start()
	}
	<-done
	return err
}

// holdChild opens a handle to a child that nobody has waited for yet.
func holdChild(p layout.Process) (*Running, error) {
	r := &Running{p: p, fd: -1}
	switch fd, err := unix.PidfdOpen(int(p.PID), 0); err {
	case nil:
		r.fd = fd
		r.guard = forgotten.Watch(r, "hold on process", strconv.Itoa(int(p.PID)), giveBackPidfd, fd)
	case unix.ENOSYS, unix.EPERM: // see Hold
	default:
		return nil, os.NewSyscallError("pidfd_open", syserr.Limit(err))
	}
	return r, nil
}

// HoldGroup opens a handle to the group of a running process that another process, or this one, has
// started with StartGroup. Errors: those of Hold.
func HoldGroup(p layout.Process, _ GroupID) (*Group, error) {
	held, err := Hold(p)
	if err != nil {
		return nil, err
	}
	of, err := unix.Getpgid(int(p.PID))
	return &Group{p: p, held: held, job: job{leads: err == nil && of == int(p.PID)}}, nil
}

// Await waits until the first process of the group has ended. This process has started it, and has
// not called cmd.Wait. So its id still belongs to it when Await returns.
func (g *Group) Await() {
	for {
		var info unix.Siginfo
		if err := unix.Waitid(unix.P_PID, int(g.p.PID), &info, unix.WEXITED|unix.WNOWAIT, nil); err != unix.EINTR {
			return
		}
	}
}

// Ask asks the processes of the group to end, with SIGTERM. asked says that the system can do this.
func (g *Group) Ask() (asked bool, err error) { return true, g.signal(unix.SIGTERM) }

// Kill ends all processes of the group, also if the first one has ended. The first process need not
// have ended when Kill returns.
func (g *Group) Kill() error { return g.signal(unix.SIGKILL) }

// toGroup sends a signal to the group of the process, which the kernel finds also if the process
// has ended and another process has its id (PIDFD_SIGNAL_PROCESS_GROUP, Linux 6.9).
const toGroup = 1 << 2

func (g *Group) signal(sig unix.Signal) error {
	defer runtime.KeepAlive(g.held)
	flags := 0
	if g.job.leads {
		flags = toGroup
	}
	err := error(unix.EINVAL)
	if g.held.fd >= 0 {
		err = unix.PidfdSendSignal(g.held.fd, sig, nil, flags)
	}
	if err == unix.EINVAL || err == unix.ENOSYS || err == unix.EPERM && !g.job.leads {
		err = g.signalByID(sig)
	}
	if err == unix.ESRCH {
		return nil
	}
	return os.NewSyscallError("kill", err)
}

// signalByID is signal on older systems.
func (g *Group) signalByID(sig unix.Signal) error {
	pid := int(g.p.PID)
	_, began, err := stat(strconv.Itoa(pid))
	switch {
	case errors.Is(err, syserr.ErrPeerNotStarted):
		// While a process of the group runs, no other process gets the id.
	case err != nil:
		return err
	case began != g.p.Start:
		return nil // another process has the id, so nothing is left of the group
	}
	if g.job.leads {
		pid = -pid
	}
	return unix.Kill(pid, sig)
}

// Keep has the group go on when all handles to it are closed.
func (g *Group) Keep() error { return nil }

// Exit is not known here: only the parent can ask for it, see ExitOf.
func (g *Group) Exit() Exit { return Exit{} }

// Close closes the handle. The processes of the group go on.
func (g *Group) Close() error { return g.held.Close() }

// ExitOf returns how a process ended that cmd.Wait has waited for.
func ExitOf(s *os.ProcessState) Exit {
	if s == nil {
		return Exit{}
	}
	e := Exit{Known: true, Code: s.ExitCode()}
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		e.Signal = w.Signal().String()
	}
	return e
}

// WithVariable returns the processes that were started with the environment variable kv
// ("NAME=value"), as far as this process may know. Systems other than Linux do not tell it.
func WithVariable(kv string) (all []layout.Process) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		b, err := os.ReadFile("/proc/" + e.Name() + "/environ")
		if err != nil || !bytes.Contains(append([]byte{0}, b...), []byte("\x00"+kv+"\x00")) {
			continue
		}
		if p, err := Find(pid); err == nil {
			all = append(all, p)
		}
	}
	return all
}

//go:build !linux && !windows

package process

import (
	"os"
	"os/exec"

	"samepage/internal/sys/syserr"
	"samepage/layout"
)

var errNaming = syserr.Unsupported("naming a process")

// Myself returns Self.
func Myself() (layout.Process, error) { return Self(), nil }

// Self returns the identity of this process. Its start is not known here.
func Self() layout.Process { return layout.Process{PID: uint32(os.Getpid())} }

// Find is not supported.
func Find(int) (layout.Process, error) { return layout.Process{}, errNaming }

// Running would be a handle to a process.
type Running struct{}

// Hold is not supported.
func Hold(layout.Process) (*Running, error) { return nil, errNaming }

// Ended is not supported.
func (*Running) Ended() (bool, error) { return false, errNaming }

// Close does nothing.
func (*Running) Close() error { return nil }

// PIDSpace would be the id of a pid namespace.
func PIDSpace() uint64 { return 0 }

// Stopped is always false.
func Stopped(int) bool { return false }

// Whereabouts returns false for both.
func Whereabouts(layout.Process, uint64) (foreign, ended bool) { return false, false }

// Usage is not supported.
func Usage() (handles, mappings int, err error) {
	return 0, 0, syserr.Unsupported("counting descriptors")
}

// job would be a group.
type job struct{}

var _ = Group{}.job

// StartGroup is not supported.
func StartGroup(*exec.Cmd, GroupOptions) (*Group, error) { return nil, errNaming }

// HoldGroup is not supported.
func HoldGroup(layout.Process, GroupID) (*Group, error) { return nil, errNaming }

// Await does nothing.
func (*Group) Await() {}

// Ask is not supported.
func (*Group) Ask() (asked bool, err error) { return false, errNaming }

// Kill is not supported.
func (*Group) Kill() error { return errNaming }

// Keep is not supported.
func (*Group) Keep() error { return errNaming }

// Exit is not known here.
func (*Group) Exit() Exit { return Exit{} }

// Close does nothing.
func (*Group) Close() error { return nil }

// ExitOf returns how a process ended that cmd.Wait has waited for.
func ExitOf(s *os.ProcessState) Exit {
	if s == nil {
		return Exit{}
	}
	return Exit{Known: true, Code: s.ExitCode()}
}

// WithVariable returns no process.
func WithVariable(string) []layout.Process { return nil }

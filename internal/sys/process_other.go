//go:build !linux && !windows

package sys

// Running would be a hold on a process.
type Running struct{}

// HoldProcess is not supported.
func HoldProcess(Process) (*Running, error) { return nil, unsupported("naming a process") }

// Ended is not supported.
func (*Running) Ended() (bool, error) { return false, unsupported("naming a process") }

// Close does nothing.
func (*Running) Close() error { return nil }

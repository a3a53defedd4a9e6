//go:build !linux && !windows

package sys

import (
	"samepage/internal/sys/syserr"
)

// Running would be a hold on a process.
type Running struct{}

// HoldProcess is not supported.
func HoldProcess(Process) (*Running, error) { return nil, syserr.Unsupported("naming a process") }

// Ended is not supported.
func (*Running) Ended() (bool, error) { return false, syserr.Unsupported("naming a process") }

// Close does nothing.
func (*Running) Close() error { return nil }

// PIDSpace would be the id of a pid namespace.
func PIDSpace() uint64 { return 0 }

// Whereabouts tells nothing.
func Whereabouts(Process, uint64) (foreign, ended bool) { return false, false }

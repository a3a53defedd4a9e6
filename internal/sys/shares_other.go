//go:build !linux

package sys

import (
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// Share would be what a process has mapped of an object.
type Share struct {
	PID                    int
	Name                   string
	Resident, Proportional int64
}

// Shares is not supported: the system does not tell what another process has mapped.
func Shares(func(layout.ID) bool) (map[layout.ID][]Share, error) {
	return nil, syserr.Unsupported("each process's share of the memory")
}

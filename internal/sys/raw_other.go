//go:build !linux && !windows

package sys

import (
	"os/exec"

	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// InheritRaw is not supported.
func (o *Object) InheritRaw(*exec.Cmd, layout.Access) (uint64, error) {
	return 0, syserr.Unsupported("handing memory over")
}

// OfferRaw is not supported.
func (o *Object) OfferRaw(layout.Access) (uint64, error) {
	return 0, syserr.Unsupported("handing memory over")
}

// GrantRaw is not supported.
func (o *Object) GrantRaw(int, layout.Access) (uint64, error) {
	return 0, syserr.Unsupported("handing memory over")
}

// RevokeRaw is not supported.
func RevokeRaw(int, uint64) error { return syserr.Unsupported("handing memory over") }

// AdoptRaw is not supported.
func AdoptRaw(uint64, int64, layout.Access, func(func(*Object) bool) bool) (*Object, error) {
	return nil, syserr.Unsupported("handing memory over")
}

// TakeRaw is not supported.
func TakeRaw(int, uint64, int64, layout.Access) (*Object, error) {
	return nil, syserr.Unsupported("handing memory over")
}

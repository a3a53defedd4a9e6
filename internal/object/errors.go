package object

import (
	"errors"

	"samepage/internal/sys/syserr"
)

// These are the errors that the packages above have in common. Package samepage exports them
// under the same names, and says there what each one means.
var (
	ErrName           = errors.New("invalid name")
	ErrRange          = errors.New("past the end of the object")
	ErrOwnerDied      = errors.New("the previous owner died while holding the lock")
	ErrNotLocked      = errors.New("not locked by this handle")
	ErrTooManyMembers = errors.New("too many members")
	ErrTooManyHolds   = errors.New("too many messages held")
	ErrChecksum       = errors.New("checksum does not match")
	ErrTruncated      = errors.New("truncated")
	ErrPeerDied       = errors.New("the process at the other end has died")

	ErrUnreleased        error = busy("still in use by the caller")
	ErrTooManyPublishers error = busy("too many publishers")
)

// busy is an error that also matches ErrBusy.
type busy string

func (b busy) Error() string { return string(b) }
func (busy) Unwrap() error   { return syserr.ErrBusy }

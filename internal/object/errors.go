package object

import (
	"errors"

	"samepage/internal/option"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// The errors that the rooms above have in common. Package samepage exports them under the
// same names, and says there what each means.
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
)

// The errors of the rooms below that these share, so that a room above needs one list.
var (
	ErrBusy         = syserr.ErrBusy
	ErrNoSpace      = syserr.ErrNoSpace
	ErrNameGone     = syserr.ErrNameGone
	ErrZeroSize     = option.ErrZeroSize
	ErrNegativeSize = option.ErrNegativeSize
	ErrTooLarge     = option.ErrTooLarge
	ErrCorrupt      = layout.ErrCorrupt
	ErrVersion      = layout.ErrVersion
	ErrKindMismatch = layout.ErrKindMismatch
	ErrEvicted      = layout.ErrEvicted
)

package samepage

import (
	"io/fs"

	"samepage/internal/object"
	"samepage/internal/option"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// The errors of this package, for errors.Is. Texts name the object, the value
// and what was expected. Absence also matches fs.ErrNotExist, presence
// fs.ErrExist, missing rights fs.ErrPermission. An option out of range is fs.ErrInvalid
// in every package, a size of an object ErrZeroSize, ErrNegativeSize or ErrTooLarge.
var (
	// ErrClosed: the Memory or View is closed.
	ErrClosed = fs.ErrClosed
	// ErrBusy: it is in use, by views of the caller or by another process.
	ErrBusy = syserr.ErrBusy
	// ErrName: not a name that an object may have.
	ErrName = object.ErrName
	// ErrZeroSize: an object or a view of no bytes.
	ErrZeroSize = option.ErrZeroSize
	// ErrNegativeSize: a size or an offset below zero.
	ErrNegativeSize = option.ErrNegativeSize
	// ErrTooLarge: more than MaxSize, or more than the address space holds.
	ErrTooLarge = syserr.ErrTooLarge
	// ErrRange: past the end of the object.
	ErrRange = object.ErrRange
	// ErrAlignment: an offset that is not a multiple of what it must be.
	ErrAlignment = syserr.ErrAlignment
	// ErrNoSpace: no memory, disk or address space for it.
	ErrNoSpace = syserr.ErrNoSpace
	// ErrStore: the directory of shared memory (/dev/shm) is missing.
	ErrStore = syserr.ErrStore
	// ErrNameGone: the name of an object that is open was removed, or stands for
	// another object by now, so whoever comes by that name does not meet those who
	// have this one open. They can go on among themselves. See Memory.CheckName.
	ErrNameGone = syserr.ErrNameGone
	// ErrPrivilege: the system wants a privilege, which the text names.
	ErrPrivilege = syserr.ErrPrivilege
	// ErrKindMismatch: an exact name belongs to another kind of object.
	ErrKindMismatch = layout.ErrKindMismatch
	// ErrVersion: made by a version that this one cannot read.
	ErrVersion = layout.ErrVersion
	// ErrCorrupt: what another process wrote makes no sense, or a file was
	// truncated below its users.
	ErrCorrupt = layout.ErrCorrupt
	// ErrBadToken: not a token, or not of this process or this object.
	ErrBadToken = layout.ErrBadToken
	// ErrOwnerDied: the previous owner died while holding the lock, so what the lock guards
	// may be half changed. The caller holds the lock now.
	ErrOwnerDied = object.ErrOwnerDied
	// ErrNotLocked: what is to be unlocked is not locked by this handle.
	ErrNotLocked = object.ErrNotLocked
	// ErrTooManyMembers: an object has as many users as it has room for.
	ErrTooManyMembers = object.ErrTooManyMembers
	// ErrTooManyHolds: as many messages are held, or slots on loan, as there is
	// room for.
	ErrTooManyHolds = object.ErrTooManyHolds
	// ErrChecksum: what was read is not what its checksum says.
	ErrChecksum = object.ErrChecksum
	// ErrTruncated: there was room for a part only.
	ErrTruncated = object.ErrTruncated
	// ErrType: a Go type whose values cannot lie in shared memory.
	ErrType = layout.ErrType
	// ErrPeerDied: the process at the other end has died, or has dropped what it had open
	// without Close.
	ErrPeerDied = object.ErrPeerDied
	// ErrEvicted: a reliable reader was too slow, and was passed over.
	ErrEvicted = layout.ErrEvicted
	// ErrPeerNotStarted: the other process does not run.
	ErrPeerNotStarted = syserr.ErrPeerNotStarted
)

package samepage

import (
	"io/fs"

	"samepage/internal/object"
	"samepage/internal/option"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// These are the errors of this package, for errors.Is. Each error text names the object, the value
// that was found and the value that was expected. If an object is missing, the error also matches
// fs.ErrNotExist. If an object exists already, it matches fs.ErrExist. If rights are missing, it
// matches fs.ErrPermission. In every package, an option out of range matches fs.ErrInvalid, and a
// bad size of an object is ErrZeroSize, ErrNegativeSize or ErrTooLarge.
var (
	// ErrClosed: the Memory or View is closed.
	ErrClosed = fs.ErrClosed
	// ErrBusy: the object is in use. ErrUnreleased and ErrTooManyPublishers match it, too. If neither
	// of them matches, a process uses the object: another one, or this one.
	ErrBusy = syserr.ErrBusy
	// ErrUnreleased: Close was called before the caller has given everything back: there are open
	// views, held messages or values, loans, calls in flight, or a lock that is held. The object
	// stays open. ErrUnreleased also matches ErrBusy.
	ErrUnreleased = object.ErrUnreleased
	// ErrTooManyPublishers: the topic has as many publishers as its options allow. It also matches
	// ErrBusy.
	ErrTooManyPublishers = object.ErrTooManyPublishers
	// ErrName: the text is not a valid name of an object.
	ErrName = object.ErrName
	// ErrZeroSize: an object or a view would have no bytes.
	ErrZeroSize = option.ErrZeroSize
	// ErrNegativeSize: a size or an offset is negative.
	ErrNegativeSize = option.ErrNegativeSize
	// ErrTooLarge: the size is more than MaxSize, or more than the address space holds.
	ErrTooLarge = syserr.ErrTooLarge
	// ErrRange: the offset or length goes past the end of the object.
	ErrRange = object.ErrRange
	// ErrAlignment: the offset is not a multiple of the number that the call requires.
	ErrAlignment = syserr.ErrAlignment
	// ErrNoSpace: there is not enough memory, disk space or address space.
	ErrNoSpace = syserr.ErrNoSpace
	// ErrStore: the directory of shared memory (/dev/shm) is missing.
	ErrStore = syserr.ErrStore
	// ErrNameGone: the name of an open object was removed, or now means another object. A process
	// that opens the name now does not get this object. The processes that have it open can still
	// use it together. See Memory.CheckName.
	ErrNameGone = syserr.ErrNameGone
	// ErrPrivilege: the system requires a privilege, which the text names.
	ErrPrivilege = syserr.ErrPrivilege
	// ErrKindMismatch: the exact name belongs to another kind of object.
	ErrKindMismatch = layout.ErrKindMismatch
	// ErrVersion: the object was made by a version of samepage that this version cannot read.
	ErrVersion = layout.ErrVersion
	// ErrCorrupt: another process wrote something that makes no sense, or it truncated a file
	// that is in use.
	ErrCorrupt = layout.ErrCorrupt
	// ErrBadToken: the text is not a token, or the token is for another process or another
	// object.
	ErrBadToken = layout.ErrBadToken
	// ErrOwnerDied: the previous owner died while holding the lock, so the data that the lock
	// guards may be half changed. The caller holds the lock now.
	ErrOwnerDied = object.ErrOwnerDied
	// ErrNotLocked: this handle does not hold the lock that it should unlock.
	ErrNotLocked = object.ErrNotLocked
	// ErrTooManyMembers: all places for members of the object are taken.
	ErrTooManyMembers = object.ErrTooManyMembers
	// ErrTooManyHolds: no more messages can be held, or no more slots can be on loan, at the same
	// time.
	ErrTooManyHolds = object.ErrTooManyHolds
	// ErrChecksum: the content does not match its checksum.
	ErrChecksum = object.ErrChecksum
	// ErrTruncated: there was space for only a part of the content.
	ErrTruncated = object.ErrTruncated
	// ErrType: values of this Go type cannot be stored in shared memory.
	ErrType = layout.ErrType
	// ErrPeerDied: the process at the other end has died, or has dropped its end without Close.
	ErrPeerDied = object.ErrPeerDied
	// ErrEvicted: a reliable reader was too slow, so the writer no longer waits for it.
	ErrEvicted = layout.ErrEvicted
	// ErrRetired: the topic was retired, because a publisher needs one of this name with other
	// options. Nobody publishes to it any more. It goes when all have closed it.
	ErrRetired = layout.ErrRetired
	// ErrDiffers: the object exists with other options than those of the caller. The text names each
	// difference.
	ErrDiffers = option.ErrDiffers
	// ErrPeerNotStarted: the other process is not running.
	ErrPeerNotStarted = syserr.ErrPeerNotStarted
)

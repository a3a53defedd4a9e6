// Package sys has the objects that processes share. It finds them by name, maps their bytes, hands
// them over to other processes, and holds the locks of their members. Only this package and the
// packages below it, internal/sys/..., call the operating system:
//
//	syserr       the errors, and functions that turn errors of the system into them
//	kernel       the calls of the system, only for the other packages here
//	window       windows that get messages (Windows)
//	process      identities of processes, handles to them, and what this process has open
//	waker        spinning, sleeping and waking
//	kernelevent  Win32 events (Windows)
//	store        the directories of objects, and what is wrong with them
//	lockfile     files that are locked while they are open
//	doctor       what the machine has for shared memory (it uses this package)
//
// Every function has the same signature and the same behaviour on each system. If a system cannot
// do something, the error is errors.ErrUnsupported. Packages that use this one need no files for
// single systems.
//
// # Names
//
// A named object has an entry in a directory. Each user of the object holds a shared kernel lock
// on a byte of the entry, the presence byte. The descriptor with this lock is opened only for this
// purpose, and is never duplicated, inherited or granted. So the kernel knows whether a living
// process uses the object. A process is present if it holds this lock. The rules are:
//
//   - create: the entry appears complete and with its creator present, or not at all.
//   - open: lock the byte, then check whether the entry still exists.
//   - close: unlock the byte, then try to lock it exclusively. A process that gets this lock was
//     the last user. It removes the entry before it unlocks the byte.
//   - death: a process that dies does none of this. If no process is present at an entry that does
//     not persist, the entry counts as removed: open says that it does not exist, and each process
//     that finds it removes it.
package sys

import (
	"fmt"
	"io/fs"
	"time"

	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// Spec says which object is meant, and how a new object is made.
type Spec struct {
	Name      string // checked by the caller
	Kind      layout.Kind
	Scope     layout.Scope
	Exact     bool            // Name is the kernel's name, of any program
	Access    layout.Access   // what the caller wants to do with it
	Size      int64           // of a new object; over a file, 0 means the size of the file
	Lifetime  layout.Lifetime // of a new object
	Sparse    bool            // reserve no space
	Later     bool            // reserve space for Init only; Object.Reserve reserves the rest
	File      string          // over this file; empty: over memory
	Exclusive bool            // nobody else may open File
	Truncate  bool            // discard what File has; only with Exclusive
	Perm      fs.FileMode     // Linux: permission bits of a new object
	SDDL      string          // Windows: security descriptor of a new object
	Owner     string          // the accepted owner of the object; empty: see store.CheckOwner
	Init      []byte          // first bytes of a new object
	// Joins: the maker of a new object holds the lock byte of member 0 when the name appears, see
	// Object.FirstMember. Not for exact names.
	Joins bool
}

// Object is an open object, which can be mapped. Its methods may be called concurrently, except
// Close, which comes last.
type Object struct {
	ID       layout.ID
	Kind     layout.Kind
	Scope    layout.Scope
	Name     string // empty when it has none
	Exact    bool
	Access   layout.Access // ReadWrite or ReadOnly, and what may be mapped
	Size     int64         // bytes
	Rounded  bool          // Size is only known rounded up to a page
	Lifetime layout.Lifetime
	File     string // path of the file below; empty: memory
	// Key is equal for two Objects of a process exactly when both are the same object with the
	// same access. (Bare handles on Windows cannot be compared, so each of them is its own object.)
	Key string

	first *MemberLocks // see FirstMember
	impl
}

// FirstMember returns the lock of member 0, if Create has taken it because of Spec.Joins. The
// caller has to close it. A second call returns nil.
func (o *Object) FirstMember() *MemberLocks {
	l := o.first
	o.first = nil
	return l
}

// Info has the facts about a named object that a process can see without joining its users.
type Info struct {
	Name      string          `json:"name"`
	Kind      layout.Kind     `json:"kind"`
	Scope     layout.Scope    `json:"scope"`
	Size      int64           `json:"size"`
	Allocated int64           `json:"allocated"` // bytes of memory or disk that it takes now
	Lifetime  layout.Lifetime `json:"lifetime"`
	InUse     bool            `json:"in_use"` // a living process uses it
	Owner     string          `json:"owner,omitempty"`
	Perm      string          `json:"perm,omitempty"` // as ls prints it, or SDDL
	Created   time.Time       `json:"created,omitzero"`
	ID        layout.ID       `json:"id"`
	File      string          `json:"file,omitempty"` // path of the file below
	Path      string          `json:"path,omitempty"` // where the system keeps it
	Rounded   bool            `json:"rounded,omitempty"`
	Exact     bool            `json:"exact,omitempty"`
	// Err says why some facts about the object are not known: it belongs to another user, or it is
	// damaged, or something else is in its place. Then InUse and all fields that are zero are not
	// known.
	Err error `json:"-"`
}

// Leftover is an object or a file that no living process uses and that may be removed.
type Leftover struct {
	Info
	Reason  string `json:"reason"` // why it may be removed
	Removed bool   `json:"removed"`
	Err     error  `json:"-"` // why it could not be removed
}

// checkRange returns an error if n bytes at off cannot be mapped. Errors: ErrAlignment,
// ErrTooLarge, fs.ErrPermission.
func (o *Object) checkRange(off int64, n int, a layout.Access) error {
	switch {
	case off%int64(Granularity()) != 0:
		return fmt.Errorf("offset %d is not a multiple of %d: %w", off, Granularity(), syserr.ErrAlignment)
	case off < 0 || n <= 0 || off > o.Size-int64(n):
		return fmt.Errorf("%d bytes at %d of %d: %w", n, off, o.Size, syserr.ErrTooLarge)
	case a == layout.ReadWrite && o.Access == layout.ReadOnly:
		return fmt.Errorf("%v view of an object open %v: %w", a, o.Access, fs.ErrPermission)
	}
	return nil
}

// Package sys has the objects that processes share: their names, their bytes and how they are
// mapped, how they are handed over, and the locks of their members. With the rooms below it,
// internal/sys/..., it is the only place that calls the operating system:
//
//	syserr       the errors, and what makes an error of the system one of them
//	kernel       the system's calls, for the other rooms only
//	window       windows that get messages (Windows)
//	process      names of processes, holds on them, what this process has open
//	waker        spinning, sleeping and waking
//	kernelevent  Win32 events (Windows)
//	store        the directories of objects, and what is wrong with them
//	lockfile     files that are locked by being open
//	doctor       what the machine has for shared memory (above this room)
//
// Every function has the same signature and the same behaviour on each system. What a system
// cannot do is errors.ErrUnsupported. The rooms above have no file for a single system.
//
// # Names
//
// A named object has an entry in a directory. Each user of the object holds a shared kernel lock
// on a byte of the entry (the presence byte), through a descriptor that is opened for that
// purpose and never duplicated, inherited or granted. So the kernel says whether a living
// process uses the object. The rules are:
//
//   - create: the entry appears complete and with its creator present, or not at all.
//   - open: lock the byte, then look whether the entry still exists.
//   - close: unlock the byte, then try to lock it exclusively. Who gets that lock was the last
//     user, and removes the entry before it unlocks the byte.
//   - a death does none of this. An entry where nobody is present, and that does not persist,
//     counts as removed: open says that it does not exist, and each process that finds it
//     removes it.
package sys

import (
	"fmt"
	"io/fs"
	"time"

	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// Spec says which object is meant, and what a new one shall be.
type Spec struct {
	Name      string // checked by the caller
	Kind      layout.Kind
	Scope     layout.Scope
	Exact     bool            // Name is the kernel's name, of any program
	Access    layout.Access   // what the caller wants to do with it
	Size      int64           // for a new object; a file: 0 means its size
	Lifetime  layout.Lifetime // of a new object
	Sparse    bool            // reserve no space
	File      string          // over this file; empty: over memory
	Exclusive bool            // nobody else may open File
	Truncate  bool            // discard what File has; only with Exclusive
	Perm      fs.FileMode     // Linux: permission bits of a new object
	SDDL      string          // Windows: security descriptor of a new object
	Owner     string          // whose object is accepted; empty: see store.CheckOwner
	Init      []byte          // first bytes of a new object
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
	// same access. (Bare handles on Windows, which nothing tells apart, are an object each.)
	Key string

	impl
}

// Info is what is known of a named object without joining its users.
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
	// Err says why not everything is known about the object: it is another user's, or damaged,
	// or something else is in its place. Then InUse is not known, and no field that is zero.
	Err error `json:"-"`
}

// Leftover is something that no living process holds.
type Leftover struct {
	Info
	Reason  string `json:"reason"` // why it may be removed
	Removed bool   `json:"removed"`
	Err     error  `json:"-"` // why it could not be removed
}

// checkRange says what is wrong with a mapping of n bytes at off. Errors: ErrAlignment,
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

// Package sys is the one room of this project that talks to the operating
// system: objects and their names, mappings, the descriptors that are handed
// over, and the way in which a process sleeps until another one wakes it.
//
// Every function has the same signature and the same behaviour on each system.
// What a system cannot do is errors.ErrUnsupported. The rooms above have no
// file for a single system.
//
// # Names
//
// A named object has an entry in a directory. Whoever uses the object holds a
// shared kernel lock on a byte of the entry (the presence byte) through a
// descriptor that is opened for that purpose and never duplicated, inherited
// or granted. So the kernel says whether anybody alive uses the object, and
// the rules are:
//
//   - create: the entry appears complete, with its creator present, or not at
//     all.
//   - open: join the present, then look whether the entry still stands.
//   - close: leave, then try to lock the byte exclusively; whoever gets it was
//     the last, and takes the entry away before letting go.
//   - a death does not run any of this. An entry where nobody is present, and
//     that is not to persist, is as good as gone: open says so, and whoever
//     comes across it takes it away.
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
	Owner     string          // whose object is accepted; empty: see CheckOwner
	Init      []byte          // first bytes of a new object
}

// Object is an open object: what can be mapped. Its methods may be called
// concurrently, but for Close, which comes last.
type Object struct {
	ID       layout.ID
	Kind     layout.Kind
	Scope    layout.Scope
	Name     string // empty when it has none
	Exact    bool
	Access   layout.Access // ReadWrite or ReadOnly, and what may be mapped
	Size     int64         // bytes
	Rounded  bool          // Size is known rounded up to a page only
	Lifetime layout.Lifetime
	File     string // path of the file below; empty: memory
	// Key is equal for two Objects of a process exactly when both are the same
	// object with the same access. (Bare handles on Windows, which nothing tells
	// apart, are an object each.)
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
	InUse     bool            `json:"in_use"` // somebody alive uses it
	Owner     string          `json:"owner,omitempty"`
	Perm      string          `json:"perm,omitempty"` // as ls prints it, or SDDL
	Created   time.Time       `json:"created,omitzero"`
	ID        layout.ID       `json:"id"`
	File      string          `json:"file,omitempty"` // path of the file below
	Path      string          `json:"path,omitempty"` // where the system keeps it
	Rounded   bool            `json:"rounded,omitempty"`
	// Err says why the object could not be looked at as a whole: it is another user's, or
	// damaged, or something else stands in its place. Then InUse is not known, nor
	// whatever is zero. nil: all is known.
	Err error `json:"-"`
}

// Leftover is something that nobody alive holds.
type Leftover struct {
	Info
	Reason  string `json:"reason"` // why it may go
	Removed bool   `json:"removed"`
	Err     error  `json:"-"` // why it could not be removed
}

// checkRange says what is wrong with a mapping of n bytes at off.
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

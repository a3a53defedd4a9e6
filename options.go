package samepage

import (
	"io/fs"

	"samepage/internal/object"
	"samepage/internal/option"
	"samepage/layout"
)

// MaxSize is the largest object, in bytes: 64 TiB.
const MaxSize = layout.MaxSize

// Options refine how an object is made or opened. The zero value, and nil, mean
// the default of each field.
type Options struct {
	// Scope of the name, unless the name has a prefix. Default Local.
	Scope Scope
	// Kind of the object. Default KindMemory.
	Kind Kind
	// Exact takes the name as the system's bare one, to meet programs that do
	// not know this package: the name of CreateFileMapping on Windows, that of
	// shm_open on Linux. There are no users to count then: on Linux the object
	// stays until it is removed, on Windows it goes with the last handle of any
	// program, and Size is rounded up to a page for those who open it.
	Exact bool
	// Access of the Memory, ReadWrite (default) or ReadOnly.
	Access Access
	// Lifetime of a new name. Default WhileUsed.
	Lifetime Lifetime
	// File has a new named object lie over this file, which is made if it is
	// missing, extended if it is shorter, and stays when the name goes.
	File string
	// Exclusive keeps others from opening File, or the file of MapFile: on
	// Windows everybody (share mode 0), on Linux all users of this package.
	Exclusive bool
	// Truncate discards what File has, or the file of MapFile, before it gets its
	// size, as CREATE_ALWAYS and O_TRUNC do. It needs Exclusive, for it takes the
	// ground from under whoever maps the file; a name that exists is found first,
	// but for one that is made at the same moment. An error behind that, such as
	// ErrNoSpace, leaves the file empty.
	Truncate bool
	// Sparse sets no space aside for a new object: it takes space as it is
	// written. Running out of it faults, but for ReadAt and WriteAt of Memory and View,
	// which give ErrNoSpace and read what was never written without space. Default: all of
	// it is set aside when it is made, and running out is ErrNoSpace.
	Sparse bool
	// Perm are the permission bits of a new object on Linux, of 0666. Default 0600.
	Perm fs.FileMode
	// SecurityDescriptor is that of a new object on Windows, as an SDDL string.
	// Default: its user and the system; of unnamed memory nobody, so that those to
	// whom it is handed have the rights of their handle and cannot get more.
	SecurityDescriptor string
	// Owner is the user (name or id, on Windows also a SID) whose object is
	// accepted when a name is opened; "*" accepts anybody's. Default: the
	// caller's own, and in Global also root's or the system's.
	Owner string
	// Init are the first bytes of a new object. They are there before anybody
	// else can open it.
	Init []byte
}

// spec makes the request to the rooms below, for a name that may be empty only where
// there is none. It is not checked yet.
func (o *Options) spec(name string) *object.Spec {
	if o == nil {
		o = &Options{}
	}
	return &object.Spec{
		Name: name, Kind: layout.Kind(o.Kind), Scope: layout.Scope(o.Scope), Exact: o.Exact, Access: layout.Access(o.Access),
		Lifetime: layout.Lifetime(o.Lifetime), Sparse: o.Sparse, File: o.File, Exclusive: o.Exclusive, Truncate: o.Truncate,
		Perm: o.Perm, SDDL: o.SecurityDescriptor, Owner: o.Owner, Init: o.Init,
	}
}

// checkOpen refuses what only counts when an object is made. Errors: fs.ErrInvalid.
func (o *Options) checkOpen() error {
	return option.OnlyCreate(o, "Lifetime", "File", "Exclusive", "Truncate", "Sparse", "Perm", "SecurityDescriptor", "Init")
}

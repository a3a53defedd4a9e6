package samepage

import (
	"io/fs"

	"samepage/internal/object"
	"samepage/internal/option"
	"samepage/layout"
)

// MaxSize is the largest object, in bytes: 64 TiB.
const MaxSize = 1 << 46

// Options say how an object is made or opened. nil and the zero value mean the default of each
// field. Open, Await, Stat and Remove refuse the fields that count only when an object is made
// (see Open). OpenOrCreate ignores these fields if the object exists.
type Options struct {
	// Scope is the scope of the name, unless the name has a prefix. Default Local.
	Scope Scope
	// Kind is the kind of the object. Default KindMemory.
	Kind Kind
	// Exact uses the name as the system has it, without a prefix or a directory of this package,
	// to meet programs that do not know this package. It is the name of CreateFileMapping on
	// Windows, and of shm_open on Linux. The users of an exact name are not counted: on Linux the
	// object stays until it is removed, on Windows it goes when the last handle of any program is
	// closed. On Windows a program that opens it sees Size rounded up to a page.
	Exact bool
	// Access is the access of the Memory: ReadWrite (default) or ReadOnly.
	Access Access
	// Lifetime is the lifetime of a new name. Default WhileUsed.
	Lifetime Lifetime
	// File is the path of a file. A new named object keeps its bytes in this file. The file is
	// made if it is missing, and extended if it is shorter. It stays when the name goes.
	File string
	// Exclusive keeps others from opening File, or the file of MapFile: on Windows everybody
	// (share mode 0), on Linux all users of this package.
	Exclusive bool
	// Truncate discards the content of File, or of the file of MapFile, before the file gets its
	// size, as CREATE_ALWAYS and O_TRUNC do. It needs Exclusive, because truncation breaks
	// existing mappings. Whether the name exists is checked before the truncation, but another
	// process may make the name between the two. If Create fails after the truncation, for
	// example with ErrNoSpace, the file stays empty.
	Truncate bool
	// Sparse reserves no space for a new object: the object takes space as it is written. If there
	// is no space then, a write to Bytes faults, but WriteAt of Memory and View returns
	// ErrNoSpace. ReadAt reads bytes that were never written without taking space for them. By
	// default all space is reserved when the object is made, and a lack of space is ErrNoSpace.
	Sparse bool
	// Perm has the permission bits of a new object on Linux, within 0666. Default 0600.
	Perm fs.FileMode
	// SecurityDescriptor is the security descriptor of a new object on Windows, as an SDDL
	// string. By default it admits the user and the system. For unnamed memory it admits nobody
	// by default: then a process to which the memory is handed has the rights of its handle and
	// cannot get more.
	SecurityDescriptor string
	// Owner is a user (name or id, on Windows also a SID). An object that is opened by name must
	// belong to this user; "*" accepts the objects of all users. Default: the caller, and in
	// Global also root or the system.
	Owner string
	// Init has the first bytes of a new object. They are there before anybody else can open the
	// object.
	Init []byte
}

// spec makes the request to the packages below. name is empty for an object without a name. The
// request is not checked yet.
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

// checkOpen refuses the options that count only when an object is made. Errors: fs.ErrInvalid.
func (o *Options) checkOpen() error {
	return option.OnlyCreate(o, "Lifetime", "File", "Exclusive", "Truncate", "Sparse", "Perm", "SecurityDescriptor", "Init")
}

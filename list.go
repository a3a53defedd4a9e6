package samepage

import (
	"cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"slices"
	"time"

	"samepage/internal/object"
	"samepage/internal/segment"
	"samepage/internal/sys"
	"samepage/internal/sys/process"
	"samepage/layout"
)

// Info is what List and Stat can say about a named object without becoming a user of it. In JSON,
// an unknown field is null, and "error" says why.
type Info struct {
	Name      string    `json:"name"`
	Kind      Kind      `json:"kind"`
	Scope     Scope     `json:"scope"`
	Size      int64     `json:"size"`      // bytes
	Allocated int64     `json:"allocated"` // bytes of memory or disk that the object takes now
	Lifetime  Lifetime  `json:"lifetime"`
	InUse     bool      `json:"in_use"` // a living process uses it
	Owner     string    `json:"owner,omitempty"`
	Perm      string    `json:"perm,omitempty"` // rights: as ls prints them, or SDDL
	Created   time.Time `json:"created,omitzero"`
	ID        ID        `json:"id"`
	File      string    `json:"file,omitempty"`    // path of the file that Options.File named
	Path      string    `json:"path,omitempty"`    // where the system keeps the object
	Rounded   bool      `json:"rounded,omitempty"` // Size is known only rounded up to a page
	Exact     bool      `json:"exact,omitempty"`   // Name is the name of the system, see Options.Exact
	// Err says why the object could not be read completely: it belongs to another user, it is
	// damaged, or its path holds something else. If Err is not nil, InUse is unknown, and so is
	// each field that is zero. If Err is nil, all fields are known.
	Err error `json:"-"`
}

// infoJSON is an Info whose fields can be null.
type infoJSON struct {
	Name      string    `json:"name"`
	Kind      Kind      `json:"kind"`
	Scope     Scope     `json:"scope"`
	Size      *int64    `json:"size"`
	Allocated *int64    `json:"allocated"`
	Lifetime  *Lifetime `json:"lifetime"`
	InUse     *bool     `json:"in_use"`
	Owner     string    `json:"owner,omitempty"`
	Perm      string    `json:"perm,omitempty"`
	Created   time.Time `json:"created,omitzero"`
	ID        *ID       `json:"id"`
	File      string    `json:"file,omitempty"`
	Path      string    `json:"path,omitempty"`
	Rounded   bool      `json:"rounded,omitempty"`
	Exact     bool      `json:"exact,omitempty"`
	Error     string    `json:"error,omitempty"`
}

func (i *Info) json() infoJSON {
	j := infoJSON{
		Name: i.Name, Kind: i.Kind, Scope: i.Scope, Size: known(i, i.Size), Allocated: known(i, i.Allocated),
		Lifetime: known(i, i.Lifetime), Owner: i.Owner, Perm: i.Perm, Created: i.Created, ID: known(i, i.ID),
		File: i.File, Path: i.Path, Rounded: i.Rounded, Exact: i.Exact,
	}
	if i.Err != nil {
		j.Error = i.Err.Error()
	} else {
		j.InUse = &i.InUse
	}
	return j
}

func infoOf(i sys.Info) Info {
	return Info{
		Name: i.Name, Kind: Kind(i.Kind), Scope: Scope(i.Scope), Size: i.Size, Allocated: i.Allocated, Lifetime: Lifetime(i.Lifetime),
		InUse: i.InUse, Owner: i.Owner, Perm: i.Perm, Created: i.Created, ID: ID(i.ID), File: i.File, Path: i.Path, Rounded: i.Rounded, Exact: i.Exact, Err: i.Err,
	}
}

// known is v, or nil if v is not known.
func known[T comparable](i *Info, v T) *T {
	var zero T
	if i.Err != nil && v == zero {
		return nil
	}
	return &v
}

// MarshalJSON gives the fields; an unknown field is null.
func (i Info) MarshalJSON() ([]byte, error) { return json.Marshal(i.json()) }

// Leftover is an object that no living process uses and that does not persist.
type Leftover struct {
	Info
	Reason  string `json:"reason"`  // why it may be removed
	Removed bool   `json:"removed"` // Clean has removed it
	Err     error  `json:"-"`       // why it could not be read or removed
	// MadeBy is the id of the process that made the object. It is 0 if it is not recorded, as for
	// plain memory on Linux.
	MadeBy int `json:"made_by,omitempty"`
	// Foreign: MadeBy belongs to another pid namespace, such as that of a container.
	Foreign bool `json:"made_in_other_pid_namespace,omitempty"`
	// Members are the processes that had a lock, an event, a topic or a cell open, as they
	// described themselves. There are none on Windows: there the bytes of an object are freed with
	// its last user.
	Members []DeadMember `json:"members,omitempty"`
}

// MarshalJSON gives the fields of Info, and then those of the Leftover.
func (l Leftover) MarshalJSON() ([]byte, error) {
	j := struct {
		infoJSON
		Reason  string       `json:"reason"`
		Removed bool         `json:"removed"`
		Error   string       `json:"error,omitempty"`
		MadeBy  int          `json:"made_by,omitempty"`
		Foreign bool         `json:"made_in_other_pid_namespace,omitempty"`
		Members []DeadMember `json:"members,omitempty"`
	}{l.Info.json(), l.Reason, l.Removed, "", l.MadeBy, l.Foreign, l.Members}
	if err := cmp.Or(l.Err, l.Info.Err); err != nil {
		j.Error = err.Error()
	}
	return json.Marshal(j)
}

// DeadMember is a member of a leftover object. Its process has died.
type DeadMember struct {
	Member
	Owner bool   `json:"owner,omitempty"` // it held the mutex or the write lock, or was the next to get it
	Reads uint64 `json:"reads,omitempty"` // number of read locks that it held
	// Role is the role of a member of a topic or a cell: "publisher", "reliable", "best-effort",
	// "writer", "reader".
	Role string `json:"role,omitempty"`
}

// Stat describes a named object without becoming a user of it. Options that count only when an
// object is made are refused, as Open refuses them.
//
// Errors: fs.ErrNotExist, fs.ErrPermission, ErrName, ErrCorrupt, ErrVersion, ErrStore,
// ErrKindMismatch (exact names), fs.ErrInvalid.
func Stat(name string, opts *Options) (_ Info, err error) {
	defer wrap(&err, "stat %q", name)
	if err := opts.checkOpen(); err != nil {
		return Info{}, err
	}
	i, err := object.Stat(opts.spec(name))
	if err != nil {
		return Info{}, err
	}
	return infoOf(i), nil
}

// List describes the objects of both scopes that somebody uses or that persist. They are sorted
// by scope, kind and name. List removes nothing, and does not become a user of any object. If the
// system has not set up a scope, this scope has no objects.
//
// Errors: ErrStore, fs.ErrPermission (the directory of a scope). If one object cannot be read,
// its error is in Info.Err.
func List() (_ []Info, err error) {
	defer wrap(&err, "list")
	return inBothScopes(func(s Scope) (all []Info, err error) {
		infos, err := sys.List(layout.Scope(s))
		for _, i := range infos {
			all = append(all, infoOf(i))
		}
		return all, err
	}, func(i *Info) *Info { return i })
}

// Leftovers describes the objects of both scopes that no living process uses and that do not
// persist: the objects that Clean would remove. Leftovers removes nothing.
//
// Errors: those of List. If one object cannot be read, its error is in Leftover.Err.
func Leftovers() (_ []Leftover, err error) {
	defer wrap(&err, "list leftovers")
	return inBothScopes(leftovers, func(l *Leftover) *Info { return &l.Info })
}

// Clean removes the objects that Leftovers describes, and describes what it has removed. It never
// touches an object that a living process uses, nor one that persists. Two processes can clean at
// the same time: each describes only what it has removed itself.
//
// Errors: those of List. If one object cannot be removed, its error is in Leftover.Err.
func Clean() (_ []Leftover, err error) {
	defer wrap(&err, "clean")
	return inBothScopes(func(s Scope) ([]Leftover, error) {
		// The members are read before the object goes.
		left, err := leftovers(s)
		if err == nil {
			left, err = remove(s, left)
		}
		return left, err
	}, func(l *Leftover) *Info { return &l.Info })
}

// leftovers are the objects of a scope that no living process holds.
func leftovers(s Scope) ([]Leftover, error) {
	found, err := sys.Clean(layout.Scope(s), true)
	var all []Leftover
	for _, f := range found {
		l := Leftover{Info: infoOf(f.Info), Reason: f.Reason, Err: f.Err}
		l.inquire()
		all = append(all, l)
	}
	return all, err
}

// remove removes the objects that no living process holds now. seen has the makers and members
// that were read before.
func remove(s Scope, seen []Leftover) ([]Leftover, error) {
	type key struct {
		path string
		id   ID
	}
	known := map[key]*Leftover{}
	for i := range seen {
		known[key{seen[i].Path, seen[i].ID}] = &seen[i]
	}
	found, err := sys.Clean(layout.Scope(s), false)
	var all []Leftover
	for _, f := range found {
		l := Leftover{Info: infoOf(f.Info), Reason: f.Reason, Removed: f.Removed, Err: f.Err}
		if k := known[key{l.Path, l.ID}]; k != nil {
			l.MadeBy, l.Foreign, l.Members = k.MadeBy, k.Foreign, k.Members
		}
		all = append(all, l)
	}
	return all, err
}

// Remove removes a name that nobody uses, also a name that persists. On Linux root may remove the
// names of all users, unless opts.Owner names one user. Options that count only when an object is
// made are refused, as Open refuses them.
//
// Errors: fs.ErrNotExist, ErrBusy (a living process uses it), fs.ErrPermission, ErrName,
// fs.ErrInvalid, and errors.ErrUnsupported for exact names on Windows, which exist only while a
// program has a handle of them.
func Remove(name string, opts *Options) (err error) {
	defer wrap(&err, "remove %q", name)
	if err := opts.checkOpen(); err != nil {
		return err
	}
	return object.Remove(opts.spec(name))
}

// inBothScopes are what f finds in each scope, sorted by scope, kind and name. It ignores that a
// global scope is not set up.
func inBothScopes[T any](f func(Scope) ([]T, error), of func(*T) *Info) ([]T, error) {
	all, err := f(Local)
	if err != nil {
		return nil, err
	}
	global, err := f(Global)
	if err != nil && !errors.Is(err, ErrPrivilege) && !errors.Is(err, fs.ErrPermission) {
		return nil, err
	}
	all = append(all, global...)
	slices.SortStableFunc(all, func(a, b T) int {
		i, j := of(&a), of(&b)
		return cmp.Or(cmp.Compare(i.Scope, j.Scope), cmp.Compare(i.Kind, j.Kind), cmp.Compare(i.Name, j.Name))
	})
	return all, nil
}

// openEntry opens a file that other users may have put there. It opens only a regular file.
func openEntry(path string) (*os.File, error) {
	want, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !want.Mode().IsRegular() {
		return nil, fs.ErrInvalid
	}
	// The file is opened for writing too: then a pipe that has replaced it meanwhile does not
	// block.
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	if is, err := f.Stat(); err != nil || !os.SameFile(want, is) {
		_ = f.Close()
		return nil, errors.Join(err, fs.ErrInvalid)
	}
	return f, nil
}

// recordIn is the record in a file, or nil if there is none.
func recordIn(f *os.File) *layout.Record {
	b := make([]byte, layout.RecordSize)
	if _, err := f.ReadAt(b, 0); err != nil {
		return nil
	}
	r, err := layout.ParseRecord(b)
	if err != nil {
		return nil
	}
	return r
}

// inquire finds out who made a leftover and who had it open. Nobody writes to the leftover any
// more, so it is read as a file. If that fails, these facts stay unknown.
func (l *Leftover) inquire() {
	f, err := openEntry(l.Path)
	if err != nil {
		return
	}
	defer f.Close()
	_ = segment.PeekDead(f, layout.Kind(l.Kind), l.Size, l.look) // on an error the members stay unknown
	if l.MadeBy == 0 {
		if r := recordIn(f); r != nil {
			l.MadeBy = int(r.PID)
		}
	}
}

// look reads the members of a segment, and its maker.
func (l *Leftover) look(h *segment.Handle, members []segment.Seen) {
	made := h.Header()
	l.MadeBy, l.Foreign = int(made.PID), made.Space != 0 && made.Space != process.PIDSpace()
	owner := h.Owner()
	for _, m := range members {
		l.Members = append(l.Members, DeadMember{
			Member: Member(m.Member()),
			Owner:  !owner.Free() && owner.Names(layout.OwnerOf(m.Slot, m.Incarnation)),
			Reads:  m.Held, Role: layout.Kind(l.Kind).Role(m.Role),
		})
	}
}

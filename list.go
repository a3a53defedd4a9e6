package samepage

import (
	"errors"
	"fmt"
	"io/fs"
	"sort"
	"time"

	"samepage/internal/sys"
)

// Info is what is known of a named object without joining its users.
type Info struct {
	Name      string    `json:"name"`
	Kind      Kind      `json:"kind"`
	Scope     Scope     `json:"scope"`
	Size      int64     `json:"size"`      // bytes
	Allocated int64     `json:"allocated"` // bytes of memory or disk that it takes now
	Lifetime  Lifetime  `json:"lifetime"`
	InUse     bool      `json:"in_use"` // somebody alive uses it
	Owner     string    `json:"owner,omitempty"`
	Perm      string    `json:"perm,omitempty"` // rights: as ls prints them, or SDDL
	Created   time.Time `json:"created,omitzero"`
	ID        ID        `json:"id"`
	File      string    `json:"file,omitempty"` // path of the file below
	Path      string    `json:"path,omitempty"` // where the system keeps it
	Rounded   bool      `json:"rounded,omitempty"`
}

// Leftover is something that nobody alive holds.
type Leftover struct {
	Info
	Reason  string `json:"reason"`  // why it may go
	Removed bool   `json:"removed"` // it is gone now
	Err     error  `json:"-"`       // why it could not be removed
}

// Stat tells about a named object without joining its users.
//
// Errors: fs.ErrNotExist, fs.ErrPermission, ErrName, ErrCorrupt, ErrVersion, ErrStore,
// ErrKindMismatch (exact names).
func Stat(name string, opts *Options) (Info, error) {
	s, err := opts.named(name)
	var i sys.Info
	if err == nil {
		i, err = sys.Stat(s)
	}
	if err == nil && s.Exact {
		err = exactKind(s, nil)
	}
	if err != nil {
		return Info{}, fmt.Errorf("samepage: stat %q: %w", name, err)
	}
	return Info(i), nil
}

// List tells about the objects of both scopes that somebody uses or that
// persist, sorted by scope, kind and name. What the dead left it takes away. A
// scope that the system does not have set up has none.
func List() ([]Info, error) {
	var all []Info
	err := scopes(func(s Scope) error {
		infos, err := sys.List(s)
		for _, i := range infos {
			all = append(all, Info(i))
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("samepage: list: %w", err)
	}
	sort.Slice(all, func(i, j int) bool { return before(&all[i], &all[j]) })
	return all, nil
}

// Clean takes away what nobody alive holds, in both scopes, and tells of each
// and why it may go. With dryRun it only tells. It never touches what a living
// process uses, nor what is to persist.
func Clean(dryRun bool) ([]Leftover, error) {
	var all []Leftover
	err := scopes(func(s Scope) error {
		ls, err := sys.Clean(s, dryRun)
		for _, l := range ls {
			all = append(all, Leftover{Info: Info(l.Info), Reason: l.Reason, Removed: l.Removed, Err: l.Err})
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("samepage: clean: %w", err)
	}
	sort.Slice(all, func(i, j int) bool { return before(&all[i].Info, &all[j].Info) })
	return all, nil
}

// Remove takes a name away that nobody uses, also one that persists.
//
// Errors: fs.ErrNotExist, ErrBusy (somebody alive uses it), fs.ErrPermission,
// ErrName, and errors.ErrUnsupported for exact names on Windows, which go with
// their last handle.
func Remove(name string, opts *Options) error {
	s, err := opts.named(name)
	if err == nil {
		err = sys.Remove(s)
	}
	if err != nil {
		return fmt.Errorf("samepage: remove %q: %w", name, err)
	}
	return nil
}

// scopes calls f for each scope and forgives a global one that is not set up.
func scopes(f func(Scope) error) error {
	if err := f(Local); err != nil {
		return err
	}
	err := f(Global)
	if errors.Is(err, ErrPrivilege) || errors.Is(err, fs.ErrPermission) {
		return nil
	}
	return err
}

func before(a, b *Info) bool {
	switch {
	case a.Scope != b.Scope:
		return a.Scope < b.Scope
	case a.Kind != b.Kind:
		return a.Kind < b.Kind
	}
	return a.Name < b.Name
}

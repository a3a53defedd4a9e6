//go:build linux || windows

package sys

import (
	"samepage/internal/sys/store"
	"samepage/layout"
)

// Open joins the users of a named object.
//
// Errors: fs.ErrNotExist, fs.ErrPermission, layout.ErrCorrupt, layout.ErrVersion, ErrStore,
// ErrBusy; for exact names also layout.ErrKindMismatch and fs.ErrInvalid.
func Open(s *Spec) (*Object, error) {
	if s.Exact {
		return openExact(s)
	}
	return inDir(s.Scope, false, func(d *store.Dir) (*Object, error) { return open(d, s) })
}

// inDir opens the directory of a scope for f. The object that f returns keeps the directory open;
// if there is none, the directory is closed.
func inDir(scope layout.Scope, create bool, f func(*store.Dir) (*Object, error)) (*Object, error) {
	d, err := store.Open(scope, create)
	if err != nil {
		return nil, err
	}
	o, err := f(d)
	if err != nil {
		d.Close()
		return nil, err
	}
	return o, nil
}

// CreateUnnamed makes an object without a name. Only processes to which it is handed over can use
// it.
//
// Errors: ErrNoSpace, ErrTooLarge, fs.ErrInvalid.
func CreateUnnamed(s *Spec) (*Object, error) {
	return withSpace(func() (*Object, error) { return createUnnamed(s) })
}

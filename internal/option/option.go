// Package option has the error that all packages return for an option that is out of range.
package option

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"samepage/layout"
)

// Error says that the value of an option or a parameter is out of range. It matches fs.ErrInvalid
// and, if Also is not nil, Also.
type Error struct {
	Name  string // of the option, as the caller writes it
	Value string
	Want  string // the range
	Also  error  // a more precise error, or nil
}

func (e *Error) Error() string {
	why := fs.ErrInvalid
	if e.Also != nil {
		why = e.Also
	}
	return fmt.Sprintf("%s is %s, want %s: %v", e.Name, e.Value, e.Want, why)
}

// Unwrap gives fs.ErrInvalid and, if it is not nil, Also.
func (e *Error) Unwrap() []error {
	if e.Also == nil {
		return []error{fs.ErrInvalid}
	}
	return []error{fs.ErrInvalid, e.Also}
}

// Bad returns an Error.
func Bad(name string, value any, want string) error {
	return &Error{Name: name, Value: fmt.Sprint(value), Want: want}
}

// Range refuses v if it is less than least or more than most.
func Range[T cmp.Ordered](name string, v, least, most T) error {
	if v >= least && v <= most {
		return nil
	}
	return Bad(name, v, fmt.Sprintf("%v to %v", least, most))
}

// AtLeast refuses v if it is less than least.
func AtLeast[T cmp.Ordered](name string, v, least T) error {
	if v >= least {
		return nil
	}
	return Bad(name, v, fmt.Sprintf("%v or more", least))
}

// These are the errors of a size that is out of range.
var (
	ErrZeroSize     = errors.New("size is zero")
	ErrNegativeSize = errors.New("negative size or offset")
	ErrTooLarge     = errors.New("too large")
)

// Size refuses a parameter of v bytes unless v is 1 to most. The error is one of those above, and
// does not match fs.ErrInvalid.
func Size(name string, v, most int64) error {
	if e := badSize(name, v, most); e != nil {
		return fmt.Errorf("%s is %s, want %s: %w", e.Name, e.Value, e.Want, e.Also)
	}
	return nil
}

// SizeOption refuses an option of v bytes unless v is 1 to most. The error is one of those above,
// and also matches fs.ErrInvalid.
func SizeOption(name string, v, most int64) error {
	if e := badSize(name, v, most); e != nil {
		return e
	}
	return nil
}

func badSize(name string, v, most int64) *Error {
	var also error
	switch {
	case v < 0:
		also = ErrNegativeSize
	case v == 0:
		also = ErrZeroSize
	case v > most:
		also = ErrTooLarge
	default:
		return nil
	}
	return &Error{Name: name, Value: fmt.Sprint(v), Want: fmt.Sprintf("1 to %d", most), Also: also}
}

// OneOf refuses v unless it is one of all.
func OneOf[T comparable](name string, v T, all ...T) error {
	if slices.Contains(all, v) {
		return nil
	}
	words := make([]string, len(all))
	for i, a := range all {
		words[i] = fmt.Sprint(a)
	}
	return Bad(name, v, strings.Join(words, " or "))
}

// Named refuses options that no object with a name can have.
func Named(scope layout.Scope, lifetime layout.Lifetime, perm fs.FileMode) error {
	if err := OneOf("Scope", scope, layout.Local, layout.Global); err != nil {
		return err
	}
	if err := OneOf("Lifetime", lifetime, layout.WhileUsed, layout.Persist); err != nil {
		return err
	}
	const most = 0o666
	if perm&^most != 0 {
		return Bad("Perm", fmt.Sprintf("%#o", uint32(perm)), fmt.Sprintf("bits of %#o", most))
	}
	return nil
}

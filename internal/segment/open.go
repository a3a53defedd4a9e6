package segment

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"samepage"
	"samepage/internal/sys"
)

// Create makes a memory of that name with the new segment in it. opts is where
// and for whom; Kind and Init are filled in.
//
// Errors: those of samepage.Create, by Inner.
func (s *Spec) Create(opts *samepage.Options, name string) (*samepage.Memory, error) {
	b, size, err := s.Init()
	if err != nil {
		return nil, err
	}
	o := *opts
	o.Kind, o.Init = s.Kind, b
	m, err := samepage.Create(name, size, &o)
	if err != nil {
		return nil, Inner(err)
	}
	return m, nil
}

// OpenOrCreate opens the memory of that name, or makes it as Create does.
//
// Errors: those of samepage.Open and Create, by Inner.
func (s *Spec) OpenOrCreate(opts *samepage.Options, name string) (*samepage.Memory, error) {
	m, _, err := OpenOrCreate(
		func() (*samepage.Memory, error) {
			o := *opts
			o.Kind = s.Kind
			return OpenMemory(name, &o)
		},
		func() (*samepage.Memory, error) { return s.Create(opts, name) })
	return m, err
}

// OpenMemory opens the memory of a segment, to join it.
//
// Errors: those of samepage.Open, by Inner. Where the system refuses to have it written the
// text tells that members do, and which rights serve.
func OpenMemory(name string, opts *samepage.Options) (*samepage.Memory, error) {
	m, err := samepage.Open(name, opts)
	if err == nil {
		return m, nil
	}
	err = Inner(err)
	if opts.Access == samepage.ReadWrite && sys.Refused(err) {
		err = fmt.Errorf("%w: all members of a %v, also those that only read it, write their place in its member table; "+
			"its maker allows that to a group with Perm 0660 (--perm), to everybody with 0666, on Windows with SecurityDescriptor (--sddl)",
			err, opts.Kind)
	}
	return nil, err
}

// OpenOrCreate does open or create, whichever works. Others may come and go
// between the two, but hardly many times in a row.
func OpenOrCreate[T any](open, create func() (T, error)) (o T, existed bool, err error) {
	for range 100 {
		if o, err = open(); err == nil || !errors.Is(err, fs.ErrNotExist) {
			return o, true, err
		}
		if o, err = create(); err == nil || !errors.Is(err, fs.ErrExist) {
			return o, false, err
		}
	}
	return o, false, err
}

// Await calls open until it finds something else than fs.ErrNotExist; wrap is for the
// error of ctx.
func Await[T any](ctx context.Context, open func() (T, error), wrap func(error) error) (o T, err error) {
	ended := Until(ctx, func() (bool, error) {
		o, err = open()
		return !errors.Is(err, fs.ErrNotExist), nil
	})
	if ended != nil {
		err = wrap(ended)
	}
	return o, err
}

// Inner is an error of package samepage without the words that name the object
// and what was tried, which the caller has better ones for.
func Inner(err error) error {
	if in := errors.Unwrap(err); in != nil {
		return in
	}
	return err
}

// Deadline gives the deadline of a context its second face: an error that also
// matches os.ErrDeadlineExceeded.
func Deadline(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return deadlineError{err}
	}
	return err
}

type deadlineError struct{ error }

func (e deadlineError) Unwrap() error      { return e.error }
func (deadlineError) Is(target error) bool { return target == os.ErrDeadlineExceeded }

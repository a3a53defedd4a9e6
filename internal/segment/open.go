package segment

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"samepage/internal/fault"
	"samepage/internal/object"
	"samepage/internal/sys/process"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// Create makes an object with the new segment in it. o says its name, where it is and who may
// open it. Create fills in Kind, Size and Init.
//
// When the name appears, the caller already is a member with the role of s: First. So nobody who
// opens the segment finds it without its maker while the maker lives. The exception is an object
// with an exact name: there Open joins.
//
// Errors: fs.ErrInvalid, and those of object.Create.
func (s *Spec) Create(o *object.Spec) (*Object, error) {
	b, h, err := s.init()
	if err != nil {
		return nil, err
	}
	n := *o
	n.Kind, n.Size, n.Init, n.Joins = s.Kind, int64(h.Size), b, !o.Exact
	if n.Joins {
		if _, err := process.Myself(); err != nil {
			return nil, err // the slot would not name the process
		}
		New(b, h, nil, nil).enter(First.Slot(), s.Role)
	}
	obj, first, err := object.CreateJoined(&n)
	if err != nil {
		return nil, err
	}
	fault.At(fault.SegmentMade)
	if first == nil {
		return &Object{Object: obj}, nil
	}
	return &Object{Object: obj, first: first}, nil
}

// OpenOrCreate opens the object of that name, or makes it as Create does. existed says which.
//
// Errors: those of OpenObject and Create.
func (s *Spec) OpenOrCreate(o *object.Spec) (obj *Object, existed bool, err error) {
	return object.OpenOrCreate(
		func() (*Object, error) {
			n := *o
			n.Kind = s.Kind
			return OpenObject(&n)
		},
		func() (*Object, error) { return s.Create(o) })
}

// Way says how a constructor gets to its segment.
type Way int

const (
	ToCreate       Way = iota // it creates the segment, and fails if there is one
	ToOpen                    // it opens the segment, and fails if there is none
	ToOpenOrCreate            // it does what is possible
)

// Get creates or opens the object of that name. existed says which.
//
// Errors: those of Create and OpenObject.
func (s *Spec) Get(way Way, o *object.Spec) (obj *Object, existed bool, err error) {
	switch way {
	case ToCreate:
		obj, err = s.Create(o)
		return obj, false, err
	case ToOpen:
		n := *o
		n.Kind = s.Kind
		obj, err = OpenObject(&n)
		return obj, true, err
	}
	return s.OpenOrCreate(o)
}

// Unmake removes the object of o if Get has made it, its maker cannot use it, and it would persist.
// If others use it already, it stays. existed is the result of Get.
//
// Preconditions:
//   - The maker has closed it.
func Unmake(existed bool, o *object.Spec) {
	if !existed && o.Lifetime == layout.Persist {
		_ = object.Remove(o)
	}
}

// OpenObject opens the object of a segment, to join it.
//
// Errors: those of object.Open. If the system refuses write access, the text says that members
// need it, and which rights give it.
func OpenObject(o *object.Spec) (*Object, error) {
	obj, err := object.Open(o)
	if err == nil {
		return &Object{Object: obj}, nil
	}
	if o.Access == layout.ReadWrite && syserr.Refused(err) {
		err = fmt.Errorf("%w: all members of a %v write to its member table, also those that only read; "+
			"its maker can allow that to a group with Perm 0660 (--perm), to everybody with 0666, on Windows with SecurityDescriptor (--sddl)",
			err, o.Kind)
	}
	return nil, err
}

// NotYet says whether err is the error of an open that may succeed later: there is no object of
// that name, or only one that was retired.
func NotYet(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, layout.ErrRetired)
}

// Await calls open until its error is not NotYet. wrap adds context to the error of ctx.
func Await[T any](ctx context.Context, open func() (T, error), wrap func(error) error) (o T, err error) {
	ended := Until(ctx, func() (bool, error) {
		o, err = open()
		return !NotYet(err), nil
	})
	if ended != nil {
		err = wrap(ended)
	}
	return o, err
}

// OrNil returns v, or nil together with an error. It ends constructors that fill a new v.
func OrNil[T any](v *T, err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	return v, nil
}

// Deadline makes the error of a context's deadline also match os.ErrDeadlineExceeded.
func Deadline(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return deadlineError{err}
	}
	return err
}

type deadlineError struct{ error }

func (e deadlineError) Unwrap() error      { return e.error }
func (deadlineError) Is(target error) bool { return target == os.ErrDeadlineExceeded }
func (deadlineError) Timeout() bool        { return true } // for net.Error

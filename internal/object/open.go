package object

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"samepage/internal/edge"
	"samepage/internal/option"
	"samepage/internal/sys"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// Spec says which object is meant, and how a new one is made. Create, Open, OpenOrCreate,
// CreateUnnamed and MapFile check it, and do not change it.
type Spec = sys.Spec

// check refuses options that no object can have. Errors: fs.ErrInvalid.
func check(s *Spec) error {
	if err := option.Named(s.Scope, s.Lifetime, s.Perm); err != nil {
		return err
	}
	if err := option.OneOf("Kind", s.Kind, layout.Kinds()...); err != nil {
		return err
	}
	if err := option.OneOf("Access", s.Access, layout.ReadWrite, layout.ReadOnly); err != nil {
		return err
	}
	if s.Truncate && !s.Exclusive {
		return option.Bad("Truncate", true, "false without Exclusive")
	}
	return nil
}

// Named is a checked copy of s. The prefixes Local\ and Global\ of the name choose the scope and
// are removed. Errors: ErrName, fs.ErrInvalid.
func Named(s *Spec) (*Spec, error) {
	if err := check(s); err != nil {
		return nil, err
	}
	t := *s
	if rest, ok := strings.CutPrefix(s.Name, `Local\`); ok {
		t.Name, t.Scope = rest, layout.Local
	} else if rest, ok := strings.CutPrefix(s.Name, `Global\`); ok {
		t.Name, t.Scope = rest, layout.Global
	}
	if err := layout.CheckName(t.Name); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrName, err)
	}
	return &t, nil
}

// checkSize refuses a size that no new object can have, and first bytes that do not fit. Errors:
// ErrZeroSize, ErrNegativeSize, ErrTooLarge, ErrRange.
func checkSize(s *Spec) error {
	if err := option.Size("size", s.Size, layout.MaxSize); err != nil {
		return err
	}
	if int64(len(s.Init)) > s.Size {
		return &option.Error{
			Name: "Init", Value: fmt.Sprintf("%d bytes", len(s.Init)),
			Want: fmt.Sprintf("at most the size, %d", s.Size), Also: ErrRange,
		}
	}
	return nil
}

// nameEdges has a word for the race detector. What a goroutine does before it makes an object
// happens before what another goroutine does after it has opened the object by name.
func nameEdges(s *Spec) edge.Object {
	return edge.Of(struct {
		name  string
		scope layout.Scope
		kind  layout.Kind
		exact bool
	}{s.Name, s.Scope, s.Kind, s.Exact})
}

// Create makes the object and opens it. It opens for reading and writing, whatever s.Access is,
// because the maker writes at least the first bytes.
//
// Errors: fs.ErrExist, ErrName, ErrZeroSize, ErrNegativeSize, ErrTooLarge, ErrRange (of Init),
// fs.ErrInvalid, ErrKindMismatch (exact names), and those of sys.Create.
func Create(s *Spec) (*Object, error) {
	o, _, err := CreateJoined(s)
	return o, err
}

// CreateJoined is Create. If s.Joins is set, it also returns the lock of member 0, which the caller
// has to close.
func CreateJoined(s *Spec) (*Object, *sys.MemberLocks, error) {
	s, err := Named(s)
	if err != nil {
		return nil, nil, err
	}
	if s.Truncate && s.File == "" {
		return nil, nil, option.Bad("Truncate", true, "false without File")
	}
	if s.File == "" || s.Truncate || s.Size != 0 {
		if err := checkSize(s); err != nil {
			return nil, nil, err
		}
	}
	if s.File != "" && s.Size == 0 {
		if s.Size, err = fileSize(s); err != nil {
			return nil, nil, err
		}
	}
	s.Access = layout.ReadWrite
	nameEdges(s).Release(0)
	o, err := sys.Create(s)
	if s.Exact && s.Kind == layout.Memory && errors.Is(err, fs.ErrExist) {
		if other := CheckExact(s); errors.Is(other, layout.ErrKindMismatch) {
			err = other
		}
	}
	if err != nil {
		return nil, nil, damaged(s, err)
	}
	first := o.FirstMember() // Own may close o
	return Own(o), first, nil
}

// damaged adds to ErrCorrupt the command that removes the object.
func damaged(s *Spec, err error) error {
	return syserr.Damaged(err, s.Kind, s.Scope, s.Name, s.Exact)
}

// Damaged adds to ErrCorrupt the command that removes the object.
func (o *Object) Damaged(err error) error {
	return syserr.Damaged(err, o.Sys.Kind, o.Sys.Scope, o.Sys.Name, o.Sys.Exact)
}

// fileSize is the size of the file below an object, for a maker that gave no size.
func fileSize(s *Spec) (int64, error) {
	t := *s
	t.Access, t.Exclusive, t.Truncate = layout.ReadOnly, false, false
	o, err := sys.MapFile(&t)
	if err != nil {
		return 0, err
	}
	defer o.Close()
	if o.Size == 0 {
		return 0, fmt.Errorf("file %s is empty: %w", s.File, option.ErrZeroSize)
	}
	return o.Size, nil
}

// Open opens an object by its name. It never makes one, and never waits for one.
//
// Errors: fs.ErrNotExist, ErrName, fs.ErrInvalid, ErrKindMismatch (exact names), and those
// of sys.Open.
func Open(s *Spec) (*Object, error) {
	s, err := Named(s)
	if err != nil {
		return nil, err
	}
	s.Truncate = false // it counts only when the object is made
	o, err := sys.Open(s)
	if err != nil {
		return nil, damaged(s, err)
	}
	nameEdges(s).Acquire(0)
	obj := Own(o)
	if s.Exact {
		if err := obj.checkExact(); err != nil {
			return nil, errors.Join(err, obj.Release())
		}
	}
	return obj, nil
}

// CheckExact checks whether the bytes behind an exact name are of the kind of s. If the object
// cannot be opened, there is no error. Errors: ErrKindMismatch, ErrVersion, ErrCorrupt.
func CheckExact(s *Spec) error {
	t := *s
	t.Access = layout.ReadOnly
	o, err := sys.Open(&t)
	if err != nil {
		return nil
	}
	obj := Own(o)
	defer obj.Release()
	return obj.checkExact()
}

// checkExact refuses an object whose bytes are not of its kind, because any program may have made
// an exact name. If the system itself has kinds (Windows), it has refused such an object before.
func (o *Object) checkExact() error {
	head := make([]byte, min(layout.SegmentHeaderSize, o.Sys.Size))
	if err := o.ReadAt(head, 0); err != nil {
		return nil // the use of the object will return this error
	}
	if o.Sys.Kind != layout.Memory {
		_, err := layout.ParseSegment(head, o.Sys.Kind, o.Sys.Size)
		return o.Damaged(err)
	}
	if layout.IsSegment(head) {
		return fmt.Errorf("its bytes are a lock, an event, a topic or a cell: %w", layout.ErrKindMismatch)
	}
	return nil
}

// OpenOrCreate calls open and create in turn until one of them works. existed says whether it was
// open. Between the two another process may remove or make the name, but hardly many times in a
// row.
func OpenOrCreate[T any](open, create func() (T, error)) (o T, existed bool, err error) {
	for range 100 {
		if o, err = open(); err == nil || !errors.Is(err, fs.ErrNotExist) {
			return o, err == nil, err
		}
		if o, err = create(); err == nil || !errors.Is(err, fs.ErrExist) {
			return o, false, err
		}
	}
	return o, false, err
}

// CreateUnnamed makes an object without a name.
//
// Errors: ErrZeroSize, ErrNegativeSize, ErrTooLarge, ErrRange (of Init), fs.ErrInvalid (options
// out of range, or options that unnamed memory cannot have), and those of sys.CreateUnnamed.
func CreateUnnamed(s *Spec) (*Object, error) {
	if err := check(s); err != nil {
		return nil, err
	}
	switch {
	case s.File != "":
		return nil, option.Bad("File", fmt.Sprintf("%q", s.File), "none for unnamed memory (use MapFile)")
	case s.Exact:
		return nil, option.Bad("Exact", true, "false for unnamed memory (use Create)")
	case s.Truncate:
		return nil, option.Bad("Truncate", true, "false without File")
	}
	if err := checkSize(s); err != nil {
		return nil, err
	}
	o, err := sys.CreateUnnamed(s)
	if err != nil {
		return nil, err
	}
	return Own(o), nil
}

// MapFile opens the file s.File as an object. The object has no name of its own. Size 0 means the
// size of the file.
//
// Errors: ErrZeroSize (the file is empty), ErrNegativeSize, ErrTooLarge, fs.ErrPermission,
// fs.ErrInvalid (options out of range, or options that a file cannot have), and those of
// sys.MapFile.
func MapFile(s *Spec) (*Object, error) {
	if err := check(s); err != nil {
		return nil, err
	}
	switch {
	case s.Exact:
		return nil, option.Bad("Exact", true, "false for a file (use Create)")
	case len(s.Init) > 0:
		return nil, option.Bad("Init", fmt.Sprintf("%d bytes", len(s.Init)), "none for a file")
	}
	if s.Truncate && s.Access != layout.ReadWrite {
		return nil, fmt.Errorf("truncating needs write access, but the access is %v: %w", s.Access, fs.ErrPermission)
	}
	if s.Truncate || s.Size != 0 {
		if err := checkSize(s); err != nil {
			return nil, err
		}
	}
	o, err := sys.MapFile(s)
	if err != nil {
		return nil, err
	}
	if o.Size == 0 {
		return nil, errors.Join(fmt.Errorf("the file is empty: %w", option.ErrZeroSize), o.Close())
	}
	return Own(o), nil
}

// Stat describes an object without becoming a user of it. Errors: ErrName, fs.ErrInvalid,
// ErrKindMismatch (exact names), and those of sys.Stat.
func Stat(s *Spec) (sys.Info, error) {
	s, err := Named(s)
	if err != nil {
		return sys.Info{}, err
	}
	i, err := sys.Stat(s)
	if err == nil && s.Exact {
		err = CheckExact(s)
	}
	return i, damaged(s, err)
}

// Absent says whether nothing has that name now. It is much cheaper than Open, and verifies
// nothing: it is for those who have called Open before.
func Absent(s *Spec) bool {
	s, err := Named(s)
	return err == nil && !s.Exact && sys.Absent(s)
}

// Remove removes a name that nobody uses. Errors: ErrName, fs.ErrInvalid, and those of
// sys.Remove.
func Remove(s *Spec) error {
	s, err := Named(s)
	if err != nil {
		return err
	}
	return sys.Remove(s)
}

// Package cell has one latest value in shared memory: bytes of any size, or a Go type.
//
// A [Writer] writes a new value beside the ones before and then makes it the latest: readers
// never wait for it, and it never waits for them. A [Reader] sees a whole value, in place or
// as a copy, however fast the value changes. Several writers take turns; when one dies, what
// it had not finished is dropped, and the value before stays. docs/protocol/lane.md tells
// how.
//
// A Writer or Reader that is dropped without Close is taken back when the garbage collector
// finds it, and what a writer had not finished is dropped, as if it had died. It is not
// dropped while one of its loans, values or held values is reachable. A reference to their
// bytes alone does not keep it.
//
// [WriterOf] and [ReaderOf] are for cells whose values are of one Go type.
//
// In the terms of the Go memory model a Set happens before the return of the Load or Changed
// that sees its value, and each writer's turn before the next one. The race detector knows that
// of the goroutines of one process; docs/race.md.
package cell

import (
	"fmt"
	"io/fs"
	"sync/atomic"

	"samepage"
	"samepage/internal/forgotten"
	"samepage/internal/lane"
	"samepage/internal/laneseg"
	"samepage/internal/object"
	"samepage/internal/option"
	"samepage/internal/segment"
	"samepage/layout"
)

// Options say how a cell is created. The zero value, and nil, mean the default of each
// field. Scope and Owner are as in samepage.Options, and are also for a cell that exists. The
// others are for a new cell only: OpenWriter and AwaitWriter refuse them.
//
// Lifetime, Perm and SecurityDescriptor are as in samepage.Options. Readers write their
// entry in the member table, too: with Perm 0644 nobody else may read, with 0660 the group
// and with 0666 everybody may.
type Options struct {
	Scope    samepage.Scope
	Lifetime samepage.Lifetime
	// Members is how many readers and writers there may be at a time: 1 to 1024, by default
	// 16. That is less than the 64 of a lock, for each member costs the memory of two values,
	// and of two more for each value that it may hold.
	Members int
	// Holds is how many values each reader may hold besides the one that it looks at: up to
	// 1023, by default none.
	Holds int
	// Checksums adds a CRC-32C of its bytes to each value, which readers check.
	Checksums bool
	// Times adds the time at which it was written to each value.
	Times bool

	Perm               fs.FileMode
	SecurityDescriptor string
	Owner              string
}

// unset refuses options that only a new cell takes.
func (o *Options) unset() error {
	return option.OnlyCreate(o, "Lifetime", "Members", "Holds", "Checksums", "Times", "Perm", "SecurityDescriptor")
}

func (o *Options) plan(size int, ty *layout.Type) (*laneseg.Plan, error) {
	s := lane.Settings{MaxSize: int64(size), Readers: o.Members, Holds: o.Holds}
	if s.Readers == 0 {
		s.Readers = 16
	}
	if o.Checksums {
		s.Flags |= layout.LaneChecksum
	}
	if o.Times {
		s.Flags |= layout.LaneTime
	}
	if err := option.Size("size", s.MaxSize, lane.MaxSize); err != nil {
		return nil, err
	}
	if err := option.Named(layout.Scope(o.Scope), layout.Lifetime(o.Lifetime), o.Perm); err != nil {
		return nil, err
	}
	c, of, err := s.CellConfig()
	if err != nil {
		return nil, err
	}
	p := &laneseg.Plan{Kind: layout.Cell, Config: c, Offsets: of, Type: ty}
	return p, p.Check()
}

// Size is how many bytes of shared memory a cell takes whose values have up to size
// bytes.
//
// Errors: samepage.ErrZeroSize, ErrNegativeSize, ErrTooLarge, fs.ErrInvalid (options out of
// range).
func (o *Options) Size(size int) (int64, error) {
	if o == nil {
		o = &Options{}
	}
	p, err := o.plan(size, nil)
	if err != nil {
		return 0, fmt.Errorf("cell: %w", err)
	}
	return p.Size(), nil
}

// spec names the cell, and says where and for whom it is.
func (o *Options) spec(name string) *object.Spec {
	return &object.Spec{
		Name: name, Scope: layout.Scope(o.Scope), Kind: layout.Cell, Lifetime: layout.Lifetime(o.Lifetime), Perm: o.Perm,
		SDDL: o.SecurityDescriptor, Owner: o.Owner,
	}
}

// member is what a writer and a reader have in common. Writers, readers, loans and values
// refer to it, and nothing else does: so it is collected when the last of them is.
type member struct {
	name  string
	h     *segment.Handle
	set   *lane.Set
	guard forgotten.Guard
}

func (m *member) wrap(op string, err error) error { return wrap(op, m.name, err) }

func wrap(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("cell: %s %q: %w", op, name, segment.Deadline(err))
}

// Name is the name of the cell.
func (m *member) Name() string { return m.name }

// ID tells the cell from all others that exist: all members see the same ID.
func (m *member) ID() samepage.ID { return samepage.ID(m.h.ID()) }

// CheckName looks whether the name still leads to this cell, as
// [samepage.Memory.CheckName] does.
//
// Errors: samepage.ErrNameGone, samepage.ErrClosed; any other error says that it is not
// known.
func (m *member) CheckName() error { return m.wrap("look at the name of", m.h.CheckName()) }

// Generation is that of the latest value, 0 when none was written yet.
func (m *member) Generation() uint64 { return m.set.Generation() }

// Writing says whether it is the turn of a writer.
func (m *member) Writing() bool { return atomic.LoadUint64(m.set.Owner(0)) != 0 }

// Cap is how many bytes a value may have.
func (m *member) Cap() int { return int(m.set.C.MaxSize) }

func newMember(what, name string, h *segment.Handle, set *lane.Set) *member {
	m := &member{name: name, h: h, set: set}
	m.guard = forgotten.Watch(m, what, name, giveBack, h)
	return m
}

// giveBack leaves for a user that has forgotten to, as if it had died (decision 0019).
func giveBack(h *segment.Handle) (kept bool) {
	_ = laneseg.Abandon(h)
	return false
}

// close leaves.
func (m *member) close() error {
	m.guard.Done()
	return m.h.Close()
}

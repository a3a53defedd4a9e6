// Package cell has cells. A cell has one value in shared memory, the latest one: bytes of any size,
// or a value of a Go type.
//
// A [Writer] writes a new value into free memory and then makes it the latest. So readers never
// wait for writers, and writers never wait for readers. A [Reader] always sees a whole value, in
// place or as a copy, even if the value changes very fast. Several writers take turns. If a writer
// dies during its turn, its unfinished value is dropped, and the cell keeps its value. See
// docs/protocol/lane.md.
//
// If a program drops a Writer or Reader without Close, the garbage collector closes it. An
// unfinished value is dropped, as if the writer had died. This does not happen while one of its
// loans, values or held values is reachable. A reference to the bytes alone is not enough.
//
// [WriterOf] and [ReaderOf] are for cells whose values have one Go type.
//
// In the terms of the Go memory model:
//   - A Set happens before a Load or Changed that sees its value returns.
//   - Each turn of a writer happens before the next turn.
//
// The race detector knows this for the goroutines of one process; see docs/race.md.
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

// Options say how a cell is created. The zero value, and nil, mean the default of each field. Scope
// and Owner also say where to find a cell that exists. All other fields are for a new cell only:
// OpenWriter and AwaitWriter return an error if one of them is set.
//
// Scope, Lifetime, Perm, SecurityDescriptor and Owner are the same as in samepage.Options. Also
// readers need the right to write, because they write their entry in the member table: with Perm
// 0644 only the owner may read, with 0660 also the group, with 0666 all users.
type Options struct {
	Scope    samepage.Scope
	Lifetime samepage.Lifetime
	// Members is the largest number of readers and writers together at a time: 1 to 1024, by
	// default 16. A lock has a larger default, 64, because here members need more memory: each
	// needs memory for two values, and for two more for each value that it may hold.
	Members int
	// Holds is the largest number of values that each reader may hold, in addition to the one that
	// it loaded last: up to 1023, by default 0.
	Holds int
	// Checksums adds a CRC-32C of the bytes to each value. Readers check it.
	Checksums bool
	// Times adds the time of its commit to each value.
	Times bool
	// Schema is the description of a Go type, as Reader.Schema returns it. A Writer with a Schema is
	// one of a cell of this type, so the program does not have to have the type. The cell is made for
	// values of the size of the type, whatever size is given, and each value must have it: readers of
	// the type return samepage.ErrCorrupt for any other. The default is bytes. WriterOf has a type of
	// its own, and does not use Schema.
	Schema string
	// AsItIs makes OpenOrCreateWriter accept a cell that exists with other options, except one for
	// smaller values.
	AsItIs bool

	Perm               fs.FileMode
	SecurityDescriptor string
	Owner              string
}

// unset returns an error if an option is set that is for a new cell only.
func (o *Options) unset() error {
	return option.OnlyCreate(o, "Lifetime", "Members", "Holds", "Checksums", "Times", "Perm", "SecurityDescriptor")
}

func (o *Options) plan(size int, ty *layout.Type) (*laneseg.Plan, error) {
	ty, err := option.TypeOr(ty, o.Schema)
	if err != nil {
		return nil, err
	}
	if o.Schema != "" {
		size = ty.Size
	}
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

// Size returns the number of bytes of shared memory that a cell with these options takes at most,
// if its values have up to size bytes: with all its members, and if all of them hold as many
// values as they may. A cell of a Go type takes the bytes of Schema more: set Schema to count
// them. See InUse.
//
// Errors: samepage.ErrZeroSize, ErrNegativeSize, ErrTooLarge, fs.ErrInvalid (an option is out of
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

// InUse returns the number of bytes of shared memory that such a cell takes while it has so many
// readers, and nobody holds a value. Writers take no more, however many there are. Each value that
// is held takes one more of size.
//
// The memory is reserved by whoever joins or holds, and it stays reserved for the next one until
// the cell is removed. On Windows the system commits Size when the cell is made, but the cell
// takes physical memory only for what is in use.
//
// Errors: those of Size.
func (o *Options) InUse(size, readers int) (int64, error) {
	if o == nil {
		o = &Options{}
	}
	p, err := o.plan(size, nil)
	if err != nil {
		return 0, fmt.Errorf("cell: %w", err)
	}
	return p.InUse(1, readers), nil
}

// optionsOf returns the options that a cell was created with, as far as its settings have them.
func optionsOf(c *layout.LaneConfig) Options {
	return Options{
		Members: int(c.Readers), Holds: int(c.Pins) - 1, Checksums: c.Flags&layout.LaneChecksum != 0, Times: c.Flags&layout.LaneTime != 0,
	}
}

// spec returns the name, place and rights of the cell.
func (o *Options) spec(name string) *object.Spec {
	return &object.Spec{
		Name: name, Scope: layout.Scope(o.Scope), Kind: layout.Cell, Lifetime: layout.Lifetime(o.Lifetime), Perm: o.Perm,
		SDDL: o.SecurityDescriptor, Owner: o.Owner,
	}
}

// member is the common part of a writer and a reader. Only writers, readers, loans and values refer
// to it. So it is collected together with the last of them.
type member struct {
	name   string
	schema string
	h      *segment.Handle
	set    *lane.Set
	guard  forgotten.Guard
}

func (m *member) wrap(op string, err error) error { return wrap(op, m.name, err) }

func wrap(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("cell: %s %q: %w", op, name, segment.Deadline(err))
}

// Name returns the name of the cell.
func (m *member) Name() string { return m.name }

// ID returns an ID that no other existing object has. All members of the cell see the same ID.
func (m *member) ID() samepage.ID { return samepage.ID(m.h.ID()) }

// Schema returns the description of the Go type of the values, with which a program that does not
// have the type can read them: see docs/layout.md and layout.ParseSchema. It is empty for bytes.
func (m *member) Schema() string { return m.schema }

// CheckName checks whether the name still leads to this cell, see [samepage.Memory.CheckName].
//
// Errors: samepage.ErrNameGone; samepage.ErrClosed; any other error means that the check failed.
func (m *member) CheckName() error { return m.wrap("check the name of", m.h.CheckName()) }

// Generation returns the generation of the latest value, or 0 if no value was written yet.
func (m *member) Generation() uint64 { return m.set.Generation() }

// Writing says whether a writer has the turn now.
func (m *member) Writing() bool { return atomic.LoadUint64(m.set.Owner(0)) != 0 }

// Cap returns the largest size of a value in bytes.
func (m *member) Cap() int { return int(m.set.C.MaxSize) }

func newMember(what, name string, h *segment.Handle, set *lane.Set) *member {
	m := &member{name: name, h: h, set: set}
	if ty, err := h.Type(); err == nil {
		m.schema = ty.Schema
	}
	m.guard = forgotten.Watch(m, what, name, giveBack, h)
	return m
}

// giveBack leaves the cell if the user has forgotten to close it. Others see a death (decision
// 0019).
func giveBack(h *segment.Handle) (kept bool) {
	_ = laneseg.Abandon(h)
	return false
}

// close closes the handle of the segment.
func (m *member) close() error {
	m.guard.Done()
	return m.h.Close()
}

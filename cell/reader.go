package cell

import (
	"context"
	"fmt"
	"iter"
	"runtime"
	"sync/atomic"
	"time"

	"samepage"
	"samepage/internal/lane"
	"samepage/internal/laneseg"
	"samepage/internal/object"
	"samepage/internal/segment"
	"samepage/layout"
)

// Reader reads a cell. Its methods are for one goroutine at a time; several goroutines
// have a Reader each. A Changed that waits is ended by its context. What is read in place
// is mapped for as long as the Reader is reachable.
type Reader struct {
	*member
	r    laneseg.CellReader
	turn uint64 // counts what was loaded
}

// ReaderOptions say how a cell is opened. Scope and Owner are as in samepage.Options.
type ReaderOptions struct {
	Scope samepage.Scope
	Owner string
}

// NewReader opens a cell that exists.
//
// Errors: fs.ErrNotExist (there is no such cell; see Await), samepage.ErrTooManyMembers,
// and those of samepage.Open.
func NewReader(name string, opts *ReaderOptions) (*Reader, error) {
	return newReader(name, opts, nil)
}

// Await is NewReader, but waits for the cell to be made.
// What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: the same without fs.ErrNotExist, and the error of ctx.
func Await(ctx context.Context, name string, opts *ReaderOptions) (*Reader, error) {
	return await(ctx, name, func() (*Reader, error) { return NewReader(name, opts) })
}

func await[T any](ctx context.Context, name string, open func() (T, error)) (T, error) {
	return segment.Await(ctx, open, func(err error) error { return (&member{name: name}).wrap("wait for", err) })
}

func newReader(name string, opts *ReaderOptions, ty *layout.Type) (*Reader, error) {
	r, err := openReader(name, opts, ty)
	return r, (&member{name: name}).wrap("read", err)
}

func openReader(name string, opts *ReaderOptions, ty *layout.Type) (*Reader, error) {
	if opts == nil {
		opts = &ReaderOptions{}
	}
	h, set, err := laneseg.Open(&object.Spec{Name: name, Scope: layout.Scope(opts.Scope), Kind: layout.Cell, Owner: opts.Owner}, ty)
	if err != nil {
		return nil, err
	}
	r := &Reader{member: newMember("reader of cell", name, h, set)}
	r.r.Join(h, set)
	return r, nil
}

// Value is a value in shared memory, read-only: writing to it faults. It is good until
// the Reader loads the next one or is closed; Hold keeps it longer.
type Value struct {
	r    *Reader
	m    lane.Message
	turn uint64
	held int // pin word that keeps it, 0: none
}

// Load finds the latest value. It is false when none was written yet. The one loaded
// before is no longer good. It never waits, and is never kept waiting by writers.
//
// Errors: samepage.ErrChecksum (of a cell with Checksums), ErrCorrupt, ErrClosed.
func (r *Reader) Load() (Value, bool, error) {
	if r.h.Closed() { // its words may be another's by now
		return Value{}, false, r.wrap("read", samepage.ErrClosed)
	}
	m, err := r.r.Load()
	r.turn++
	if m == nil {
		return Value{}, false, r.wrap("read", err)
	}
	return Value{r: r, m: *m, turn: r.turn}, true, nil
}

// ReadInto copies the latest value to buf and tells how many bytes that are, and its
// generation. A value that is longer than buf is cut, and the error samepage.ErrTruncated.
// It is false when none was written yet.
//
// Errors: ErrTruncated, and those of Load.
func (r *Reader) ReadInto(buf []byte) (n int, generation uint64, ok bool, err error) {
	if r.h.Closed() {
		return 0, 0, false, r.wrap("read", samepage.ErrClosed)
	}
	m, err := r.r.Load()
	r.turn++
	if m == nil {
		return 0, 0, false, r.wrap("read", err)
	}
	b := r.r.Payload(m)
	n = copy(buf, b)
	runtime.KeepAlive(r)
	if n < len(b) {
		err = r.wrap("read", fmt.Errorf("%d of the value's %d bytes: %w", n, len(b), samepage.ErrTruncated))
	}
	return n, m.Seq, true, err
}

// Changed waits until there is another value than the one loaded last; at first, until
// there is one.
// What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: samepage.ErrNameGone (nobody who has the cell open writes, and no writer that
// comes by the name would find it), samepage.ErrClosed, the error of ctx.
func (r *Reader) Changed(ctx context.Context) error {
	return r.wrap("wait for", r.r.Wait(ctx))
}

// Values loads the value and then each one that it changes to: of several in a short
// time, the last. It goes on until ctx ends, which it yields as its last error.
// What is available is taken even if ctx has ended; ctx only ends waiting.
func (r *Reader) Values(ctx context.Context) iter.Seq2[Value, error] {
	return func(yield func(Value, error) bool) {
		for {
			err := r.Changed(ctx)
			var v Value
			var ok bool
			if err == nil {
				v, ok, err = r.Load()
			}
			if !ok && err == nil {
				continue
			}
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}

func (v *Value) good() bool {
	return v.r != nil && !v.r.h.Closed() && (v.held > 0 || v.held == 0 && v.turn == v.r.turn)
}

// Bytes is the value. It is nil when the value is no longer good.
func (v *Value) Bytes() []byte {
	if !v.good() {
		return nil
	}
	return v.r.r.Payload(&v.m)
}

// Generation is the number of the value: it grows by 1 with each one.
func (v *Value) Generation() uint64 { return v.m.Seq }

// Time is when the value was written, if the cell has Times.
func (v *Value) Time() time.Time {
	if !v.good() || v.r.set.C.Flags&layout.LaneTime == 0 {
		return time.Time{}
	}
	return time.Unix(0, v.r.r.Time(&v.m))
}

// Age is how long ago the value was written, if the cell has Times; else -1.
func (v *Value) Age() time.Duration {
	t := v.Time()
	if t.IsZero() {
		return -1
	}
	return time.Since(t)
}

// Hold keeps the value beyond the next Load, until Release.
//
// Errors: samepage.ErrTooManyHolds (as many are held as Options.Holds says), ErrClosed (the
// value is no longer good).
func (v *Value) Hold() error {
	if !v.good() || v.held > 0 {
		return fmt.Errorf("cell: hold a value that is held or no longer good: %w", samepage.ErrClosed)
	}
	k, ok := v.r.r.Hold(&v.m)
	if !ok {
		return v.r.wrap("hold a value of", fmt.Errorf("values held: %d: %w", v.r.r.MaxHeld(), samepage.ErrTooManyHolds))
	}
	v.held = k
	return nil
}

// Release lets a value that is held go. A second Release does nothing.
func (v *Value) Release() {
	if v.held > 0 {
		v.r.r.Unhold(&v.m, v.held)
		v.held = -1
	}
}

// Generation is that of the latest value; 0: none was written yet.
func (m *member) Generation() uint64 { return m.set.Generation() }

// Writing says whether a writer is at work.
func (m *member) Writing() bool { return atomic.LoadUint64(m.set.Owner(0)) != 0 }

// Close ends the reading. A second Close does nothing.
//
// Errors: samepage.ErrBusy, while values are held.
func (r *Reader) Close() error {
	if r.h.Closed() {
		return nil
	}
	if n := r.r.Held(); n > 0 {
		return r.wrap("close", fmt.Errorf("values held: %d: %w", n, samepage.ErrBusy))
	}
	r.r.Unpin()
	return r.wrap("close", r.member.close())
}

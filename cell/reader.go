package cell

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"time"

	"samepage"
	"samepage/internal/lane"
	"samepage/internal/laneseg"
	"samepage/internal/object"
	"samepage/internal/segment"
	"samepage/layout"
)

// Reader reads a cell. Only one goroutine at a time may call its methods: several goroutines need a
// Reader each. Any goroutine may call Held.Release. To end a Changed that waits, end its context.
// The values are mapped while the Reader is reachable.
type Reader struct{ reader }

// reader is the common part of a Reader and a ReaderOf.
type reader struct {
	*member
	r    laneseg.CellReader
	turn uint64 // counts what was loaded
}

// ReaderOptions say how a cell is opened. Scope and Owner are the same as in samepage.Options. Nil
// means the default.
type ReaderOptions struct {
	Scope samepage.Scope
	Owner string
	// NeedsWriter makes Changed and Values end when no writer has the cell open: each has closed it,
	// or has died. The default is to wait for the next writer.
	NeedsWriter bool
}

// OpenReader opens a cell that exists. Only writers create cells. If the values of the cell have a
// Go type, the Reader gets their bytes.
//
// Errors: fs.ErrNotExist (there is no cell of that name; see AwaitReader),
// samepage.ErrTooManyMembers, and those of samepage.Open.
func OpenReader(name string, opts *ReaderOptions) (*Reader, error) {
	r := new(Reader)
	return segment.OrNil(r, r.start(name, opts, nil))
}

// AwaitReader waits until the cell exists, and then opens it like OpenReader. If the call does not
// have to wait, it ignores ctx.
//
// Errors: those of OpenReader except fs.ErrNotExist, and the error of ctx.
func AwaitReader(ctx context.Context, name string, opts *ReaderOptions) (*Reader, error) {
	return await(ctx, name, func() (*Reader, error) { return OpenReader(name, opts) })
}

func (o *ReaderOptions) spec(name string) *object.Spec {
	return &object.Spec{Name: name, Scope: layout.Scope(o.Scope), Kind: layout.Cell, Owner: o.Owner}
}

// start is the common part of all constructors. Precondition: r is the zero value.
func (r *reader) start(name string, opts *ReaderOptions, ty *layout.Type) error {
	if opts == nil {
		opts = &ReaderOptions{}
	}
	h, set, err := laneseg.Open(opts.spec(name), ty)
	if err != nil {
		return wrap("read", name, err)
	}
	r.member = newMember("reader of cell", name, h, set)
	if err := r.r.Join(h, set); err != nil {
		return wrap("read", name, errors.Join(err, r.member.close()))
	}
	r.r.NeedsWriter = opts.NeedsWriter
	return nil
}

// Value is a value in shared memory that is read-only: a write to it faults. It is good until the
// Reader loads the next value or is closed; Hold keeps it longer.
type Value struct{ value }

// value is the common part of a Value and a ValueOf.
type value struct {
	r    *reader
	m    lane.Message
	turn uint64
}

func (v *value) good() bool { return v.r != nil && v.turn == v.r.turn && !v.r.h.Closed() }

// Load returns the latest value, in place. The bool is false if no value was written yet. The value
// that was loaded before is no longer good. Load never waits, also not for writers.
//
// Errors: samepage.ErrChecksum (of a cell with Checksums), ErrCorrupt, ErrClosed.
func (r *Reader) Load() (Value, bool, error) {
	m, err := r.load()
	if m == nil {
		return Value{}, false, err
	}
	return Value{value{r: &r.reader, m: *m, turn: r.turn}}, true, nil
}

// load returns nil if there is no value yet.
func (r *reader) load() (*lane.Message, error) {
	if r.h.Closed() { // its words may be another member's by now
		return nil, r.wrap("read", samepage.ErrClosed)
	}
	m, err := r.r.Load()
	r.turn++
	if err == nil && !r.r.HasSums() {
		return m, nil
	}
	return r.checked(m, err)
}

// checked is load for a cell with checksums, or after an error.
func (r *reader) checked(m *lane.Message, err error) (*lane.Message, error) {
	if m != nil {
		err = r.r.Check(m)
	}
	if err != nil {
		return nil, r.wrap("read", err)
	}
	return m, nil
}

// Get returns a copy of the latest value. ok is false if no value was written yet. Get allocates
// memory for the copy; Load and ReadInto do not. The value that was loaded before is no longer
// good.
//
// Errors: those of Load.
func (r *Reader) Get() (b []byte, ok bool, err error) {
	m, err := r.load()
	if m == nil {
		return nil, false, err
	}
	b = append([]byte{}, r.r.Payload(m)...)
	runtime.KeepAlive(r)
	return b, true, nil
}

// ReadInto copies the latest value to buf. It returns the number of bytes that it copied, and the
// generation of the value. If the value is longer than buf, it is cut, and the error is
// samepage.ErrTruncated. ok is false if no value was written yet. The value that was loaded before
// is no longer good.
//
// Errors: ErrTruncated, and those of Load.
func (r *Reader) ReadInto(buf []byte) (n int, generation uint64, ok bool, err error) {
	m, err := r.load()
	if m == nil {
		return 0, 0, false, err
	}
	b := r.r.Payload(m)
	n = copy(buf, b)
	runtime.KeepAlive(r)
	if n < len(b) {
		err = r.wrap("read", fmt.Errorf("the value has %d bytes, the buffer has %d: %w", len(b), n, samepage.ErrTruncated))
	}
	return n, m.Seq, true, err
}

// Changed waits until the latest value is not the one that was loaded last. Before the first Load
// it waits until there is a value. If the call does not have to wait, it ignores ctx.
//
// Errors: samepage.ErrNameGone (no writer has the cell open, and its name no longer leads to it, so
// no writer can open it), samepage.ErrPeerNotStarted (ReaderOptions.NeedsWriter is set, and no
// writer has the cell open; this is found within about 50 ms), samepage.ErrClosed, the error of
// ctx.
func (r *reader) Changed(ctx context.Context) error {
	return r.wrap("wait for", r.r.Wait(ctx))
}

// Writers returns the number of living writers that have the cell open. It asks the system about
// each. It is 0 when the Reader is closed.
func (r *reader) Writers() int {
	if r.h.Closed() {
		return 0
	}
	return r.r.Writers()
}

// Values yields the value of the cell, and then the latest value each time that it has changed. If
// the value changes faster than the loop runs, the loop misses some values. The loop ends after an
// error, which it yields, such as the error of ctx. If the call does not have to wait, it ignores
// ctx.
func (r *Reader) Values(ctx context.Context) iter.Seq2[Value, error] {
	return func(yield func(Value, error) bool) { values(ctx, r.Changed, r.Load, yield) }
}

// values is the common part of Values of a Reader and of a ReaderOf.
func values[V any](ctx context.Context, changed func(context.Context) error, load func() (V, bool, error), yield func(V, error) bool) {
	for {
		err := changed(ctx)
		var v V
		var ok bool
		if err == nil {
			v, ok, err = load()
		}
		if !ok && err == nil {
			continue
		}
		if !yield(v, err) || err != nil {
			return
		}
	}
}

// Bytes returns the bytes of the value, in place. It is nil if the value is no longer good.
func (v *Value) Bytes() []byte {
	if !v.good() {
		return nil
	}
	return v.r.r.Payload(&v.m)
}

// Generation returns the number of the value. It grows by 1 with each value.
func (v *value) Generation() uint64 { return v.m.Seq }

// Schema returns the schema of the cell, see Reader.
func (v *value) Schema() string {
	if v.r == nil {
		return ""
	}
	return v.r.schema
}

// Time returns when the value was committed. It is zero if the cell does not have Times, or if the
// value is no longer good.
func (v *value) Time() time.Time {
	if !v.good() {
		return time.Time{}
	}
	return v.time()
}

func (v *value) time() time.Time {
	if v.r.set.C.Flags&layout.LaneTime == 0 {
		return time.Time{}
	}
	return time.Unix(0, v.r.r.Time(&v.m))
}

// Age returns the time since the value was committed. It is -1 if the cell does not have Times, or
// if the value is no longer good.
func (v *value) Age() time.Duration { return age(v.Time()) }

func age(t time.Time) time.Duration {
	if t.IsZero() {
		return -1
	}
	return time.Since(t)
}

// Held is a value that stays good until its Release.
type Held struct{ held }

// held is the common part of a Held and a HeldOf. k is the pin word that keeps the value. It is 0
// after Release.
type held struct {
	value
	k int
}

// Hold keeps the value after the next Load. Writers do not use its memory again before Release, and
// they do not wait for Release.
//
// Errors: samepage.ErrTooManyHolds (the reader holds Options.Holds values already), ErrNoSpace (it
// holds more values than ever before), ErrClosed (the value is no longer good).
func (v *Value) Hold() (*Held, error) {
	h := new(Held)
	return segment.OrNil(h, h.hold(&v.value))
}

func (h *held) hold(v *value) error {
	if !v.good() {
		return fmt.Errorf("cell: hold a value that is no longer good, because the next one was loaded or the reader is closed: %w", samepage.ErrClosed)
	}
	r := v.r
	k, err := r.r.Hold(&v.m)
	if err == samepage.ErrTooManyHolds {
		err = fmt.Errorf("%d held, Options.Holds of the cell is %d: %w", r.r.Held(), r.r.MaxHeld(), err)
	}
	if err != nil {
		return r.wrap("hold a value of", err)
	}
	h.value, h.k = *v, k
	return nil
}

// Bytes returns the bytes of the value, in place. It is nil after Release.
func (h *Held) Bytes() []byte { return h.bytes() }

func (h *held) bytes() []byte {
	if h.k == 0 {
		return nil
	}
	return h.r.r.Payload(&h.m)
}

// Time returns when the value was committed. It is zero if the cell does not have Times, and after
// Release.
func (h *held) Time() time.Time {
	if h.k == 0 {
		return time.Time{}
	}
	return h.time()
}

// Age returns the time since the value was committed. It is -1 if the cell does not have Times, and
// after Release.
func (h *held) Age() time.Duration { return age(h.Time()) }

// Release lets go of the value. A second Release does nothing. Any goroutine may call it, but only
// one at a time.
func (h *held) Release() {
	if h.k == 0 {
		return
	}
	h.r.r.Unhold(&h.m, h.k)
	h.k = 0
}

// Close leaves the cell. A second Close does nothing.
//
// Errors: samepage.ErrUnreleased, while values are held.
func (r *reader) Close() error {
	if r.h.Closed() {
		return nil
	}
	if n := r.r.Held(); n > 0 {
		return r.wrap("close", fmt.Errorf("values held: %d: %w", n, samepage.ErrUnreleased))
	}
	r.r.Leave()
	return r.wrap("close", r.member.close())
}

package cell

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"samepage"
	"samepage/internal/lane"
	"samepage/internal/laneseg"
	"samepage/internal/object"
	"samepage/internal/segment"
	"samepage/layout"
)

// Writer writes to a cell. One goroutine at a time calls its methods; several goroutines
// have a Writer each. A Loan that waits ends with its context.
type Writer struct{ writer }

// writer is what a Writer and a WriterOf have in common.
type writer struct {
	*member
	w laneseg.CellWriter
}

// CreateWriter creates the cell, for values of up to size bytes, and becomes one of its
// writers.
//
// Errors: fs.ErrExist (there is a cell of that name), samepage.ErrZeroSize,
// ErrNegativeSize, ErrNoSpace, fs.ErrInvalid (options out of range), and those of
// samepage.Create.
func CreateWriter(name string, size int, opts *Options) (*Writer, error) {
	w := new(Writer)
	_, err := w.start(name, size, opts, nil, create)
	return orNil(w, err)
}

// OpenWriter opens a cell that exists and becomes one of its writers. The cell keeps its
// value. Of opts it uses Scope and Owner; any other option that is set is an error.
//
// Errors: fs.ErrNotExist (there is no cell of that name; see AwaitWriter),
// samepage.ErrTooManyMembers, ErrKindMismatch (it has values of a type), fs.ErrInvalid (of
// opts), and those of samepage.Open.
func OpenWriter(name string, opts *Options) (*Writer, error) {
	w := new(Writer)
	_, err := w.start(name, 1, opts, nil, open)
	return orNil(w, err)
}

// OpenOrCreateWriter opens the cell of that name, or creates it for values of up to size
// bytes, and becomes one of its writers. If the cell existed it keeps its value, and the
// options that it was created with; only size is compared with them.
//
// Errors: samepage.ErrTooLarge (the cell existed, and its values are smaller than size), and
// those of CreateWriter and OpenWriter but for fs.ErrExist and fs.ErrNotExist.
func OpenOrCreateWriter(name string, size int, opts *Options) (w *Writer, existed bool, err error) {
	w = new(Writer)
	existed, err = w.start(name, size, opts, nil, openOrCreate)
	w, err = orNil(w, err)
	return w, existed, err
}

// AwaitWriter is OpenWriter, but waits until the cell exists. What is available is taken
// even if ctx has ended; ctx only ends waiting.
//
// Errors: those of OpenWriter without fs.ErrNotExist, and the error of ctx.
func AwaitWriter(ctx context.Context, name string, opts *Options) (*Writer, error) {
	return await(ctx, name, func() (*Writer, error) { return OpenWriter(name, opts) })
}

func await[T any](ctx context.Context, name string, open func() (T, error)) (T, error) {
	return segment.Await(ctx, open, func(err error) error { return wrap("wait for", name, err) })
}

func orNil[T any](v *T, err error) (*T, error) {
	if err != nil {
		return nil, err
	}
	return v, nil
}

// opener is one of the ways to the segment of a plan.
type opener struct {
	opens bool // only
	do    func(*laneseg.Plan, *object.Spec) (h *segment.Handle, set *lane.Set, existed bool, err error)
}

var (
	create = opener{false, func(p *laneseg.Plan, o *object.Spec) (*segment.Handle, *lane.Set, bool, error) {
		h, set, err := p.Create(o)
		return h, set, false, err
	}}
	open = opener{true, func(p *laneseg.Plan, o *object.Spec) (*segment.Handle, *lane.Set, bool, error) {
		h, set, err := p.Open(o)
		return h, set, true, err
	}}
	openOrCreate = opener{false, (*laneseg.Plan).OpenOrCreate}
)

// start is what all constructors do. Precondition: w is the zero value.
func (w *writer) start(name string, size int, opts *Options, ty *layout.Type, by opener) (existed bool, err error) {
	if opts == nil {
		opts = &Options{}
	}
	existed, err = w.join(name, size, opts, ty, by)
	return existed, wrap("write to", name, err)
}

func (w *writer) join(name string, size int, opts *Options, ty *layout.Type, by opener) (existed bool, err error) {
	if by.opens {
		if err := opts.unset(); err != nil {
			return false, err
		}
	}
	p, err := opts.plan(size, ty)
	if err != nil {
		return false, err
	}
	h, set, existed, err := by.do(p, opts.spec(name))
	if err != nil {
		return false, err
	}
	w.member = newMember("writer of cell", name, h, set)
	if w.Cap() < size {
		return false, errors.Join(fmt.Errorf("its values have up to %d bytes, size is %d: %w", w.Cap(), size, samepage.ErrTooLarge), w.member.close())
	}
	w.w.Join(h, set)
	return existed, nil
}

// Loan is a value that is being written, in shared memory. It is committed or discarded
// once; until then other writers wait.
type Loan struct{ loan }

// loan is what a Loan and a LoanOf have in common. w is nil once it is committed or
// discarded.
type loan struct {
	w       *writer
	slot, n uint32
}

// Loan takes a slot for a value of n bytes on loan. It waits while it is the turn of
// another writer. At first the slot holds what is left of a value before. What is available
// is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: samepage.ErrTooLarge, ErrNegativeSize, ErrTooManyHolds (this writer has a loan
// already), ErrClosed, the error of ctx.
func (w *Writer) Loan(ctx context.Context, n int) (Loan, error) {
	l, err := w.begin(ctx, n)
	return Loan{l}, err
}

func (w *writer) begin(ctx context.Context, n int) (loan, error) {
	if n < 0 || n > w.Cap() {
		return loan{}, w.wrap("write to", w.badSize(n))
	}
	slot, err := w.w.Begin(ctx)
	if err != nil {
		return loan{}, w.wrap("write to", err)
	}
	return loan{w, slot, uint32(n)}, nil
}

func (w *writer) badSize(n int) error {
	err := samepage.ErrTooLarge
	if n < 0 {
		err = samepage.ErrNegativeSize
	}
	return fmt.Errorf("a value of %d bytes, want 0 to %d: %w", n, w.Cap(), err)
}

// Bytes is where the value is written. It is nil once the loan is committed or discarded.
func (l *Loan) Bytes() []byte { return l.bytes() }

func (l *loan) bytes() []byte {
	if l.w == nil {
		return nil
	}
	return l.w.w.Payload(l.slot)[:l.n]
}

// Latest is the value as it is now, read-only, if there is one: nobody changes it during
// the loan.
func (l *Loan) Latest() ([]byte, bool) { return l.latest() }

func (l *loan) latest() ([]byte, bool) {
	if l.w == nil {
		return nil, false
	}
	return l.w.w.Current()
}

// Truncate shortens the value to n bytes.
//
// Errors: samepage.ErrTooLarge.
func (l *Loan) Truncate(n int) error {
	if n < 0 || uint32(n) > l.n {
		return fmt.Errorf("cell: truncate a loan to %d bytes, want 0 to %d: %w", n, l.n, samepage.ErrTooLarge)
	}
	l.n = uint32(n)
	return nil
}

// Commit makes the value the latest.
//
// Errors: samepage.ErrClosed (it is committed or discarded).
func (l *loan) Commit() error {
	w := l.w
	if w == nil || !w.w.TakeBack(l.slot) {
		return fmt.Errorf("cell: commit a loan that is committed or discarded already: %w", samepage.ErrClosed)
	}
	l.w = nil
	w.w.Commit(l.slot, l.n)
	runtime.KeepAlive(w)
	return nil
}

// Discard gives the slot back, and leaves the value as it is. A second Discard, or one
// after Commit, does nothing.
func (l *loan) Discard() {
	if w := l.w; w != nil && w.w.TakeBack(l.slot) {
		l.w = nil
		w.w.Discard(l.slot)
		runtime.KeepAlive(w)
	}
}

// Set makes a copy of b the latest value. It waits while it is the turn of another writer.
// What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: those of Loan.
func (w *Writer) Set(ctx context.Context, b []byte) error {
	l, err := w.Loan(ctx, len(b))
	if err != nil {
		return err
	}
	copy(l.Bytes(), b)
	return l.Commit()
}

// Update replaces the value by what f makes of it, with no other writer between. old is the
// value, nil when there is none; f writes to the front of b, which has room for Cap bytes,
// and returns how many bytes the new value has. When f fails the value stays. Update waits
// while it is the turn of another writer. What is available is taken even if ctx has ended;
// ctx only ends waiting.
//
// Errors: those of f and of Loan.
func (w *Writer) Update(ctx context.Context, f func(b, old []byte) (n int, err error)) error {
	l, err := w.Loan(ctx, w.Cap())
	if err != nil {
		return err
	}
	defer l.Discard()
	old, _ := l.Latest()
	n, err := f(l.Bytes(), old)
	if err == nil {
		err = l.Truncate(n)
	}
	if err != nil {
		return err
	}
	return l.Commit()
}

// Close ends the writing; the value stays while others have the cell open. A second Close
// does nothing.
//
// Errors: samepage.ErrBusy, while a value is on loan.
func (w *writer) Close() error {
	if w.h.Closed() {
		return nil
	}
	if w.w.Working() {
		return w.wrap("close", fmt.Errorf("a value is on loan: %w", samepage.ErrBusy))
	}
	return w.wrap("close", w.member.close())
}

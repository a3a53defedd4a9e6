package cell

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"samepage"
	"samepage/internal/laneseg"
	"samepage/layout"
)

// Writer writes to a cell. Its methods are for one goroutine at a time; several goroutines
// have a Writer each. A Loan that waits is ended by its context.
type Writer struct {
	*member
	w laneseg.CellWriter
}

// NewWriter opens the cell of that name, or makes it for values of up to size bytes. The
// value that a cell has stays.
//
// Errors: samepage.ErrTooLarge (its values are smaller than size), ErrKindMismatch (it has
// values of a type), ErrTooManyMembers, ErrNoSpace, ErrZeroSize, ErrNegativeSize,
// fs.ErrInvalid (options out of range), and those of samepage.Open and Create.
func NewWriter(name string, size int, opts *Options) (*Writer, error) {
	return newWriter(name, size, opts, nil)
}

func newWriter(name string, size int, opts *Options, ty *layout.Type) (*Writer, error) {
	w, err := openWriter(name, size, opts, ty)
	return w, (&member{name: name}).wrap("write to", err)
}

func openWriter(name string, size int, opts *Options, ty *layout.Type) (*Writer, error) {
	if opts == nil {
		opts = &Options{}
	}
	p, err := opts.plan(size, ty)
	if err != nil {
		return nil, err
	}
	h, set, _, err := p.OpenOrCreate(opts.spec(name))
	if err != nil {
		return nil, err
	}
	m := newMember("writer of cell", name, h, set)
	if m.Cap() < size {
		return nil, errors.Join(fmt.Errorf("its values have up to %d bytes, not %d: %w", m.Cap(), size, samepage.ErrTooLarge), m.close())
	}
	w := &Writer{member: m}
	w.w.Join(h, set)
	return w, nil
}

// Loan is a value that is being written, in shared memory. It is committed or discarded
// once; until then other writers wait.
type Loan struct {
	w       *Writer
	slot, n uint32
}

// Loan waits for its turn among the writers, and takes a slot for a value of n bytes.
// What the slot holds is left over from a value before.
// What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: samepage.ErrTooLarge, ErrNegativeSize, ErrTooManyHolds (this writer has a loan
// already), ErrClosed, the error of ctx.
func (w *Writer) Loan(ctx context.Context, n int) (Loan, error) {
	if n < 0 || n > w.Cap() {
		return Loan{}, w.wrap("write to", w.badSize(n))
	}
	slot, err := w.w.Begin(ctx)
	if err != nil {
		return Loan{}, w.wrap("write to", err)
	}
	return Loan{w, slot, uint32(n)}, nil
}

func (w *Writer) badSize(n int) error {
	if n < 0 {
		return fmt.Errorf("value of %d bytes: %w", n, samepage.ErrNegativeSize)
	}
	return fmt.Errorf("value of %d bytes, it has room for %d: %w", n, w.Cap(), samepage.ErrTooLarge)
}

// Bytes is where the value is written; nil once it is committed or discarded.
func (l *Loan) Bytes() []byte {
	if l.w == nil {
		return nil
	}
	return l.w.w.Payload(l.slot)[:l.n]
}

// Latest is the value as it is now, read-only, if there is one: nobody changes it during the
// loan.
func (l *Loan) Latest() ([]byte, bool) {
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
		return fmt.Errorf("cell: a loan of %d bytes truncated to %d: %w", l.n, n, samepage.ErrTooLarge)
	}
	l.n = uint32(n)
	return nil
}

// Commit makes the value the latest.
//
// Errors: samepage.ErrClosed (it is committed or discarded).
func (l *Loan) Commit() error {
	w := l.w
	if w == nil || !w.w.TakeBack(l.slot) {
		return fmt.Errorf("cell: the loan is committed or discarded: %w", samepage.ErrClosed)
	}
	l.w = nil
	w.w.Commit(l.slot, l.n)
	runtime.KeepAlive(w)
	return nil
}

// Discard gives the slot back, and leaves the value as it is.
func (l *Loan) Discard() {
	if w := l.w; w != nil && w.w.TakeBack(l.slot) {
		l.w = nil
		w.w.Discard(l.slot)
		runtime.KeepAlive(w)
	}
}

// Set makes a copy of b the latest value.
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

// Update makes what f makes of the value the latest one, with no other writer between.
// old is the value, nil when there is none; f writes to the front of b, which has room for
// Cap bytes, and returns how many they are. When f fails the value stays.
// What is available is taken even if ctx has ended; ctx only ends waiting.
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
func (w *Writer) Close() error {
	if w.h.Closed() {
		return nil
	}
	if w.w.Working() {
		return w.wrap("close", fmt.Errorf("a value is on loan: %w", samepage.ErrBusy))
	}
	return w.wrap("close", w.member.close())
}

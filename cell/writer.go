package cell

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"samepage"
	"samepage/internal/laneseg"
	"samepage/internal/option"
	"samepage/internal/segment"
	"samepage/layout"
)

// Writer writes to a cell. Only one goroutine at a time may call its methods: several goroutines
// need a Writer each. To end a Loan that waits, end its context.
type Writer struct{ writer }

// writer is the common part of a Writer and a WriterOf.
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
	_, err := w.start(name, size, opts, nil, segment.ToCreate)
	return segment.OrNil(w, err)
}

// OpenWriter opens a cell that exists and becomes one of its writers. The cell keeps its value.
// OpenWriter uses only Scope, Owner and Schema of opts; if any other option is set, it returns an
// error.
//
// Errors: fs.ErrNotExist (there is no cell of that name; see AwaitWriter),
// samepage.ErrTooManyMembers, ErrKindMismatch (the values of the cell have another type than that
// of Schema),
// fs.ErrInvalid (of opts), and those of samepage.Open.
func OpenWriter(name string, opts *Options) (*Writer, error) {
	w := new(Writer)
	_, err := w.start(name, 1, opts, nil, segment.ToOpen)
	return segment.OrNil(w, err)
}

// OpenOrCreateWriter opens the cell of that name, or creates it for values of up to size bytes, and
// becomes one of its writers. If the cell existed, it keeps its value and the options that it was
// created with. They must be those of opts: its Members and Holds at least as large, and Checksums
// and Times set if they are set in opts; see also Options.AsItIs.
//
// Errors: samepage.ErrTooLarge (the cell existed, and its Cap is less than size), ErrDiffers (its
// options are others; the text names each difference), and those of CreateWriter and OpenWriter
// except fs.ErrExist and fs.ErrNotExist.
func OpenOrCreateWriter(name string, size int, opts *Options) (w *Writer, existed bool, err error) {
	w = new(Writer)
	existed, err = w.start(name, size, opts, nil, segment.ToOpenOrCreate)
	w, err = segment.OrNil(w, err)
	return w, existed, err
}

// AwaitWriter waits until the cell exists, and then opens it like OpenWriter. If the call does not
// have to wait, it ignores ctx.
//
// Errors: those of OpenWriter except fs.ErrNotExist, and the error of ctx.
func AwaitWriter(ctx context.Context, name string, opts *Options) (*Writer, error) {
	return await(ctx, name, func() (*Writer, error) { return OpenWriter(name, opts) })
}

func await[T any](ctx context.Context, name string, open func() (T, error)) (T, error) {
	return segment.Await(ctx, open, func(err error) error { return wrap("wait for", name, err) })
}

// start is the common part of all constructors. Precondition: w is the zero value.
func (w *writer) start(name string, size int, opts *Options, ty *layout.Type, way segment.Way) (existed bool, err error) {
	if opts == nil {
		opts = &Options{}
	}
	existed, err = w.join(name, size, opts, ty, way)
	return existed, wrap("write to", name, err)
}

func (w *writer) join(name string, size int, opts *Options, ty *layout.Type, way segment.Way) (existed bool, err error) {
	if way == segment.ToOpen {
		if err := opts.unset(); err != nil {
			return false, err
		}
	}
	p, err := opts.plan(size, ty)
	if err != nil {
		return false, err
	}
	spec := opts.spec(name)
	h, set, existed, err := p.Join(way, spec)
	if err != nil {
		return false, err
	}
	w.member = newMember("writer of cell", name, h, set)
	switch {
	case w.Cap() < size:
		err = fmt.Errorf("size is %d, want at most the %d of the existing cell: %w", size, w.Cap(), samepage.ErrTooLarge)
	case existed && !opts.AsItIs:
		err = option.Differ(*opts, optionsOf(&set.C), []string{"Members", "Holds"}, []string{"Checksums", "Times"})
	}
	if err != nil {
		return false, errors.Join(err, w.member.close())
	}
	if err := w.w.Join(h, set); err != nil {
		err = errors.Join(err, w.member.close())
		segment.Unmake(existed, spec)
		return false, err
	}
	return existed, nil
}

// Loan is a value in shared memory that the caller writes, and then commits or discards. Until then
// the writer has the turn, and other writers wait.
type Loan struct{ loan }

// loan is the common part of a Loan and a LoanOf. w is nil after it was committed or discarded.
type loan struct {
	w       *writer
	slot, n uint32
}

// Loan takes the turn, and a slot for a value of n bytes on loan. It waits while another writer
// has the turn. The slot has old contents: the caller must set all n bytes. If the call does not
// have to wait, it ignores ctx.
//
// Errors: samepage.ErrTooLarge, ErrNegativeSize, ErrTooManyHolds (this writer has a loan already),
// ErrClosed, the error of ctx.
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

// Bytes returns the bytes of the new value, to write to. It is nil after the loan was committed or
// discarded.
func (l *Loan) Bytes() []byte { return l.bytes() }

func (l *loan) bytes() []byte {
	if l.w == nil {
		return nil
	}
	return l.w.w.Payload(l.slot)[:l.n]
}

// Latest returns the latest value, read-only. The bool is false if there is no value. The latest
// value does not change during the loan.
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
// Errors: samepage.ErrClosed (the loan was committed or discarded before).
func (l *loan) Commit() error {
	w := l.w
	if w == nil || !w.w.TakeBack(l.slot) {
		return fmt.Errorf("cell: commit a loan that was committed or discarded before: %w", samepage.ErrClosed)
	}
	l.w = nil
	w.w.Commit(l.slot, l.n)
	runtime.KeepAlive(w)
	return nil
}

// Discard gives the slot back. The cell keeps its value. A second Discard, or one after Commit,
// does nothing.
func (l *loan) Discard() {
	if w := l.w; w != nil && w.w.TakeBack(l.slot) {
		l.w = nil
		w.w.Discard(l.slot)
		runtime.KeepAlive(w)
	}
}

// Set makes a copy of b the latest value. It waits while another writer has the turn. If the call
// does not have to wait, it ignores ctx.
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

// Update calls f to make a new value from the latest one. No other writer can change the value in
// between. old is the latest value, or nil if there is none; f must not write to it. b has Cap
// bytes. f writes the new value into the first bytes of b, and returns its size. If f returns an
// error, the cell keeps its value. Update waits while another writer has the turn. If the call
// does not have to wait, it ignores ctx.
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

// Close leaves the cell. The cell keeps its value while others have it open. A second Close does
// nothing.
//
// Errors: samepage.ErrUnreleased, while a value is on loan.
func (w *writer) Close() error {
	if w.h.Closed() {
		return nil
	}
	if w.w.Working() {
		return w.wrap("close", fmt.Errorf("a value is on loan: %w", samepage.ErrUnreleased))
	}
	return w.wrap("close", w.member.close())
}

package cell

import (
	"context"
	"iter"
	"reflect"
	"runtime"

	"samepage/internal/segment"
	"samepage/layout"
)

// WriterOf writes values of type T, which [samepage.CheckType] must accept. A WriterOf or ReaderOf
// of another type cannot open the cell, and neither can a Writer. The rules for goroutines are
// those of Writer.
type WriterOf[T any] struct{ writer }

// CreateWriterOf is CreateWriter for a cell of T.
//
// Errors: samepage.ErrType (T cannot be in shared memory; the text says why), and those of
// CreateWriter.
func CreateWriterOf[T any](name string, opts *Options) (*WriterOf[T], error) {
	w := new(WriterOf[T])
	_, err := w.start(name, opts, segment.ToCreate)
	return segment.OrNil(w, err)
}

// OpenWriterOf is OpenWriter for a cell of T.
//
// Errors: samepage.ErrType, ErrKindMismatch (the cell has values of another type; the text
// names both), and those of OpenWriter.
func OpenWriterOf[T any](name string, opts *Options) (*WriterOf[T], error) {
	w := new(WriterOf[T])
	_, err := w.start(name, opts, segment.ToOpen)
	return segment.OrNil(w, err)
}

// OpenOrCreateWriterOf is OpenOrCreateWriter for a cell of T.
//
// Errors: those of OpenWriterOf and of OpenOrCreateWriter.
func OpenOrCreateWriterOf[T any](name string, opts *Options) (w *WriterOf[T], existed bool, err error) {
	w = new(WriterOf[T])
	existed, err = w.start(name, opts, segment.ToOpenOrCreate)
	w, err = segment.OrNil(w, err)
	return w, existed, err
}

// AwaitWriterOf waits until the cell exists, and then opens it like OpenWriterOf. If the call does
// not have to wait, it ignores ctx.
//
// Errors: those of OpenWriterOf except fs.ErrNotExist, and the error of ctx.
func AwaitWriterOf[T any](ctx context.Context, name string, opts *Options) (*WriterOf[T], error) {
	return await(ctx, name, func() (*WriterOf[T], error) { return OpenWriterOf[T](name, opts) })
}

func (w *WriterOf[T]) start(name string, opts *Options, way segment.Way) (existed bool, err error) {
	ty, err := layout.TypeOf(reflect.TypeFor[T]())
	if err != nil {
		return false, wrap("write to", name, err)
	}
	return w.writer.start(name, ty.Size, opts, ty, way)
}

// LoanOf is a value in shared memory that the caller writes, and then commits or discards. Until
// then the writer has the turn, and other writers wait.
type LoanOf[T any] struct{ loan }

// Loan takes the turn, and a slot for a value on loan. It waits while another writer has the turn.
// If the call does not have to wait, it ignores ctx.
//
// Errors: those of Writer.Loan.
func (w *WriterOf[T]) Loan(ctx context.Context) (LoanOf[T], error) {
	l, err := w.begin(ctx, w.Cap())
	return LoanOf[T]{l}, err
}

// Value returns the new value, to write to. It has old contents: the caller must set all of it. It
// is nil after the loan was committed or discarded.
func (l *LoanOf[T]) Value() *T { return as[T](l.bytes()) }

// Latest returns the latest value, read-only, or nil if there is none. It does not change during
// the loan.
func (l *LoanOf[T]) Latest() *T {
	b, _ := l.latest()
	return as[T](b)
}

// as returns the T in b, or nil if b does not have the size of a T.
func as[T any](b []byte) *T {
	v, err := layout.As[T](b)
	if err != nil {
		return nil
	}
	return v
}

// Set makes a copy of v the latest value. It waits while another writer has the turn. If the call
// does not have to wait, it ignores ctx.
//
// Errors: those of Writer.Loan.
func (w *WriterOf[T]) Set(ctx context.Context, v *T) error {
	l, err := w.begin(ctx, w.Cap())
	if err != nil {
		return err
	}
	p, err := layout.As[T](l.bytes())
	if err != nil {
		l.Discard()
		return w.wrap("write to", err)
	}
	*p = *v
	return l.Commit()
}

// Update calls f to change a copy of the latest value, or a zero T if there is no value, and makes
// the copy the latest value. No other writer can change the value in between. If f returns an
// error, the cell keeps its value. Update waits while another writer has the turn. If the call
// does not have to wait, it ignores ctx.
//
// Errors: those of f and of Writer.Loan.
func (w *WriterOf[T]) Update(ctx context.Context, f func(v *T) error) error {
	l, err := w.begin(ctx, w.Cap())
	if err != nil {
		return err
	}
	defer l.Discard()
	b := l.bytes()
	if old, ok := l.latest(); ok {
		copy(b, old)
	} else {
		clear(b)
	}
	v, err := layout.As[T](b)
	if err == nil {
		err = f(v)
	}
	if err != nil {
		return err
	}
	return l.Commit()
}

// ReaderOf reads values of type T; see WriterOf. The rules for goroutines are those of Reader.
type ReaderOf[T any] struct{ reader }

// OpenReaderOf is OpenReader for a cell of T.
//
// Errors: samepage.ErrType, ErrKindMismatch (the cell has values of another type; the text
// names both), and those of OpenReader.
func OpenReaderOf[T any](name string, opts *ReaderOptions) (*ReaderOf[T], error) {
	ty, err := layout.TypeOf(reflect.TypeFor[T]())
	if err != nil {
		return nil, wrap("read", name, err)
	}
	r := new(ReaderOf[T])
	return segment.OrNil(r, r.start(name, opts, ty))
}

// AwaitReaderOf waits until the cell exists, and then opens it like OpenReaderOf. If the call does
// not have to wait, it ignores ctx.
//
// Errors: those of OpenReaderOf except fs.ErrNotExist, and the error of ctx.
func AwaitReaderOf[T any](ctx context.Context, name string, opts *ReaderOptions) (*ReaderOf[T], error) {
	return await(ctx, name, func() (*ReaderOf[T], error) { return OpenReaderOf[T](name, opts) })
}

// ValueOf is a value in shared memory; see Value.
type ValueOf[T any] struct{ value }

// Value returns the value, in place and read-only: a write to it faults. It is nil if the value is
// no longer good.
func (v *ValueOf[T]) Value() *T {
	if !v.good() {
		return nil
	}
	return as[T](v.r.r.Payload(&v.m))
}

// Load returns the latest value, in place. The bool is false if no value was written yet. The value
// that was loaded before is no longer good. Load never waits, also not for writers.
//
// Errors: those of Reader.Load.
func (r *ReaderOf[T]) Load() (ValueOf[T], bool, error) {
	m, err := r.load()
	if m == nil {
		return ValueOf[T]{}, false, err
	}
	if _, err := layout.As[T](r.r.Payload(m)); err != nil {
		return ValueOf[T]{}, false, r.wrap("read", err)
	}
	return ValueOf[T]{value{r: &r.reader, m: *m, turn: r.turn}}, true, nil
}

// Get returns a copy of the latest value. ok is false if no value was written yet.
//
// Errors: those of Reader.Load.
func (r *ReaderOf[T]) Get() (v T, ok bool, err error) {
	_, ok, err = r.ReadInto(&v)
	return v, ok, err
}

// ReadInto copies the latest value to v, and returns its generation. It does not allocate memory.
// ok is false if no value was written yet; then v is unchanged.
//
// Errors: those of Reader.Load.
func (r *ReaderOf[T]) ReadInto(v *T) (generation uint64, ok bool, err error) {
	m, err := r.load()
	if m == nil {
		return 0, false, err
	}
	p, err := layout.As[T](r.r.Payload(m))
	if err != nil {
		return 0, false, r.wrap("read", err)
	}
	*v = *p
	runtime.KeepAlive(r) // or it is taken back, and the value with it
	return m.Seq, true, nil
}

// Values yields the value of the cell, and then the latest value each time that it has changed,
// like Reader.Values. If the call does not have to wait, it ignores ctx.
func (r *ReaderOf[T]) Values(ctx context.Context) iter.Seq2[ValueOf[T], error] {
	return func(yield func(ValueOf[T], error) bool) { values(ctx, r.Changed, r.Load, yield) }
}

// HeldOf is a value that stays good until its Release.
type HeldOf[T any] struct{ held }

// Hold keeps the value after the next Load, like Value.Hold.
//
// Errors: those of Value.Hold.
func (v *ValueOf[T]) Hold() (*HeldOf[T], error) {
	h := new(HeldOf[T])
	return segment.OrNil(h, h.hold(&v.value))
}

// Value returns the value, in place and read-only. It is nil after Release.
func (h *HeldOf[T]) Value() *T {
	v := as[T](h.bytes())
	runtime.KeepAlive(h.r)
	return v
}

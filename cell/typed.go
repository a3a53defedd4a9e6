package cell

import (
	"context"
	"iter"
	"reflect"
	"runtime"

	"samepage/layout"
)

// WriterOf writes values of type T, which has a fixed size and no pointers, no int, uint or
// bool, and no padding in it. A cell of one type refuses writers and readers of another.
// Concurrency is as for Writer.
type WriterOf[T any] struct{ writer }

// CreateWriterOf is CreateWriter for a cell of T.
//
// Errors: samepage.ErrType (T cannot be in shared memory, the text says why), and those of
// CreateWriter.
func CreateWriterOf[T any](name string, opts *Options) (*WriterOf[T], error) {
	w := new(WriterOf[T])
	_, err := w.start(name, opts, create)
	return orNil(w, err)
}

// OpenWriterOf is OpenWriter for a cell of T.
//
// Errors: samepage.ErrType, ErrKindMismatch (the cell has values of another type; the text
// names both), and those of OpenWriter.
func OpenWriterOf[T any](name string, opts *Options) (*WriterOf[T], error) {
	w := new(WriterOf[T])
	_, err := w.start(name, opts, open)
	return orNil(w, err)
}

// OpenOrCreateWriterOf is OpenOrCreateWriter for a cell of T.
//
// Errors: those of OpenWriterOf and of OpenOrCreateWriter.
func OpenOrCreateWriterOf[T any](name string, opts *Options) (w *WriterOf[T], existed bool, err error) {
	w = new(WriterOf[T])
	existed, err = w.start(name, opts, openOrCreate)
	w, err = orNil(w, err)
	return w, existed, err
}

// AwaitWriterOf is OpenWriterOf, but waits until the cell exists, as AwaitWriter does. What
// is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: those of OpenWriterOf without fs.ErrNotExist, and the error of ctx.
func AwaitWriterOf[T any](ctx context.Context, name string, opts *Options) (*WriterOf[T], error) {
	return await(ctx, name, func() (*WriterOf[T], error) { return OpenWriterOf[T](name, opts) })
}

func (w *WriterOf[T]) start(name string, opts *Options, by opener) (existed bool, err error) {
	ty, err := layout.TypeOf(reflect.TypeFor[T]())
	if err != nil {
		return false, wrap("write to", name, err)
	}
	return w.writer.start(name, ty.Size, opts, ty, by)
}

// LoanOf is a value that is being written, in shared memory. It is committed or discarded
// once; until then other writers wait.
type LoanOf[T any] struct{ loan }

// Loan takes a slot for a value on loan. It waits while it is the turn of another writer.
// What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: those of Writer.Loan.
func (w *WriterOf[T]) Loan(ctx context.Context) (LoanOf[T], error) {
	l, err := w.begin(ctx, w.Cap())
	return LoanOf[T]{l}, err
}

// Value is the value, in place. At first it is what is left of a value before. It is nil
// once the loan is committed or discarded.
func (l *LoanOf[T]) Value() *T { return as[T](l.bytes()) }

// Latest is the value as it is now, read-only, nil if there is none: nobody changes it
// during the loan.
func (l *LoanOf[T]) Latest() *T {
	b, _ := l.latest()
	return as[T](b)
}

// as is nil for bytes that are no T.
func as[T any](b []byte) *T {
	v, err := layout.As[T](b)
	if err != nil {
		return nil
	}
	return v
}

// Set makes a copy of v the latest value. It waits while it is the turn of another writer.
// What is available is taken even if ctx has ended; ctx only ends waiting.
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

// Update has f change the value, which is zero at first, with no other writer between. When
// f fails the value stays as it was. Update waits while it is the turn of another writer.
// What is available is taken even if ctx has ended; ctx only ends waiting.
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

// ReaderOf reads values of type T; see WriterOf. Concurrency is as for Reader.
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
	return orNil(r, r.start(name, opts, ty))
}

// AwaitReaderOf is OpenReaderOf, but waits until the cell exists, as AwaitReader does. What
// is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: those of OpenReaderOf without fs.ErrNotExist, and the error of ctx.
func AwaitReaderOf[T any](ctx context.Context, name string, opts *ReaderOptions) (*ReaderOf[T], error) {
	return await(ctx, name, func() (*ReaderOf[T], error) { return OpenReaderOf[T](name, opts) })
}

// ValueOf is a value in shared memory; see Value.
type ValueOf[T any] struct{ value }

// Value is the value, in place and read-only: a write to it faults. It is nil when the
// value is no longer good.
func (v *ValueOf[T]) Value() *T {
	if !v.good() {
		return nil
	}
	return as[T](v.r.r.Payload(&v.m))
}

// Load finds the latest value. It is false when none was written yet. The one loaded
// before is no longer good. Load never waits: no writer makes it.
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

// Get is a copy of the latest value. It is false when none was written yet.
//
// Errors: those of Reader.Load.
func (r *ReaderOf[T]) Get() (v T, ok bool, err error) {
	m, err := r.load()
	if m == nil {
		return v, false, err
	}
	p, err := layout.As[T](r.r.Payload(m))
	if err != nil {
		return v, false, r.wrap("read", err)
	}
	v = *p
	runtime.KeepAlive(r) // or it is taken back, and the value with it
	return v, true, nil
}

// Values loads the value, and then each one that it changes to, as Reader.Values does. What
// is available is taken even if ctx has ended; ctx only ends waiting.
func (r *ReaderOf[T]) Values(ctx context.Context) iter.Seq2[ValueOf[T], error] {
	return func(yield func(ValueOf[T], error) bool) { values(ctx, r.Changed, r.Load, yield) }
}

// HeldOf is a value that is kept until its Release.
type HeldOf[T any] struct{ held }

// Hold keeps the value beyond the next Load, as Value.Hold does.
//
// Errors: those of Value.Hold.
func (v *ValueOf[T]) Hold() (*HeldOf[T], error) {
	h := new(HeldOf[T])
	return orNil(h, h.hold(&v.value))
}

// Value is the value, in place and read-only; nil after Release.
func (h *HeldOf[T]) Value() *T {
	v := as[T](h.bytes())
	runtime.KeepAlive(h.r)
	return v
}

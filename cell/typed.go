package cell

import (
	"context"
	"reflect"
	"runtime"

	"samepage/layout"
)

// WriterOf writes values of type T, which has a fixed size and no pointers, no int, uint or
// bool, and no padding in it. A cell of one type is refused to writers and readers of
// another. Concurrency is as for Writer.
type WriterOf[T any] struct {
	w *Writer
}

// NewWriterOf is NewWriter for a cell of T.
//
// Errors: samepage.ErrType (T cannot lie in shared memory, the text says why),
// ErrKindMismatch (the cell has values of another type, both are named), and those of
// NewWriter.
func NewWriterOf[T any](name string, opts *Options) (*WriterOf[T], error) {
	ty, err := layout.TypeOf(reflect.TypeFor[T]())
	if err != nil {
		return nil, (&member{name: name}).wrap("write to", err)
	}
	w, err := newWriter(name, ty.Size, opts, ty)
	if err != nil {
		return nil, err
	}
	return &WriterOf[T]{w}, nil
}

// Set makes a copy of v the latest value. Errors: those of Writer.Loan.
// What is available is taken even if ctx has ended; ctx only ends waiting.
func (w *WriterOf[T]) Set(ctx context.Context, v *T) error {
	l, err := w.w.Loan(ctx, w.w.Cap())
	if err != nil {
		return err
	}
	p, err := layout.As[T](l.Bytes())
	if err != nil {
		l.Discard()
		return w.w.wrap("write to", err)
	}
	*p = *v
	return l.Commit()
}

// Update has f change the value, which is zero at first, with no other writer between.
// When f fails the value stays as it was.
// What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: those of f and of Writer.Loan.
func (w *WriterOf[T]) Update(ctx context.Context, f func(v *T) error) error {
	l, err := w.w.Loan(ctx, w.w.Cap())
	if err != nil {
		return err
	}
	defer l.Discard()
	b := l.Bytes()
	if old, ok := l.Latest(); ok {
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

// Close is that of Writer.
func (w *WriterOf[T]) Close() error { return w.w.Close() }

// ReaderOf reads values of type T; see WriterOf. Concurrency is as for Reader.
type ReaderOf[T any] struct {
	r *Reader
}

// NewReaderOf is NewReader for a cell of T.
//
// Errors: samepage.ErrType, ErrKindMismatch (both types are named), and those of
// NewReader.
func NewReaderOf[T any](name string, opts *ReaderOptions) (*ReaderOf[T], error) {
	ty, err := layout.TypeOf(reflect.TypeFor[T]())
	if err != nil {
		return nil, (&member{name: name}).wrap("read", err)
	}
	r, err := newReader(name, opts, ty)
	if err != nil {
		return nil, err
	}
	return &ReaderOf[T]{r}, nil
}

// AwaitOf is NewReaderOf, but waits for the cell to be made.
// What is available is taken even if ctx has ended; ctx only ends waiting.
func AwaitOf[T any](ctx context.Context, name string, opts *ReaderOptions) (*ReaderOf[T], error) {
	return await(ctx, name, func() (*ReaderOf[T], error) { return NewReaderOf[T](name, opts) })
}

// Load finds the latest value, in place and read-only: writing to it faults. It is good
// until the next Load or Get, and while r is reachable. It is false when none was written
// yet.
//
// Errors: those of Reader.Load.
func (r *ReaderOf[T]) Load() (*T, bool, error) {
	v, ok, err := r.r.Load()
	if !ok || err != nil {
		return nil, false, err
	}
	p, err := layout.As[T](v.Bytes())
	if err != nil {
		return nil, false, r.r.wrap("read", err)
	}
	return p, true, nil
}

// Get is a copy of the latest value. It is false when none was written yet.
//
// Errors: those of Load.
func (r *ReaderOf[T]) Get() (v T, ok bool, err error) {
	p, ok, err := r.Load()
	if ok && err == nil {
		v = *p
		runtime.KeepAlive(r) // or it is given back, and the value with it
	}
	return v, ok, err
}

// Changed waits until there is another value than the one loaded last. Errors: those of
// Reader.Changed.
// What is available is taken even if ctx has ended; ctx only ends waiting.
func (r *ReaderOf[T]) Changed(ctx context.Context) error { return r.r.Changed(ctx) }

// Reader is the reader of the value's bytes.
func (r *ReaderOf[T]) Reader() *Reader { return r.r }

// Close is that of Reader.
func (r *ReaderOf[T]) Close() error { return r.r.Close() }

// Writer is the untyped end: for its name, ID and CheckName.
func (w *WriterOf[T]) Writer() *Writer { return w.w }

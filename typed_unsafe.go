package samepage

import (
	"fmt"
	"unsafe"
)

// As is the T at off in the view, in place: a structure, or a matrix such as [480][640]float32. A
// read of it sees what other processes write, and a write through a read-write view is seen by
// them. It must not be touched after Close of the view. CheckType says which types T can be. off
// is in bytes.
//
// Errors: ErrType, ErrClosed, ErrRange (the T goes past the end of the view), ErrAlignment (the
// offset in the Memory, Offset of the view plus off, is not a multiple of the size of the largest
// number in T).
func As[T any](v *View, off int) (*T, error) {
	p, _, err := place[T](v, off, 1)
	return (*T)(p), err
}

// Slice is n values of type T that begin at off in the view, in place; see As. If n is 0, it is as
// many as there are up to the end of the view. The rows of a matrix are a Slice of arrays, or parts
// of one Slice.
//
// Errors: those of As, and ErrNegativeSize.
func Slice[T any](v *View, off, n int) ([]T, error) {
	p, n, err := place[T](v, off, n)
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*T)(p), n), nil
}

// place finds n values of type T at off of the view. If n is 0, it takes all up to the end.
func place[T any](v *View, off, n int) (unsafe.Pointer, int, error) {
	ty, err := typeOf[T]()
	if err != nil {
		return nil, 0, err
	}
	v.mu.RLock()
	defer v.mu.RUnlock()
	room := 0 // how many fit
	if off >= 0 && off <= len(v.b) {
		room = (len(v.b) - off) / ty.Size
	}
	switch {
	case v.b == nil:
		err = ErrClosed
	case n < 0:
		err = ErrNegativeSize
	case room < max(n, 1):
		err = ErrRange
	case (v.off+int64(off))%int64(ty.Align) != 0:
		err = fmt.Errorf("want a multiple of %d: %w", ty.Align, ErrAlignment)
	default:
		if n == 0 {
			n = room
		}
		v.handOut()
		return unsafe.Pointer(&v.b[off]), n, nil
	}
	return nil, 0, fmt.Errorf("samepage: %d values of %s of %d bytes at offset %d of a view of %d bytes that begins at %d: %w",
		n, ty.Name, ty.Size, off, len(v.b), v.off, err)
}

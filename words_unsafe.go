package samepage

import (
	"fmt"
	"io/fs"
	"sync/atomic"
	"unsafe"
)

// Uint32 is the 32-bit word at off in the view, for atomic use by all processes: a status flag, a
// counter. It must not be touched after Close of the view. The race detector does not see the
// word. So if only this word guards a Go variable, the detector reports a race on the variable.
//
// Errors: ErrClosed, ErrRange, ErrAlignment (the word's offset in the Memory is not a multiple of
// 4), fs.ErrPermission (the view cannot be written).
func (v *View) Uint32(off int) (*atomic.Uint32, error) {
	p, err := v.word(off, 4)
	return (*atomic.Uint32)(p), err
}

// Uint64 is the 64-bit word at off in the view; see Uint32. Its offset in the Memory must be a
// multiple of 8.
func (v *View) Uint64(off int) (*atomic.Uint64, error) {
	p, err := v.word(off, 8)
	return (*atomic.Uint64)(p), err
}

func (v *View) word(off, size int) (unsafe.Pointer, error) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	var err error
	switch {
	case v.b == nil:
		err = ErrClosed
	case off < 0 || off > len(v.b)-size:
		err = ErrRange
	case (v.off+int64(off))%int64(size) != 0:
		err = ErrAlignment
	case v.access != ReadWrite:
		err = fmt.Errorf("the view is %v: %w", v.access, fs.ErrPermission)
	default:
		v.handOut()
		return unsafe.Pointer(&v.b[off]), nil
	}
	return nil, fmt.Errorf("samepage: word of %d bytes at offset %d of a view of %d bytes that begins at %d: %w", size, off, len(v.b), v.off, err)
}

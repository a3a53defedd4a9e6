package sys

import (
	"fmt"
	"io/fs"
	"unsafe"

	"golang.org/x/sys/windows"

	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// The mappings of an object: views of its section.

// granularity is where views may begin. It has been 64 KiB on every Windows.
const granularity = 64 << 10

// Granularity is what the offset of a mapping must be a multiple of, in bytes.
func Granularity() int { return granularity }

// view maps n bytes of a section at off.
func view(section windows.Handle, off int64, n int, a layout.Access) ([]byte, error) {
	access := uint32(windows.FILE_MAP_READ)
	switch a {
	case layout.ReadWrite:
		access |= windows.FILE_MAP_WRITE
	case layout.CopyOnWrite:
		access = windows.FILE_MAP_COPY
	}
	addr, err := windows.MapViewOfFile(section, access, uint32(off>>32), uint32(off), uintptr(n))
	if err != nil {
		return nil, err
	}
	return unsafe.Slice((*byte)(kernel.Pointer(addr)), n), nil
}

func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

func unview(b []byte) error { return windows.UnmapViewOfFile(address(b)) }

// Map maps n bytes of the object at off, which must be a multiple of Granularity. The bytes stay
// mapped after Close of the object, until Unmap.
//
// Errors: ErrAlignment, ErrTooLarge, fs.ErrPermission; ErrNoSpace, when there is no address space.
func (o *Object) Map(off int64, n int, a layout.Access) ([]byte, error) {
	if err := o.checkRange(off, n, a); err != nil {
		return nil, err
	}
	b, err := view(o.section, off, n, a)
	switch err {
	case nil:
		return b, nil
	case windows.ERROR_ACCESS_DENIED:
		err = fmt.Errorf("%w (%w)", fs.ErrPermission, err)
	case windows.ERROR_INVALID_ADDRESS:
		err = fmt.Errorf("%w: no address space: %w", syserr.ErrNoSpace, err)
	}
	return nil, fmt.Errorf("map %d bytes at %d of %s %v: %w", n, off, o.what, a, syserr.Space(err))
}

// Unmap unmaps what Map has mapped.
func (o *Object) Unmap(b []byte) error {
	if err := unview(b); err != nil {
		return fmt.Errorf("unmap %d bytes of %s: %w", len(b), o.what, err)
	}
	return nil
}

// KeepMapped keeps all mappings until the process ends, also after the object is closed. On
// Windows mappings stay anyway.
func (*Object) KeepMapped() {}

// Poison makes every later access to b fault. The addresses are never used again.
func (o *Object) Poison(b []byte) error {
	var was uint32
	if err := windows.VirtualProtect(address(b), uintptr(len(b)), windows.PAGE_NOACCESS, &was); err != nil {
		return fmt.Errorf("protect %d bytes of %s: %w", len(b), o.what, err)
	}
	return nil
}

// Flush writes the pages around b to the file below, and waits until that is done. When another
// process has the file exclusively, a user of a name over it cannot wait: the error matches
// ErrBusy.
func (o *Object) Flush(b []byte) error {
	if o.File == "" || len(b) == 0 {
		return nil
	}
	if err := windows.FlushViewOfFile(address(b), uintptr(len(b))); err != nil {
		return fmt.Errorf("flush %d bytes of %s: %w", len(b), o.what, syserr.Space(err))
	}
	if o.Access != layout.ReadWrite {
		return nil
	}
	return o.flushFile()
}

// flushFile waits until what was given to the system is written to the file.
func (o *Object) flushFile() error {
	h := o.file
	if h == 0 {
		var err error
		h, err = kernel.CreateFile(o.File, windows.GENERIC_READ|windows.GENERIC_WRITE, entryShare, nil, windows.OPEN_EXISTING, 0)
		if err == windows.ERROR_SHARING_VIOLATION {
			return fmt.Errorf("%s is held exclusively by another process: the system has the bytes, but nobody can wait until they are written: %w (%w)", o.File, syserr.ErrBusy, err)
		}
		if err != nil {
			return &fs.PathError{Op: "flush", Path: o.File, Err: err}
		}
		defer windows.CloseHandle(h)
	}
	if err := windows.FlushFileBuffers(h); err != nil {
		return &fs.PathError{Op: "flush", Path: o.File, Err: syserr.Space(err)}
	}
	return nil
}

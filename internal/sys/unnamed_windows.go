package sys

import (
	"encoding/binary"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/windows"

	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

func createUnnamed(s *Spec) (*Object, error) {
	sa, err := kernel.Descriptor(s.SDDL)
	if err != nil {
		return nil, err
	}
	var o *Object
	if s.Sparse {
		o, err = unnamedSparse(s, sa)
	} else {
		o, err = unnamedSection(s, sa)
	}
	if err == nil {
		if err = o.init(s.Init); err != nil {
			_ = o.Close()
		}
	}
	if err != nil {
		return nil, err
	}
	o.Kind = s.Kind
	return o, nil
}

// Sections without a name cannot be told apart. So an unnamed object has one page more than it
// needs. This page, the trailer, has the id:
//
//	 0  8  the text "smpgUNNM"
//	 8 16  id
//	24  8  size of the object in bytes
const trailerMagic = "smpgUNNM"

const trailerSize = 32

// trailer is the text of the trailer.
func trailer(id layout.ID, size int64) []byte {
	b := append([]byte(trailerMagic), id[:]...)
	return binary.LittleEndian.AppendUint64(b, uint64(size))
}

const pageSize = 4096 // of every Windows that Go runs on

// pages is n rounded up to whole pages.
func pages(n int64) int64 { return (n + pageSize - 1) &^ (pageSize - 1) }

// trailerView maps the trailer of an unnamed object of size bytes. The caller must unmap all.
func trailerView(section windows.Handle, size int64, a layout.Access) (all, t []byte, err error) {
	at := pages(size)
	start := at &^ (granularity - 1)
	all, err = view(section, start, int(at-start)+trailerSize, a)
	if err != nil {
		return nil, nil, fmt.Errorf("map the last page of unnamed memory: %w", syserr.Space(err))
	}
	return all, all[at-start:], nil
}

// handlesOnly is a security descriptor that gives no rights to anybody, also not to the owner. So a
// process can use the object only through a handle, and only with the rights of that handle.
// Otherwise a process with a handle for reading could copy it with more rights (DuplicateHandle).
const handlesOnly = "D:P(A;;RC;;;OW)"

func unnamedSection(s *Spec, sa *windows.SecurityAttributes) (*Object, error) {
	id, err := kernel.RandomID()
	if err != nil {
		return nil, err
	}
	if s.SDDL == "" {
		if sa, err = kernel.Attributes(handlesOnly); err != nil {
			return nil, err
		}
	}
	h, err := createSection(windows.InvalidHandle, sa, windows.PAGE_READWRITE, pages(s.Size)+pageSize, "")
	if err != nil {
		return nil, err
	}
	all, t, err := trailerView(h, s.Size, layout.ReadWrite)
	if err != nil {
		_ = windows.CloseHandle(h)
		return nil, err
	}
	copy(t, trailer(id, s.Size))
	_ = unview(all)
	return unnamedObject(h, id, s.Size, layout.ReadWrite), nil
}

func unnamedObject(h windows.Handle, id layout.ID, size int64, a layout.Access) *Object {
	return &Object{
		ID: id, Access: a, Size: size, Key: "unnamed " + id.String() + " " + strconv.Itoa(int(a)),
		impl: impl{section: h, what: "unnamed memory"},
	}
}

// unnamedSparse lies over a file that the system deletes with its last handle: the page file has
// no sections that take space only when they are written.
func unnamedSparse(s *Spec, sa *windows.SecurityAttributes) (*Object, error) {
	id, err := kernel.RandomID()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(os.TempDir(), "samepage-"+id.String()+".tmp")
	// Not shared: a process to which the object is handed over gets a copy of this handle.
	h, err := kernel.CreateFile(path, windows.GENERIC_READ|windows.GENERIC_WRITE|windows.DELETE, 0, sa,
		windows.CREATE_NEW, windows.FILE_ATTRIBUTE_TEMPORARY|windows.FILE_FLAG_DELETE_ON_CLOSE)
	if err != nil {
		return nil, &fs.PathError{Op: "create", Path: path, Err: syserr.Space(err)}
	}
	b := &backing{file: h, path: path, size: s.Size}
	err = windows.GetFileInformationByHandle(h, &b.info)
	if err == nil {
		err = b.extend(0, true)
	}
	if err != nil {
		b.discard()
		return nil, err
	}
	o, err := overFile(h, &b.info, s.Size, layout.ReadWrite, "unnamed memory")
	if err != nil {
		b.discard()
		return nil, err
	}
	return o, nil
}

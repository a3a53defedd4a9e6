package sys

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/windows"

	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/store"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// backing is a file that an object lies over.
type backing struct {
	file windows.Handle
	path string
	info windows.ByHandleFileInformation
	size int64  // of the object
	made string // its path, if it did not exist before
}

func fileSize(i *windows.ByHandleFileInformation) int64 {
	return int64(i.FileSizeHigh)<<32 | int64(i.FileSizeLow)
}

func fileIndex(i *windows.ByHandleFileInformation) uint64 {
	return uint64(i.FileIndexHigh)<<32 | uint64(i.FileIndexLow)
}

func fileID(i *windows.ByHandleFileInformation) (id layout.ID) {
	binary.LittleEndian.PutUint64(id[:], uint64(i.VolumeSerialNumber))
	binary.LittleEndian.PutUint64(id[8:], fileIndex(i))
	return id
}

// openBacking opens s.File for s.Access, makes it when it is missing and s.Size
// is given, and extends it to s.Size. Contents that are there stay.
func openBacking(s *Spec) (b *backing, err error) {
	b = &backing{path: s.File}
	defer func() {
		if err != nil {
			b.discard()
		}
	}()
	access, share := uint32(windows.GENERIC_READ), uint32(entryShare)
	if s.Access == layout.ReadWrite {
		access |= windows.GENERIC_WRITE
	}
	if s.Exclusive {
		share = 0
	}
	var sa *windows.SecurityAttributes // by default as the directory says
	if s.SDDL != "" {
		if sa, err = kernel.Descriptor(s.SDDL); err != nil {
			return b, err
		}
	}
	var p store.Patience
	for {
		b.file, err = kernel.CreateFile(s.File, access, share, nil, windows.OPEN_EXISTING, 0)
		if err != windows.ERROR_FILE_NOT_FOUND || s.Size <= 0 || s.Access != layout.ReadWrite {
			break
		}
		b.file, err = kernel.CreateFile(s.File, access, share, sa, windows.CREATE_NEW, 0)
		if err == nil {
			b.made = s.File
		}
		// Others may make and remove it between the two calls.
		if err != windows.ERROR_FILE_EXISTS || !p.Wait() {
			break
		}
	}
	if err != nil {
		return b, explain(s, err)
	}
	if t, _ := windows.GetFileType(b.file); t != windows.FILE_TYPE_DISK {
		return b, fmt.Errorf("%s is of type %d, want a regular file: %w", s.File, t, fs.ErrInvalid)
	}
	if err := windows.GetFileInformationByHandle(b.file, &b.info); err != nil {
		return b, &fs.PathError{Op: "stat", Path: s.File, Err: err}
	}
	if s.Access == layout.ReadWrite && b.info.FileAttributes&windows.FILE_ATTRIBUTE_READONLY != 0 {
		// Windows has refused it above; Wine lets root do it.
		return b, explain(s, windows.ERROR_ACCESS_DENIED)
	}
	have := fileSize(&b.info)
	if have > 0 {
		if err := mappable(b.file, s.File, s.Access); err != nil {
			return b, err
		}
	}
	if s.Truncate && have > 0 {
		if err := windows.Ftruncate(b.file, 0); err != nil {
			if err == windows.ERROR_USER_MAPPED_FILE {
				err = fmt.Errorf("somebody maps it: %w (%w)", syserr.ErrBusy, err)
			}
			return b, fmt.Errorf("truncate %s: %w", s.File, err)
		}
		have = 0
	}
	b.size = s.Size
	if s.Size == 0 {
		b.size = have
	}
	if b.size > have {
		if s.Access != layout.ReadWrite {
			return b, fmt.Errorf("%s has %d bytes, %v access cannot extend it to %d: %w", s.File, have, s.Access, b.size, fs.ErrPermission)
		}
		return b, b.extend(have, s.Sparse)
	}
	return b, nil
}

// extend makes the file b.size bytes long. Unless sparse, the file system sets
// space aside for all of it, so that running out of it is an error here.
func (b *backing) extend(have int64, sparse bool) error {
	if sparse {
		var n uint32
		err := windows.DeviceIoControl(b.file, windows.FSCTL_SET_SPARSE, nil, 0, nil, 0, &n, nil)
		if err != nil && !errors.Is(err, errors.ErrUnsupported) && err != windows.ERROR_INVALID_FUNCTION {
			return fmt.Errorf("make %s sparse: %w", b.path, err)
		}
	}
	if err := windows.Ftruncate(b.file, b.size); err != nil {
		if b.made == "" {
			_ = windows.Ftruncate(b.file, have)
		}
		return fmt.Errorf("extend %s to %d bytes: %w", b.path, b.size, syserr.Space(err))
	}
	return nil
}

func (b *backing) discard() {
	if b.file != 0 {
		_ = windows.CloseHandle(b.file)
		b.file = 0
	}
	if b.made != "" {
		_ = kernel.DeleteFile(b.made)
	}
}

// explain names the access that was wanted and what the file allows.
func explain(s *Spec, cause error) error {
	switch cause {
	case windows.ERROR_SHARING_VIOLATION:
		if s.Exclusive {
			return fmt.Errorf("%s is open elsewhere, exclusive access is not to be had: %w (%w)", s.File, syserr.ErrBusy, cause)
		}
		return fmt.Errorf("%s is held exclusively by another user: %w (%w)", s.File, syserr.ErrBusy, cause)
	case windows.ERROR_ACCESS_DENIED, windows.ERROR_WRITE_PROTECT:
		st, err := os.Stat(s.File)
		switch {
		case err != nil:
		case st.IsDir():
			return fmt.Errorf("%s is a directory, want a regular file: %w", s.File, fs.ErrInvalid)
		case st.Mode().Perm()&0o200 == 0:
			return fmt.Errorf("%v access to %s, which is marked read-only (mode %v): %w (%w)", s.Access, s.File, st.Mode().Perm(), fs.ErrPermission, cause)
		default:
			return fmt.Errorf("%v access to %s, which its access control list does not give: %w (%w)", s.Access, s.File, fs.ErrPermission, cause)
		}
	}
	return &fs.PathError{Op: "open", Path: s.File, Err: syserr.Space(cause)}
}

// makeData makes an object's own file.
func makeData(path string, s *Spec, sa *windows.SecurityAttributes) (*backing, error) {
	flags := uint32(0)
	if s.Lifetime != layout.Persist {
		flags = windows.FILE_ATTRIBUTE_TEMPORARY // keeps it from the disk while there is memory
	}
	h, err := kernel.CreateFile(path, windows.GENERIC_READ|windows.GENERIC_WRITE, entryShare, sa, windows.CREATE_NEW, flags)
	if err != nil {
		return nil, &fs.PathError{Op: "create", Path: path, Err: syserr.Space(err)}
	}
	b := &backing{file: h, path: path, size: s.Size, made: path}
	err = windows.GetFileInformationByHandle(h, &b.info)
	if err == nil {
		err = b.extend(0, s.Sparse)
	}
	if err != nil {
		b.discard()
		return nil, err
	}
	return b, nil
}

func protection(a layout.Access) uint32 {
	if a == layout.ReadWrite {
		return windows.PAGE_READWRITE
	}
	return windows.PAGE_READONLY
}

// overFile is an object without a name that is handed over by its file.
func overFile(h windows.Handle, i *windows.ByHandleFileInformation, size int64, a layout.Access, what string) (*Object, error) {
	o := &Object{
		ID: fileID(i), Access: a, Size: size,
		// The size belongs to the key, for a section does not reach further.
		Key:  fmt.Sprintf("file %v %d %d", fileID(i), size, a),
		impl: impl{file: h, byFile: true, what: what},
	}
	if size == 0 {
		return o, nil // of no use, but no error here either
	}
	var err error
	o.section, err = createSection(h, nil, protection(a), size, "")
	return o, err
}

// MapFile opens an object over s.File, without a name. Errors: fs.ErrNotExist,
// fs.ErrPermission, fs.ErrInvalid, ErrBusy, ErrNoSpace, ErrTooLarge,
// errors.ErrUnsupported.
func MapFile(s *Spec) (*Object, error) {
	return withSpace(func() (*Object, error) { return mapFile(s) })
}

func mapFile(s *Spec) (*Object, error) {
	b, err := openBacking(s)
	if err != nil {
		return nil, err
	}
	o, err := overFile(b.file, &b.info, b.size, s.Access, s.File)
	if err != nil {
		b.discard()
		return nil, err
	}
	o.Kind, o.Lifetime = s.Kind, layout.Persist
	if o.File, err = filepath.Abs(s.File); err != nil {
		o.File = s.File
	}
	return o, nil
}

// CreateUnnamed makes an object that only those reach to whom it is handed.
// Errors: ErrNoSpace, ErrTooLarge, fs.ErrInvalid.
func CreateUnnamed(s *Spec) (*Object, error) {
	return withSpace(func() (*Object, error) { return createUnnamed(s) })
}

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

// A section without a name carries nothing by which it can be told from others.
// So an unnamed object has a page more than it needs, and the page has the id:
//
//	 0  8  the text "smpgUNNM"
//	 8 16  id
//	24  8  size of the object in bytes
const trailerMagic = "smpgUNNM"

const trailerSize = 32

func trailer(id layout.ID, size int64) []byte {
	b := append([]byte(trailerMagic), id[:]...)
	return binary.LittleEndian.AppendUint64(b, uint64(size))
}

const pageSize = 4096 // of every Windows that Go runs on

func pages(n int64) int64 { return (n + pageSize - 1) &^ (pageSize - 1) }

// trailerView maps the page behind an unnamed object of size bytes.
func trailerView(section windows.Handle, size int64, a layout.Access) (all, t []byte, err error) {
	at := pages(size)
	start := at &^ (granularity - 1)
	all, err = view(section, start, int(at-start)+trailerSize, a)
	if err != nil {
		return nil, nil, fmt.Errorf("map the last page of unnamed memory: %w", syserr.Space(err))
	}
	return all, all[at-start:], nil
}

// handlesOnly has nobody but those who have a handle get at an object, with the
// rights that the handle has: who has one to read could otherwise have it copied with
// more (DuplicateHandle). Its owner is nobody special, either.
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

// unnamedSparse lies over a file that goes with its last handle: the page file
// has no sections that take space as they are written.
func unnamedSparse(s *Spec, sa *windows.SecurityAttributes) (*Object, error) {
	id, err := kernel.RandomID()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(os.TempDir(), "samepage-"+id.String()+".tmp")
	// Shared with nobody: those to whom it is handed get a copy of this handle.
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

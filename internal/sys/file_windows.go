package sys

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

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

// fileID returns the id of an object over a file.
func fileID(i *windows.ByHandleFileInformation) (id layout.ID) {
	binary.LittleEndian.PutUint64(id[:], uint64(i.VolumeSerialNumber))
	binary.LittleEndian.PutUint64(id[8:], fileIndex(i))
	return id
}

// openBacking opens s.File for s.Access. If it is missing and s.Size is given, openBacking makes
// it. It extends the file to s.Size. The contents stay.
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
		// Others may make and remove the file between the two calls.
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
		// Windows has refused this above; Wine lets root do it.
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
				err = fmt.Errorf("a process maps it: %w (%w)", syserr.ErrBusy, err)
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

// extend makes the file b.size bytes long. Unless sparse is set, the file system reserves space
// for all of them, so that a lack of space is an error here.
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

// discard closes the file, and deletes it if it was made here.
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
			return fmt.Errorf("%s is open elsewhere, exclusive access is not available: %w (%w)", s.File, syserr.ErrBusy, cause)
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
			return fmt.Errorf("%v access to %s, which its access control list does not allow: %w (%w)", s.Access, s.File, fs.ErrPermission, cause)
		}
	}
	return &fs.PathError{Op: "open", Path: s.File, Err: syserr.Space(cause)}
}

// makeData makes an object's own file.
func makeData(path string, s *Spec, sa *windows.SecurityAttributes) (*backing, error) {
	flags := uint32(0)
	if s.Lifetime != layout.Persist {
		flags = windows.FILE_ATTRIBUTE_TEMPORARY // not written to the disk while there is memory
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

// protection returns the protection of a section over a file.
func protection(a layout.Access) uint32 {
	if a == layout.ReadWrite {
		return windows.PAGE_READWRITE
	}
	return windows.PAGE_READONLY
}

// overFile returns an object without a name. It is handed over by its file.
func overFile(h windows.Handle, i *windows.ByHandleFileInformation, size int64, a layout.Access, what string) (*Object, error) {
	o := &Object{
		ID: fileID(i), Access: a, Size: size,
		// The size belongs to the key: a section does not reach further.
		Key:  fmt.Sprintf("file %v %d %d", fileID(i), size, a),
		impl: impl{file: h, byFile: true, what: what},
	}
	if size == 0 {
		return o, nil // nothing can be mapped; this is not an error here
	}
	var err error
	o.section, err = createSection(h, nil, protection(a), size, "")
	return o, err
}

// MapFile opens an object without a name over s.File. Errors: fs.ErrNotExist, fs.ErrPermission,
// fs.ErrInvalid, ErrBusy, ErrNoSpace, ErrTooLarge, errors.ErrUnsupported.
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

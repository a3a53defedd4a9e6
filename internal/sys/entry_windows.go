package sys

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"

	"golang.org/x/sys/windows"

	"samepage/layout"
)

// The bytes of a sidecar that are locked lie far behind its end, for locks are
// mandatory on Windows. The kernel drops them when the handle is closed, also
// by death. A handle that carries a lock is never duplicated.
const (
	// presenceByte is shared by each user of the object.
	presenceByte = 1 << 40
	// gateByte is held by whoever makes, joins or looks at the object: it keeps
	// the record whole, and the test of presence from hindering those who join.
	gateByte = 1<<40 + 1
)

// entryShare is how everybody opens a sidecar. Without FILE_SHARE_DELETE a
// sidecar cannot be deleted while anybody has it open.
const entryShare = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE

func createFile(path string, access, share uint32, sa *windows.SecurityAttributes, disposition, flags uint32) (windows.Handle, error) {
	p, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return 0, err
	}
	h, err := windows.CreateFile(p, access, share, sa, disposition, windows.FILE_ATTRIBUTE_NORMAL|flags, 0)
	if err != nil {
		return 0, err
	}
	return h, nil
}

// tryLock takes a byte, and is false when that would have to wait.
func tryLock(h windows.Handle, at int64, exclusive bool) (bool, error) {
	flags := uint32(windows.LOCKFILE_FAIL_IMMEDIATELY)
	if exclusive {
		flags |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	switch err := windows.LockFileEx(h, flags, 0, 1, 0, position(at)); err {
	case nil:
		return true, nil
	case windows.ERROR_LOCK_VIOLATION, windows.ERROR_IO_PENDING:
		return false, nil
	default:
		return false, fmt.Errorf("lock byte %#x: %w", at, err)
	}
}

func unlock(h windows.Handle, at int64) { _ = windows.UnlockFileEx(h, 0, 1, 0, position(at)) }

func position(at int64) *windows.Overlapped {
	return &windows.Overlapped{Offset: uint32(at), OffsetHigh: uint32(at >> 32)}
}

func writeAt(h windows.Handle, b []byte, at int64) error {
	for len(b) > 0 {
		var n uint32
		if err := windows.WriteFile(h, b[:min(len(b), 1<<30)], &n, position(at)); err != nil {
			return spaceError(err)
		}
		b, at = b[n:], at+int64(n)
	}
	return nil
}

// entry is an open sidecar.
type entry struct {
	h    windows.Handle
	path string
}

// beingDeleted says whether a file could not be opened because somebody is just
// deleting it, or has it open alone to see whether to delete it. A file that is
// deleted but still open somewhere gives access denied, even to the question
// after its attributes.
func beingDeleted(path string, err error) bool {
	switch err {
	case windows.ERROR_SHARING_VIOLATION, windows.ERROR_DELETE_PENDING:
		return true
	case windows.ERROR_ACCESS_DENIED:
		p, err := windows.UTF16PtrFromString(path)
		if err != nil {
			return false
		}
		_, err = windows.GetFileAttributes(p)
		return err == windows.ERROR_ACCESS_DENIED || err == windows.ERROR_DELETE_PENDING
	}
	return false
}

// openSidecar is createFile with patience for those who delete.
func openSidecar(path string, access uint32, sa *windows.SecurityAttributes, disposition uint32) (windows.Handle, error) {
	var p patience
	for {
		h, err := createFile(path, access, entryShare, sa, disposition, windows.FILE_FLAG_OPEN_REPARSE_POINT)
		if err == nil {
			return h, nil
		}
		if !beingDeleted(path, err) {
			return 0, &fs.PathError{Op: "open", Path: path, Err: err}
		}
		if !p.wait() {
			return 0, fmt.Errorf("%w (%v)", errRemoving(path), err)
		}
	}
}

// openEntry opens the sidecar at path and checks that it is a file that may be
// there. Errors: fs.ErrNotExist, fs.ErrPermission, ErrBusy.
func openEntry(path string, s *Spec) (*entry, error) {
	h, err := openSidecar(path, windows.GENERIC_READ|windows.GENERIC_WRITE, nil, windows.OPEN_EXISTING)
	if errors.Is(err, fs.ErrPermission) { // a reader can lock as well
		h, err = openSidecar(path, windows.GENERIC_READ, nil, windows.OPEN_EXISTING)
	}
	if err != nil {
		return nil, err
	}
	e := &entry{h, path}
	if err := e.check(s); err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

func (e *entry) check(s *Spec) error {
	var info windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(e.h, &info); err != nil {
		return &fs.PathError{Op: "stat", Path: e.path, Err: err}
	}
	const not = windows.FILE_ATTRIBUTE_DIRECTORY | windows.FILE_ATTRIBUTE_REPARSE_POINT
	if info.FileAttributes&not != 0 || info.NumberOfLinks > 1 {
		return fmt.Errorf("%s has attributes %#x and %d links, want a plain file: %w", e.path, info.FileAttributes, info.NumberOfLinks, fs.ErrPermission)
	}
	return checkOwner(s, e.h, windows.SE_FILE_OBJECT, e.path)
}

// close lets go of the sidecar and of all locks on it.
func (e *entry) close() { _ = windows.CloseHandle(e.h) }

// leave is close, and takes the sidecar away if it is dead and nobody else has
// it open. Everybody who has had a sidecar open leaves so: whoever looked at it
// may have kept its last user from taking it away.
func (e *entry) leave() {
	e.close()
	_, _ = reap(e.path, false)
}

// gate takes the gate. It is open again after a matching unlock or close.
func (e *entry) gate() error {
	var p patience
	for {
		ok, err := tryLock(e.h, gateByte, true)
		if ok {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", e.path, err)
		}
		if !p.wait() {
			return fmt.Errorf("another process has been at work on %s for more than %v: %w", e.path, removalWait, ErrBusy)
		}
	}
}

// state of an entry.
type entryState int

const (
	entryUsed entryState = iota // somebody alive is present
	entryIdle                   // nobody is, and it persists
	entryDead                   // nobody is, and it may go
)

// state tells about the entry; the caller is at the gate and not present. The
// record is nil when it cannot be read: then err says why if it is in use, and
// it is dead if it is not.
func (e *entry) state() (entryState, *layout.Record, error) {
	alone, err := tryLock(e.h, presenceByte, true)
	if err != nil {
		return 0, nil, fmt.Errorf("%s: %w", e.path, err)
	}
	if alone {
		unlock(e.h, presenceByte)
	}
	r, err := readRecord(e.h, e.path)
	switch {
	case !alone:
		return entryUsed, r, err
	case err == nil && persists(r):
		return entryIdle, r, nil
	}
	return entryDead, r, nil
}

// persists says whether the record is of an object that stays without users.
func persists(r *layout.Record) bool {
	boot, err := boot()
	return err == nil && r.Lifetime == layout.Persist && r.Boot == boot
}

var boot = sync.OnceValues(bootTime)

// readRecord reads the record in the sidecar at path, and checks that it is the
// one that belongs there.
func readRecord(h windows.Handle, path string) (*layout.Record, error) {
	b := make([]byte, layout.RecordSize)
	var n uint32
	if err := windows.ReadFile(h, b, &n, position(0)); err != nil && err != windows.ERROR_HANDLE_EOF {
		return nil, fmt.Errorf("%s: read record: %v: %w", path, err, layout.ErrCorrupt)
	}
	r, err := layout.ParseRecord(b[:n])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	d := dir{path: filepath.Dir(path)}
	if want := d.entryPath(r.Kind, r.Name); want != path {
		return nil, fmt.Errorf("%s has the record of %v %q: %w", path, r.Kind, r.Name, layout.ErrCorrupt)
	}
	if r.Flags&layout.RecordOwnFile != 0 {
		// The record may spell the directory in another way, or be of somebody
		// who wants another file deleted.
		r.Path = filepath.Join(d.path, filepath.Base(r.Path))
		if !isDataOf(path, r.Path) {
			return nil, fmt.Errorf("%s says that its bytes are in %q: %w", path, r.Path, layout.ErrCorrupt)
		}
	}
	return r, nil
}

// write writes the record, its magic last.
func (e *entry) write(r *layout.Record) error {
	b := r.Append(nil)
	err := writeAt(e.h, b[8:], 8)
	if err == nil {
		err = writeAt(e.h, b[:8], 0)
	}
	if err != nil {
		return fmt.Errorf("write record %s: %w", e.path, err)
	}
	return nil
}

// reap takes a sidecar away when it is dead, with the object's own file; with
// force also one that persists. It is false when somebody has the sidecar open.
//
// It opens the sidecar for itself alone: that succeeds only where nobody has it
// open, so there are no users and nobody can come before it is gone. And it
// looks at what it has open, so it never deletes what another one made there
// meanwhile.
func reap(path string, force bool) (removed bool, err error) {
	h, err := createFile(path, windows.GENERIC_READ|windows.DELETE, 0, nil, windows.OPEN_EXISTING, windows.FILE_FLAG_OPEN_REPARSE_POINT)
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	case beingDeleted(path, err):
		return false, nil
	default:
		return false, &fs.PathError{Op: "remove", Path: path, Err: err}
	}
	r, rerr := readRecord(h, path)
	if rerr == nil && persists(r) && !force {
		_ = windows.CloseHandle(h)
		return false, nil
	}
	err = markDeleted(h)
	_ = windows.CloseHandle(h)
	if err != nil {
		return false, &fs.PathError{Op: "remove", Path: path, Err: err}
	}
	if rerr == nil && r.Flags&layout.RecordOwnFile != 0 {
		// Whoever still has it mapped keeps it; then Clean finds it later.
		_ = deleteFile(r.Path)
	}
	return true, nil
}

func deleteFile(path string) error {
	p, err := windows.UTF16PtrFromString(path)
	if err == nil {
		err = windows.DeleteFile(p)
	}
	if err != nil {
		return &fs.PathError{Op: "remove", Path: path, Err: err}
	}
	return nil
}

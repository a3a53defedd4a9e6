package sys

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"sync"

	"golang.org/x/sys/windows"

	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/store"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// The locked bytes of a sidecar are far behind its end, because locks are mandatory on Windows. The
// kernel releases a lock when its handle is closed, also when the process dies. A handle with a
// lock is never duplicated.
const (
	// Each user of the object locks presenceByte, shared.
	presenceByte = 1 << 40
	// A process locks gateByte while it makes, joins or examines the object. So the record is never
	// half-written for others, and the test for presence does not disturb processes that join.
	gateByte = 1<<40 + 1
)

// entryShare is how every process opens a sidecar. Without FILE_SHARE_DELETE nobody can delete a
// sidecar while anybody has it open.
const entryShare = windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE

// entry is an open sidecar: a file beside a named object, with its layout.Record and the locks
// of its users (docs/protocol/names.md).
type entry struct {
	h        windows.Handle
	path     string
	readOnly bool // the sidecar's rights do not let this user write it
}

// openSidecar is kernel.CreateFile, but waits if a process is deleting the file.
func openSidecar(path string, access uint32, sa *windows.SecurityAttributes, disposition uint32) (windows.Handle, error) {
	var p store.Patience
	for {
		h, err := kernel.CreateFile(path, access, entryShare, sa, disposition, windows.FILE_FLAG_OPEN_REPARSE_POINT)
		if err == nil {
			return h, nil
		}
		if !kernel.BeingDeleted(path, err) {
			return 0, &fs.PathError{Op: "open", Path: path, Err: err}
		}
		if !p.Wait() {
			return 0, fmt.Errorf("%w (%w)", store.StillRemoving(path), syserr.OnlyNumber(err))
		}
	}
}

// openEntry opens the sidecar at path, and checks that the file is allowed there. Errors:
// fs.ErrNotExist, fs.ErrPermission, ErrBusy.
func openEntry(path string, s *Spec) (*entry, error) {
	h, err := openSidecar(path, windows.GENERIC_READ|windows.GENERIC_WRITE, nil, windows.OPEN_EXISTING)
	readOnly := errors.Is(err, fs.ErrPermission)
	if readOnly { // a reader can lock as well
		h, err = openSidecar(path, windows.GENERIC_READ, nil, windows.OPEN_EXISTING)
	}
	if err != nil {
		return nil, err
	}
	e := &entry{h, path, readOnly}
	if err := e.check(s); err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

func (e *entry) check(s *Spec) error {
	attributes, links, err := kernel.AttributesAndLinks(e.h)
	if err != nil {
		return &fs.PathError{Op: "stat", Path: e.path, Err: err}
	}
	const not = windows.FILE_ATTRIBUTE_DIRECTORY | windows.FILE_ATTRIBUTE_REPARSE_POINT
	if attributes&not != 0 || links > 1 {
		return fmt.Errorf("%s has attributes %#x and %d links, want a plain file: %w", e.path, attributes, links, fs.ErrPermission)
	}
	return store.CheckOwner(s.Owner, e.h, windows.SE_FILE_OBJECT, e.path)
}

// close closes the sidecar and drops all locks on it.
func (e *entry) close() { _ = windows.CloseHandle(e.h) }

// leave is close, and removes the sidecar if it is dead and nobody else has it open. Every process
// that opens a sidecar must leave in this way: while it has the sidecar open, the last user cannot
// remove it. Then the last process that closes the sidecar removes it.
func (e *entry) leave() error {
	e.close()
	_, err := reap(e.path, false)
	return err
}

// leaveTries is how often leaveUsed tries.
var leaveTries = 5

// leaveUsed is leave for a process that is present. If other processes are present, too, there is
// nothing to remove. If none is present, but a process has the sidecar open only to look at it,
// leaveUsed tries again a few times. It must do so because such a process may not remove the
// sidecar afterwards: it may be a look that removes nothing, or a program that is not from this
// project.
func (e *entry) leaveUsed() {
	var p store.Patience
	for range leaveTries {
		if ok, err := kernel.TryLock(e.h, gateByte, true); ok {
			kernel.Unlock(e.h, presenceByte)
			if st, _, err := e.state(); err == nil && st != entryDead {
				e.close()
				return
			}
			break
		} else if err != nil {
			break
		}
		p.Wait()
	}
	e.close()
	gone, err := reap(e.path, false)
	p = store.Patience{}
	for tries := leaveTries; tries > 0 && !gone && err == nil; tries-- {
		if looksDead(e.path) {
			p.Wait()
		} else {
			tries = 1 // this look may have prevented another process from removing it
		}
		gone, err = reap(e.path, false)
	}
}

// looksDead says whether the sidecar at path may be dead. It does not wait for another process, so
// the answer is not certain.
func looksDead(path string) bool {
	h, err := kernel.CreateFile(path, windows.GENERIC_READ, entryShare, nil, windows.OPEN_EXISTING, windows.FILE_FLAG_OPEN_REPARSE_POINT)
	if err != nil {
		return kernel.BeingDeleted(path, err)
	}
	e := &entry{h: h, path: path}
	defer e.close()
	if ok, err := kernel.TryLock(h, gateByte, true); !ok {
		return err == nil
	}
	st, _, err := e.state()
	return err == nil && st == entryDead
}

// gate locks the gate. unlock, or close, opens it again.
func (e *entry) gate() error {
	var p store.Patience
	for {
		ok, err := kernel.TryLock(e.h, gateByte, true)
		if ok {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", e.path, err)
		}
		if !p.Wait() {
			return fmt.Errorf("another process has held the gate of %s for more than %v: %w", e.path, store.RemovalWait, syserr.ErrBusy)
		}
	}
}

// takePresence makes this process present. The caller holds the gate, so no process tests for
// presence at the same time.
func (e *entry) takePresence() error {
	ok, err := kernel.TryLock(e.h, presenceByte, false)
	if err == nil && !ok {
		err = fmt.Errorf("lock the presence byte of %s: %w", e.path, syserr.ErrBusy)
	}
	return err
}

// entryState says whether an entry has users, and whether it may be removed.
type entryState int

const (
	entryUsed    entryState = iota // a process is present
	entryIdle                      // no process is present, and it persists
	entryDead                      // no process is present, and it may be removed
	entryDamaged                   // no process is present, and it is not known whether it persists
)

// state returns the state of the entry. The caller must hold the gate and must not be present. The
// record is nil if there is none, or if it cannot be read: then err says why. The record of a dead
// entry is nil if its maker did not complete it.
func (e *entry) state() (entryState, *layout.Record, error) {
	alone, err := kernel.TryLock(e.h, presenceByte, true)
	if err != nil {
		return 0, nil, fmt.Errorf("%s: %w", e.path, err)
	}
	if alone {
		kernel.Unlock(e.h, presenceByte)
	}
	r, err := readRecord(e.h, e.path)
	if !alone {
		return entryUsed, r, err
	}
	return unusedState(r, err), r, ignoreUnfinished(err)
}

// unusedState returns the state of an entry where no process is present, from the result of
// readRecord. A record that cannot be read may have a later version and an object that persists: so
// only Remove removes it.
func unusedState(r *layout.Record, err error) entryState {
	switch {
	case errors.Is(err, errUnfinished):
		return entryDead
	case err != nil:
		return entryDamaged
	case r.Lifetime != layout.Persist:
		return entryDead
	}
	if boot, err := boot(); err == nil && r.Boot != boot {
		return entryDead
	}
	return entryIdle
}

var boot = sync.OnceValues(bootTime)

// errUnfinished says that the record of a sidecar has no magic yet.
var errUnfinished = fmt.Errorf("no record yet: %w", layout.ErrCorrupt)

func ignoreUnfinished(err error) error {
	if errors.Is(err, errUnfinished) {
		return nil
	}
	return err
}

// readRecord reads the record in the sidecar at path, and checks that it has that name. Errors:
// errUnfinished, layout.ErrCorrupt, layout.ErrVersion.
func readRecord(h windows.Handle, path string) (*layout.Record, error) {
	b := make([]byte, layout.RecordSize)
	var n uint32
	if err := windows.ReadFile(h, b, &n, kernel.Position(0)); err != nil && err != windows.ERROR_HANDLE_EOF {
		return nil, fmt.Errorf("%s: read record: %w", path, err)
	}
	if magic := b[:min(n, 8)]; len(bytes.Trim(magic, "\x00")) == 0 {
		return nil, fmt.Errorf("%s: %w", path, errUnfinished)
	}
	r, err := layout.ParseRecord(b[:n])
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	d := store.Dir{Path: filepath.Dir(path)}
	if want := d.EntryPath(r.Kind, r.Name); want != path {
		return nil, fmt.Errorf("%s has the record of %v %q: %w", path, r.Kind, r.Name, layout.ErrCorrupt)
	}
	if r.Flags&layout.RecordOwnFile != 0 {
		// The record may spell the directory in another way. Or it is forged, so that another file
		// is deleted.
		r.Path = filepath.Join(d.Path, filepath.Base(r.Path))
		if !store.IsDataOf(path, r.Path) {
			return nil, fmt.Errorf("%s has a record that says that its bytes are in %q: %w", path, r.Path, layout.ErrCorrupt)
		}
	}
	return r, nil
}

// errStale says that a sidecar is dead, and that no new object may use it: it must be deleted.
var errStale = errors.New("the sidecar has other rights than a new one")

// clear removes the record of the sidecar, if it is dead. The caller must hold the gate. clear does
// not delete the file: if many processes come and go, none ever has the sidecar for itself alone.
// But the owner and rights of the file must be the same as those of a new file (fresh says that it
// is a new file). Otherwise a process that the old rights allow may still have it open.
//
// Errors: fs.ErrExist, errStale, layout.ErrCorrupt, layout.ErrVersion.
func (e *entry) clear(d *store.Dir, s *Spec, sa *windows.SecurityAttributes, fresh bool) error {
	st, r, err := e.state()
	switch {
	case err != nil:
		return err
	case st != entryDead:
		return &fs.PathError{Op: "create", Path: e.path, Err: fs.ErrExist}
	case fresh && r == nil:
		return nil
	case e.readOnly:
		return errStale
	}
	want, err := d.RightsOfNew(s.SDDL, sa)
	if err != nil {
		return err
	}
	if have, err := kernel.SecurityOf(e.h, windows.SE_FILE_OBJECT); err != nil || have.String() != want {
		return errStale
	}
	if err := kernel.WriteAt(e.h, make([]byte, 8), 0); err != nil {
		return fmt.Errorf("clear record %s: %w", e.path, err)
	}
	if r != nil && r.Flags&layout.RecordOwnFile != 0 {
		_ = kernel.DeleteFile(r.Path) // see reap
	}
	return nil
}

// write writes the record, its magic last.
func (e *entry) write(r *layout.Record) error {
	b := r.Append(nil)
	err := kernel.WriteAt(e.h, b[8:], 8)
	if err == nil {
		err = kernel.WriteAt(e.h, b[:8], 0)
	}
	if err != nil {
		return fmt.Errorf("write record %s: %w", e.path, err)
	}
	return nil
}

// reap removes a dead sidecar together with the object's own file. With force it also removes a
// sidecar that persists or is damaged. It returns false if a process has the sidecar open.
//
// It opens the sidecar exclusively. This succeeds only if no process has it open. So there are no
// users, and none can come before it is removed. Then reap examines the file that it has open. So
// it never deletes a file that another process has made there meanwhile.
func reap(path string, force bool) (removed bool, err error) {
	h, err := kernel.CreateFile(path, windows.GENERIC_READ|windows.DELETE, 0, nil, windows.OPEN_EXISTING, windows.FILE_FLAG_OPEN_REPARSE_POINT)
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist):
		return true, nil
	case kernel.BeingDeleted(path, err):
		return false, nil
	default:
		return false, &fs.PathError{Op: "remove", Path: path, Err: err}
	}
	r, rerr := readRecord(h, path)
	if unusedState(r, rerr) != entryDead && !force {
		_ = windows.CloseHandle(h)
		return false, nil
	}
	err = markDeleted(h)
	_ = windows.CloseHandle(h)
	if err != nil {
		return false, &fs.PathError{Op: "remove", Path: path, Err: err}
	}
	if rerr == nil && r.Flags&layout.RecordOwnFile != 0 {
		// If a process still maps the file, it stays, and Clean finds it later.
		_ = kernel.DeleteFile(r.Path)
	}
	return true, nil
}

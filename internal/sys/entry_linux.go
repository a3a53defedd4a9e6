package sys

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/store"
	"samepage/layout"
)

// On Linux the entry of a named object is a file in the directory of its scope. The file has the
// bytes of the object, or a record with the path of the file that has them. Its mode bits have
// facts about the object: a regular file in shared memory has no other use for these bits, and they
// appear and change together with the file.
const (
	// modePersist (sticky) marks an object that stays without users.
	modePersist = unix.S_ISVTX
	// modeRecord (owner may execute) marks an entry that is a layout.Record with the path of
	// the file that has the bytes.
	modeRecord = unix.S_IXUSR
	permBits   = 0o666
)

// Each user of an object locks the presenceByte of its entry, shared. Like all locked bytes it is
// far behind the end of any file.
const presenceByte = 1 << 62

// entryFile is an open entry. The steps are in docs/protocol/names.md. To join, a process locks the
// presence byte, and then checks whether the entry is still this file. To remove the entry, it
// locks the byte exclusively, and then checks.
type entryFile struct {
	lock     kernel.Locks
	st       unix.Stat_t // when it was opened
	readOnly error       // why lock is open for reading only, if it is
}

// openEntry opens an entry with a descriptor for its locks, and checks that the file is allowed
// there. Errors: fs.ErrNotExist, fs.ErrPermission.
func openEntry(d *store.Dir, entry string, s *Spec) (*entryFile, error) {
	path := filepath.Join(d.Path, entry)
	const flags = unix.O_NOFOLLOW | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC
	e := &entryFile{}
	fd, err := kernel.Open(d.FD(), entry, unix.O_RDWR|flags, 0)
	if err == unix.EACCES || err == unix.EROFS {
		e.readOnly = err
		fd, err = kernel.Open(d.FD(), entry, unix.O_RDONLY|flags, 0)
	}
	if err != nil {
		return nil, store.Planted(d.FD(), entry, path, err)
	}
	e.lock = kernel.Locks{F: kernel.NewFile(fd, path)}
	if err := e.check(d, s, path); err != nil {
		_ = e.lock.F.Close()
		return nil, err
	}
	return e, nil
}

// check returns an error if the entry is not a plain file, or if it belongs to another user.
func (e *entryFile) check(d *store.Dir, s *Spec, path string) error {
	if err := unix.Fstat(int(e.lock.F.Fd()), &e.st); err != nil {
		return &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	if e.st.Mode&unix.S_IFMT != unix.S_IFREG {
		return store.Stranger(path, &e.st, nil)
	}
	if e.st.Nlink > 1 {
		return fmt.Errorf("%s has %d hard links, owner %s: %w", path, e.st.Nlink, kernel.UserName(e.st.Uid), fs.ErrPermission)
	}
	return store.CheckOwner(s.Owner, s.Scope, path, e.st.Uid)
}

// persist says whether the object stays without users.
func (e *entryFile) persist() bool { return e.st.Mode&modePersist != 0 }

// same says whether the entry is still this file.
func (e *entryFile) same(d *store.Dir, entry string) bool {
	var st unix.Stat_t
	return unix.Fstatat(d.FD(), entry, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && placeOf(&st) == placeOf(&e.st)
}

// unlinkIfUnused removes the entry if no process is present. The exclusive lock prevents others
// from joining meanwhile. Processes that join later check the entry again.
//
// Errors: fs.ErrPermission, if this user may not remove it.
func (e *entryFile) unlinkIfUnused(d *store.Dir, entry string) (removed bool, err error) {
	if e.readOnly != nil {
		return false, fmt.Errorf("%s is left over, and only %s may remove it (mode %#o): %w (%w)",
			filepath.Join(d.Path, entry), kernel.UserName(e.st.Uid), e.st.Mode&0o7777, fs.ErrPermission, e.readOnly)
	}
	ok, err := e.lock.TryExclusive(presenceByte)
	if !ok {
		return false, err
	}
	defer e.lock.Unlock(presenceByte)
	if !e.same(d, entry) {
		return true, nil
	}
	if err := unix.Unlinkat(d.FD(), entry, 0); err != nil && err != unix.ENOENT {
		return false, &fs.PathError{Op: "remove", Path: filepath.Join(d.Path, entry), Err: err}
	}
	return true, nil
}

// entryState says whether an entry has users, and whether it may be removed.
type entryState int

const (
	entryUsed     entryState = iota // a process is present
	entryIdle                       // no process is present, and it persists
	entryDead                       // no process is present, and it may be removed
	entryRemoving                   // a process is removing it
)

func (e *entryFile) state() (entryState, error) {
	held, exclusively, err := e.lock.Held(presenceByte)
	switch {
	case err != nil:
		return 0, err
	case exclusively:
		return entryRemoving, nil
	case held:
		return entryUsed, nil
	case e.persist():
		return entryIdle, nil
	}
	return entryDead, nil
}

// join makes the caller present. It returns false if the entry was removed or is being removed:
// then the caller must look again.
func (e *entryFile) join(d *store.Dir, entry string) (bool, error) {
	st, err := e.state()
	if err != nil {
		return false, err
	}
	switch st {
	case entryDead:
		_, _ = e.unlinkIfUnused(d, entry)
		return false, &fs.PathError{Op: "open", Path: filepath.Join(d.Path, entry), Err: fs.ErrNotExist}
	case entryRemoving:
		return false, nil
	}
	ok, err := e.lock.TryShared(presenceByte)
	if err != nil || !ok {
		return false, err
	}
	if !e.same(d, entry) {
		e.lock.Unlock(presenceByte)
		return false, nil
	}
	return true, nil
}

// leave is the opposite of join, and removes the entry if the caller was the last user. It
// closes the descriptor.
func (e *entryFile) leave(d *store.Dir, entry string) {
	e.lock.Unlock(presenceByte)
	if !e.persist() {
		_, _ = e.unlinkIfUnused(d, entry)
	}
	e.lock.Close()
}

// clearDead makes sure that the name of an entry is free. It removes an entry that a dead process
// left there. Errors: fs.ErrExist.
func clearDead(d *store.Dir, entry string, s *Spec) error {
	var p store.Patience
	for {
		e, err := openEntry(d, entry, s)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		st, err := e.state()
		if err == nil && st == entryDead {
			_, err = e.unlinkIfUnused(d, entry)
		}
		_ = e.lock.F.Close()
		switch {
		case err != nil:
			return err
		case st == entryUsed || st == entryIdle:
			return fs.ErrExist
		case st == entryDead:
			// It was removed, or a process has joined meanwhile.
		case !p.Wait():
			return store.StillRemoving(s.Name)
		}
	}
}

// readRecord reads the record in the entry at path, and checks that it has that name. Errors:
// layout.ErrCorrupt, layout.ErrVersion.
func readRecord(f *os.File, path string) (*layout.Record, error) {
	b := make([]byte, layout.RecordSize)
	switch _, err := f.ReadAt(b, 0); {
	case err == io.EOF:
		return nil, fmt.Errorf("%s ends in its record: %w", path, layout.ErrCorrupt)
	case err != nil:
		return nil, fmt.Errorf("%s: read record: %w", path, err)
	}
	r, err := layout.ParseRecord(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if store.EntryName(r.Kind, r.Name) != filepath.Base(path) {
		return nil, fmt.Errorf("%s has the record of %v %q: %w", path, r.Kind, r.Name, layout.ErrCorrupt)
	}
	return r, nil
}

package sys

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/store"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// Create makes a named object. Errors: fs.ErrExist, fs.ErrPermission, ErrPrivilege, ErrNoSpace,
// ErrTooLarge, ErrStore, ErrBusy, errors.ErrUnsupported.
func Create(s *Spec) (*Object, error) {
	return withSpace(func() (*Object, error) {
		if s.Exact {
			return createExact(s)
		}
		return createNamed(s)
	})
}

func createNamed(s *Spec) (*Object, error) {
	return inDir(s.Scope, true, func(d *store.Dir) (*Object, error) {
		sweepFirst(d)
		return create(d, s)
	})
}

// create prepares an object and then gives it its name. So the entry appears complete and with its
// creator present.
func create(d *store.Dir, s *Spec) (*Object, error) {
	entry := store.EntryName(s.Kind, s.Name)
	if err := clearDead(d, entry, s); err != nil {
		return nil, err
	}
	n, err := prepare(d, s)
	if err != nil {
		return nil, err
	}
	for {
		// This uses the descriptor's link in /proc, because AT_EMPTY_PATH, which names a file by
		// its descriptor alone, needs a capability.
		err := unix.Linkat(unix.AT_FDCWD, kernel.ProcFD(int(n.entryFD.Fd())), d.FD(), entry, unix.AT_SYMLINK_FOLLOW)
		if err == nil {
			n.takeName(d, entry)
			return n.object(d, entry, s), nil
		}
		if err != unix.EEXIST {
			n.discard()
			return nil, fmt.Errorf("link %s: %w", filepath.Join(d.Path, entry), syserr.Space(err))
		}
		if err := clearDead(d, entry, s); err != nil {
			n.discard()
			return nil, err
		}
	}
}

// newEntry is an object that does not have its name yet.
type newEntry struct {
	entryFD  *os.File // the file that gets the name: the bytes, or a record
	data     *os.File // the file that is mapped
	lock     kernel.Locks
	first    *MemberLocks
	fileLock *kernel.Locks
	size     int64
	path     string // of the file below
	madeFile string // the same path, if the file was made for this object
}

// discard gives back everything that was prepared.
func (n *newEntry) discard() {
	for _, f := range []*os.File{n.entryFD, n.data} {
		if f != nil {
			_ = f.Close()
		}
	}
	if n.lock.F != nil {
		n.lock.Close()
	}
	if n.first != nil {
		_ = n.first.Close()
	}
	if n.fileLock != nil {
		removeMade(n.madeFile, *n.fileLock)
		n.fileLock.Close()
	}
}

// prepare makes everything except the name: a file that nobody sees, its space, its first bytes,
// the presence of the creator, and its lock as the first member.
func prepare(d *store.Dir, s *Spec) (n *newEntry, err error) {
	n = &newEntry{size: s.Size}
	defer func() {
		if err != nil {
			n.discard()
		}
	}()
	fd, err := kernel.Open(d.FD(), ".", unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == unix.EOPNOTSUPP || err == unix.EISDIR {
		return n, store.NoTmpfile(d.Path, err)
	}
	if err != nil {
		return n, fmt.Errorf("make a file in %s: %w", d.Path, store.Unmade(d.Path, err))
	}
	n.entryFD = kernel.NewFile(fd, d.Path)
	// The owner can always write, and so remove the entry.
	mode := uint32(s.Perm.Perm())&permBits | 0o600
	if s.Lifetime == layout.Persist {
		mode |= modePersist
	}
	if s.File == "" {
		if err := mappable(n.entryFD, d.Path, layout.ReadWrite); err != nil {
			return n, err
		}
		have := int64(0)
		if s.Later {
			have = int64(len(s.Init))
			if err := reserve(n.entryFD, 0, have, s.Sparse); err != nil {
				return n, err
			}
		}
		if err := reserve(n.entryFD, have, s.Size, s.Sparse || s.Later); err != nil {
			return n, err
		}
		if _, err := n.entryFD.WriteAt(s.Init, 0); err != nil {
			return n, fmt.Errorf("write first bytes: %w", syserr.Space(err))
		}
		n.data, err = kernel.Reopen(fd, d.Path, unix.O_RDWR)
		if err != nil {
			return n, err
		}
	} else {
		if err := n.overFile(s); err != nil {
			return n, err
		}
		mode |= modeRecord
	}
	f, err := kernel.Reopen(fd, d.Path, unix.O_RDWR)
	if err != nil {
		return n, err
	}
	n.lock = kernel.Locks{F: f}
	ok, err := n.lock.TryShared(presenceByte)
	if err == nil && !ok {
		err = syserr.ErrBusy
	}
	if err != nil {
		return n, fmt.Errorf("lock the presence byte of a new file in %s: %w", d.Path, err)
	}
	n.first, err = openFirst(s, func() (*MemberLocks, error) { return openLocks(fd, d.Path, layout.ReadWrite) })
	if err != nil {
		return n, err
	}
	return n, unix.Fchmod(fd, mode)
}

// overFile opens the file below a named object and writes the record of it.
func (n *newEntry) overFile(s *Spec) error {
	b, err := openBacking(s, false)
	if err != nil {
		return err
	}
	n.data, n.fileLock, n.size, n.madeFile = b.file, b.lock, b.size, b.made
	if len(s.Init) > 0 {
		if _, err := n.data.WriteAt(s.Init, 0); err != nil {
			return fmt.Errorf("write first bytes: %w", syserr.Space(err))
		}
	}
	path, err := filepath.Abs(s.File)
	if err != nil {
		return err
	}
	n.path = path
	if len(path) > layout.MaxPath {
		return fmt.Errorf("path of %d bytes, at most %d: %w", len(path), layout.MaxPath, fs.ErrInvalid)
	}
	r := layout.Record{
		Kind: s.Kind, Scope: s.Scope, Lifetime: s.Lifetime, Size: n.size,
		ID: fileID(&b.st), Created: time.Now().UnixNano(), PID: uint32(os.Getpid()),
		Dev: b.st.Dev, Ino: b.st.Ino, Name: s.Name, Path: path,
	}
	if _, err = n.entryFD.WriteAt(r.Append(nil), 0); err != nil {
		return fmt.Errorf("write record: %w", syserr.Space(err))
	}
	return nil
}

// takeName opens the entry again after it has got its name. So /proc shows descriptors and mappings
// with that name, and not as "deleted". If this fails, the old descriptors are used.
func (n *newEntry) takeName(d *store.Dir, entry string) {
	path := filepath.Join(d.Path, entry)
	fd, err := kernel.Open(d.FD(), entry, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	lock := kernel.Locks{F: kernel.NewFile(fd, path)}
	var is, was unix.Stat_t
	if unix.Fstat(fd, &is) == nil && unix.Fstat(int(n.lock.F.Fd()), &was) == nil && placeOf(&is) == placeOf(&was) {
		if ok, err := lock.TryShared(presenceByte); ok && err == nil {
			n.lock, lock = lock, n.lock
		}
	}
	lock.Close()
	if n.path != "" {
		return // the entry is a record, and does not have the bytes
	}
	if data, err := kernel.Reopen(int(n.lock.F.Fd()), n.lock.F.Name(), unix.O_RDWR); err == nil {
		_ = n.data.Close()
		n.data = data
	}
}

// object returns the open object, after the entry has got its name.
func (n *newEntry) object(d *store.Dir, entry string, s *Spec) *Object {
	if n.data != n.entryFD {
		_ = n.entryFD.Close()
	}
	var st, at unix.Stat_t
	_ = unix.Fstat(int(n.data.Fd()), &st)
	_ = unix.Fstat(int(n.lock.F.Fd()), &at)
	o := &Object{
		ID: fileID(&st), Kind: s.Kind, Scope: s.Scope, Name: s.Name, Access: layout.ReadWrite,
		Size: n.size, Lifetime: s.Lifetime, File: n.path, first: n.first,
		impl: impl{file: n.data, path: filepath.Join(d.Path, entry), at: placeOf(&at), lock: &n.lock, dir: d, entry: entry, fileLock: n.fileLock},
	}
	o.setKey(&st)
	return o
}

package sys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"

	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/process"
	"samepage/internal/sys/store"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// An object is handed over by a descriptor. A child inherits it; a running process opens it
// through the giver's /proc, or takes a copy (pidfd_getfd). The receiver opens the file again, so
// that it shares no file description, and joins the users of the name if there is one.

// handOut prepares the object for another process with access a. A reader of an object without a
// name cannot become a writer. Errors: fs.ErrPermission.
func (o *Object) handOut(a layout.Access) error {
	if a == layout.ReadWrite && o.Access == layout.ReadOnly {
		return fmt.Errorf("hand over %v an object open %v: %w", a, o.Access, fs.ErrPermission)
	}
	if !o.memfd {
		return nil
	}
	seals, err := unix.FcntlInt(o.file.Fd(), unix.F_GET_SEALS, 0)
	if err != nil {
		return os.NewSyscallError("fcntl", err)
	}
	frozen := seals&unix.F_SEAL_FUTURE_WRITE != 0
	if a == layout.ReadWrite && frozen {
		return fmt.Errorf("hand over %v an object that was handed over read-only before: %w", a, fs.ErrPermission)
	}
	if a == layout.ReadOnly && !frozen {
		return o.freeze()
	}
	return nil
}

// Inherit gives the object to a child that cmd will start, and returns the number of the
// descriptor in the child. The object must stay open until cmd.Start returns.
func (o *Object) Inherit(cmd *exec.Cmd, a layout.Access) (uint64, error) {
	if err := o.handOut(a); err != nil {
		return 0, err
	}
	f, err := o.fileFor(a)
	if err != nil {
		return 0, err
	}
	for i, g := range cmd.ExtraFiles {
		if g == f {
			return uint64(3 + i), nil
		}
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	return uint64(2 + len(cmd.ExtraFiles)), nil
}

// fileFor returns the descriptor for a process with access a. (The own descriptor of the object may
// be open for writing although the object is not, because an inherited descriptor stays unchanged.)
func (o *Object) fileFor(a layout.Access) (*os.File, error) {
	if a != layout.ReadOnly {
		return o.file, nil
	}
	mode, err := unix.FcntlInt(o.file.Fd(), unix.F_GETFL, 0)
	if err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	if mode&unix.O_ACCMODE == unix.O_RDONLY {
		return o.file, nil
	}
	return o.readOnlyFile()
}

// readOnlyFile returns a descriptor for readers. It is closed together with the object.
func (o *Object) readOnlyFile() (*os.File, error) {
	o.reader.mu.Lock()
	defer o.reader.mu.Unlock()
	if o.reader.f == nil {
		f, err := kernel.Reopen(int(o.file.Fd()), o.path, unix.O_RDONLY)
		if err != nil {
			return nil, err
		}
		o.reader.f = f
	}
	return o.reader.f, nil
}

// Grant prepares the object for a running process, and returns the number with which Receive finds
// it in this process, while the object is open here.
func (o *Object) Grant(a layout.Access) (uint64, error) {
	return uint64(o.file.Fd()), o.handOut(a)
}

// Receive opens the object that a token names. Errors: layout.ErrBadToken,
// ErrPeerNotStarted, fs.ErrPermission.
func Receive(t *layout.Token) (*Object, error) {
	if t.Number > 1<<30 {
		return nil, fmt.Errorf("descriptor %d: %w", t.Number, layout.ErrBadToken)
	}
	if !t.Granted {
		return receiveInherited(t)
	}
	self, err := process.Myself()
	if err != nil {
		return nil, err
	}
	if t.To != self {
		return nil, fmt.Errorf("it is for process %d started at %d, this is %d started at %d: %w",
			t.To.PID, t.To.Start, self.PID, self.Start, layout.ErrBadToken)
	}
	from, err := process.Find(int(t.From.PID))
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return nil, err
	}
	if err == nil && from != t.From {
		return nil, fmt.Errorf("process %d is another one now: %w", t.From.PID, syserr.ErrPeerNotStarted)
	}
	// A path descriptor first: it has no effect on the file, whatever the number refers to.
	path := fmt.Sprintf("/proc/%d/fd/%d", t.From.PID, t.Number)
	fd, err := kernel.Open(unix.AT_FDCWD, path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err == unix.EACCES {
		fd, err = takeFD(t.From.PID, t.Number)
	}
	switch err {
	case nil:
	case unix.ENOENT, unix.EBADF:
		return nil, fmt.Errorf("process %d has closed the memory: %w (%w)", t.From.PID, layout.ErrBadToken, syserr.OnlyNumber(err))
	default:
		return nil, fmt.Errorf("descriptor %d of process %d: %w", t.Number, t.From.PID, err)
	}
	defer unix.Close(fd)
	return adopt(t, fd)
}

// takeFD copies a descriptor of a process. It is for processes that may trace the other process,
// but may not look into its /proc.
func takeFD(pid uint32, number uint64) (int, error) {
	p, err := unix.PidfdOpen(int(pid), 0)
	if err != nil {
		return -1, syserr.Limit(err)
	}
	defer unix.Close(p)
	fd, err := unix.PidfdGetfd(p, int(number), 0)
	return fd, syserr.Limit(err)
}

// receiving is locked while an inherited descriptor is taken over. So two callers never take over,
// and close, the same one.
var receiving sync.Mutex

// receiveInherited takes over a descriptor that this process inherited.
func receiveInherited(t *layout.Token) (*Object, error) {
	receiving.Lock()
	defer receiving.Unlock()
	fd := int(t.Number)
	if fd < 3 || t.From == process.Self() {
		return nil, fmt.Errorf("descriptor %d is not inherited: %w", fd, layout.ErrBadToken)
	}
	// Everything that this process has opened itself is closed on exec, and what it has
	// inherited is not: so a forged number never closes a descriptor of its own.
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
	if err != nil {
		return nil, fmt.Errorf("descriptor %d is not inherited: %w: %w", fd, err, layout.ErrBadToken)
	}
	if flags&unix.FD_CLOEXEC != 0 {
		return nil, fmt.Errorf("descriptor %d is not inherited: %w", fd, layout.ErrBadToken)
	}
	o, err := adopt(t, fd)
	if err != nil {
		return nil, err
	}
	// The token names this descriptor, so it is closed here.
	_ = unix.Close(fd)
	return o, nil
}

// handedOver is the name of handed-over memory in messages.
const handedOver = "memory handed over"

// adopt checks that fd is the object that the token names, and opens it again.
func adopt(t *layout.Token, fd int) (*Object, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("descriptor %d: %w: %w", t.Number, err, layout.ErrBadToken)
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return nil, fmt.Errorf("descriptor %d is a %s: %w", t.Number, kernel.FileType(st.Mode), layout.ErrBadToken)
	case fileID(&st) != t.ID:
		return nil, fmt.Errorf("descriptor %d is object %v, want %v: %w", t.Number, fileID(&st), t.ID, layout.ErrBadToken)
	case st.Size < t.Size:
		return nil, fmt.Errorf("descriptor %d has %d bytes, want %d: %w", t.Number, st.Size, t.Size, layout.ErrBadToken)
	}
	f, err := kernel.Reopen(fd, handedOver, kernel.AccessFlags(t.Access))
	if err != nil {
		return nil, fmt.Errorf("open %v: %w", t.Access, err)
	}
	o := &Object{
		ID: t.ID, Kind: t.Kind, Scope: t.Scope, Name: t.Name, Access: t.Access, Size: t.Size,
		impl: impl{file: f, path: handedOver},
	}
	seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	o.memfd = err == nil && st.Nlink == 0 && seals&unix.F_SEAL_SHRINK != 0
	if !o.memfd {
		// The receiver becomes a user of the file below, also if the giver has the file alone.
		if o.fileLock, err = shareFile(f); err != nil {
			_ = o.Close()
			return nil, err
		}
	}
	if t.Name == "" {
		if st.Nlink == 0 && !o.memfd {
			_ = o.Close()
			return nil, fmt.Errorf("descriptor %d is not sealed against shrinking: %w", t.Number, layout.ErrBadToken)
		}
	} else if err := o.joinName(&st); err != nil {
		_ = o.Close()
		return nil, fmt.Errorf("join the users of %q: %w", t.Name, err)
	}
	o.setKey(&st)
	return o, nil
}

// joinName makes the receiver of a named object one of its users, if the name still leads to the
// object and the receiver may open it.
func (o *Object) joinName(st *unix.Stat_t) error {
	d, err := store.Open(o.Scope, false)
	if err != nil {
		return unlessClosedToUs(err)
	}
	entry := store.EntryName(o.Kind, o.Name)
	e, err := openEntry(d, entry, &Spec{Scope: o.Scope, Owner: "*"})
	if err != nil {
		d.Close()
		return unlessClosedToUs(err)
	}
	mine := e.st.Dev == st.Dev && e.st.Ino == st.Ino
	if !mine && e.st.Mode&modeRecord != 0 {
		var r *layout.Record
		if r, err = readRecord(e.lock.F, entry); err == nil && r.Dev == st.Dev && r.Ino == st.Ino {
			mine, o.File = true, r.Path
		}
	}
	if mine {
		joined := false
		if joined, err = e.join(d, entry); joined {
			if e.persist() {
				o.Lifetime = layout.Persist
			}
			o.lock, o.dir, o.entry, o.path = &e.lock, d, entry, filepath.Join(d.Path, entry)
			return nil
		}
	}
	_ = e.lock.F.Close()
	d.Close()
	return unlessClosedToUs(err)
}

// unlessClosedToUs returns err, or nil if err means that the name was removed or that this user
// cannot use it: then the handed-over memory is used without its name.
func unlessClosedToUs(err error) error {
	for _, expected := range []error{fs.ErrNotExist, fs.ErrPermission, syserr.ErrPrivilege, syserr.ErrStore, layout.ErrCorrupt, layout.ErrVersion} {
		if errors.Is(err, expected) {
			return nil
		}
	}
	return err
}

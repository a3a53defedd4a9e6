package sharememory

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"samepage"
	"samepage/internal/edge"
	"samepage/internal/forgotten"
	"samepage/internal/segment"
	"samepage/internal/sys"
	"samepage/internal/sys/lockfile"
	"samepage/internal/sys/syserr"
)

// The names of the lock files end so. Writers hold the first file, and readers pass through
// it. Readers and writers have the second one open while they hold the lock.
const (
	writerSuffix = ".wlc"
	readerSuffix = ".rlc"
)

// FileLock is a reader/writer lock made of two files. Readers open a file in a way that allows
// other readers, a writer in a way that allows nobody else. So either any number of readers or one
// writer hold the lock. A waiting writer keeps new readers out. So it waits only for the readers
// that hold the lock already.
//
// If a process dies, the system closes its files, and so releases its locks. The next owner does
// not learn that: there is no samepage.ErrOwnerDied. So check the data that the lock protects, for
// example with a checksum.
//
// Nobody wakes a waiter. It tries again after pauses of 50 µs at first and 10 ms at most. Waiters
// have no order: if some writers lock again at once each time, others can wait for seconds. A
// process that may open the files can hold the lock forever. If all programs use this project, the
// locks of package ipcsync are better in all of this.
//
// If a FileLock is dropped without Close while it holds the lock, the lock stays held until the
// process ends.
//
// All methods may be called concurrently. As with sync.RWMutex, one goroutine may lock and another
// one unlock the same FileLock. A goroutine that holds a read lock must not take another one: if a
// writer waits, both wait forever. Lock waits even if the caller itself holds the lock. The zero
// value is not usable: call NewFileLock or NewLock.
type FileLock struct {
	name     string // for texts: the path of the files without their endings
	wlc, rlc string // paths
	// edges are for the race detector: those of ipcsync.RWMutex, by the path of the files.
	edges edge.Object
	*lockFiles
	guard forgotten.Guard
}

// lockFiles are the files that a FileLock has open.
type lockFiles struct {
	mu      sync.Mutex
	closed  bool
	readers []*lockfile.File  // .rlc, once for each read lock
	writer  [2]*lockfile.File // .wlc and .rlc of the write lock; nil
	changed chan struct{}     // closed and made again when this FileLock releases something
}

func (f *lockFiles) held() bool { return len(f.readers) > 0 || f.writer[0] != nil }

// giveBack has nothing to close: the files are open only while the lock is held, and then
// they stay open until the process ends (decision 0019). Package sys sees to that.
func (f *lockFiles) giveBack() (kept bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.held()
}

// NewLock returns a FileLock for the lock of the block of that name, whether or not that
// block exists.
//
// Errors: those of NewFileLock.
func NewLock(name string, opts *Options) (*FileLock, error) {
	s, err := newBlock(name, opts, true)
	if err != nil {
		return nil, fmt.Errorf("sharememory: lock of block %q: %w", name, err)
	}
	return s.lock, nil
}

// NewFileLock returns a FileLock for the lock with the files name.wlc and name.rlc. The first call
// that locks makes the files, and they stay. (On Linux, if there is no space for a new object,
// samepage removes those files in the default folder that no process has open.)
//
// Errors: samepage.ErrName (a file cannot have this name on every system: it is empty, longer than
// 200 bytes or not UTF-8; it contains one of : \ / * ? " < > | or a control character; it ends with
// a dot or a blank; or it is the name of a device of Windows); errors.ErrUnsupported (the folder is
// on another machine, or the system has no such locks), fs.ErrPermission, samepage.ErrStore.
func NewFileLock(name string, opts *FileLockOptions) (*FileLock, error) {
	l, err := newFileLock(name, opts, true)
	if err != nil {
		return nil, fmt.Errorf("sharememory: file lock %q: %w", name, err)
	}
	return l, nil
}

// newFileLock makes the folder of the files, if it is missing, only with makeDir.
func newFileLock(name string, opts *FileLockOptions, makeDir bool) (*FileLock, error) {
	if err := checkFileName(name); err != nil {
		return nil, err
	}
	if err := opts.check(); err != nil {
		return nil, err
	}
	dir, err := opts.folder(makeDir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
		// It must not look like a missing or an existing block.
		err = fmt.Errorf("%w: folder of the lock files: %w", samepage.ErrStore, syserr.OnlyNumber(err))
	}
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, name)
	l := &FileLock{
		name: path, wlc: path + writerSuffix, rlc: path + readerSuffix,
		edges: lockEdges(dir, name), lockFiles: &lockFiles{changed: make(chan struct{})},
	}
	l.guard = forgotten.Watch(l, "file lock", path, (*lockFiles).giveBack, l.lockFiles)
	return l, nil
}

// The edges from the last writer, and from the readers, to the next owners.
const (
	edgeWriter = iota
	edgeReaders
)

// lockEdges finds the words of a lock for the race detector. Its folder can have several
// paths.
func lockEdges(dir, name string) edge.Object {
	if !edge.Enabled {
		return edge.Object{}
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	if exact { // Windows: upper and lower case are the same to the system
		dir, name = strings.ToLower(dir), strings.ToLower(name)
	}
	return edge.Of([2]string{dir, name})
}

// Name returns the path of the lock files without their endings .wlc and .rlc.
func (l *FileLock) Name() string { return l.name }

// Lock takes the write lock. While others hold the lock it waits, and new readers wait behind it.
// If the call does not have to wait, it ignores ctx.
//
// Errors: samepage.ErrClosed, the error of ctx (a deadline also matches
// os.ErrDeadlineExceeded), and any reason why the files cannot be opened, such as
// fs.ErrPermission and samepage.ErrNoSpace. After an error the caller does not hold the
// lock.
func (l *FileLock) Lock(ctx context.Context) error {
	wlc, err := l.wait(ctx, l.openWriter)
	if err != nil {
		return l.wrap("lock", err)
	}
	rlc, err := l.wait(ctx, l.openLast)
	if err != nil {
		_ = wlc.Close()
		l.release()
		return l.wrap("lock", err)
	}
	return l.wrap("lock", l.wrote(wlc, rlc))
}

// TryLock takes the write lock if nobody holds the lock, and reports whether it did. It may return
// false although nobody holds the lock, if a reader is about to take it.
func (l *FileLock) TryLock() (bool, error) {
	wlc, err := l.openWriter()
	if errors.Is(err, samepage.ErrBusy) {
		return false, nil
	}
	if err != nil {
		return false, l.wrap("try to lock", err)
	}
	rlc, err := l.openLast()
	if err != nil {
		_ = wlc.Close()
		l.release()
		if errors.Is(err, samepage.ErrBusy) {
			return false, nil
		}
		return false, l.wrap("try to lock", err)
	}
	err = l.wrap("try to lock", l.wrote(wlc, rlc))
	return err == nil, err
}

// wrote keeps the files of a write lock.
func (l *FileLock) wrote(wlc, rlc *lockfile.File) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errors.Join(samepage.ErrClosed, wlc.Close(), rlc.Close())
	}
	l.writer = [2]*lockfile.File{wlc, rlc}
	l.edges.Acquire(edgeWriter)
	l.edges.Acquire(edgeReaders)
	return nil
}

// Unlock releases the write lock.
//
// Errors: samepage.ErrNotLocked (this FileLock does not hold the write lock);
// samepage.ErrNameGone (Linux: somebody has removed a lock file meanwhile, so another process
// may have held the lock at the same time; the lock is released anyway).
func (l *FileLock) Unlock() error {
	l.mu.Lock()
	held := l.writer
	l.writer = [2]*lockfile.File{}
	l.mu.Unlock()
	if held[0] == nil {
		return l.wrap("unlock", samepage.ErrNotLocked)
	}
	err := errors.Join(held[0].CheckName(), held[1].CheckName())
	l.edges.Release(edgeWriter)
	// Readers first: they pass through the first file and wait for the second.
	err = errors.Join(err, held[0].Close(), held[1].Close())
	l.release()
	return l.wrap("unlock", err)
}

// RLock takes a read lock. It waits while a writer holds the lock or waits for it. If the call
// does not have to wait, it ignores ctx.
//
// Errors: those of Lock.
func (l *FileLock) RLock(ctx context.Context) error {
	rlc, err := l.wait(ctx, l.openReader)
	if err == nil {
		err = l.read(rlc)
	}
	return l.wrap("read-lock", err)
}

// TryRLock takes a read lock if no writer holds the lock or waits for it, and reports
// whether it did.
func (l *FileLock) TryRLock() (bool, error) {
	rlc, err := l.openReader()
	if errors.Is(err, samepage.ErrBusy) {
		return false, nil
	}
	if err == nil {
		err = l.read(rlc)
	}
	return err == nil, l.wrap("try to read-lock", err)
}

// read keeps the file of a read lock.
func (l *FileLock) read(rlc *lockfile.File) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return errors.Join(samepage.ErrClosed, rlc.Close())
	}
	l.readers = append(l.readers, rlc)
	l.edges.Acquire(edgeWriter)
	return nil
}

// RUnlock releases a read lock.
//
// Errors: samepage.ErrNotLocked (this FileLock holds no read lock), and samepage.ErrNameGone
// as for Unlock.
func (l *FileLock) RUnlock() error {
	l.mu.Lock()
	var last *lockfile.File
	if n := len(l.readers); n > 0 {
		last, l.readers = l.readers[n-1], l.readers[:n-1]
	}
	l.mu.Unlock()
	if last == nil {
		return l.wrap("read-unlock", samepage.ErrNotLocked)
	}
	l.edges.Release(edgeReaders)
	err := errors.Join(last.CheckName(), last.Close())
	l.release()
	return l.wrap("read-unlock", err)
}

// Close closes the FileLock. Calls that wait for the lock return samepage.ErrClosed. The
// files stay. A second Close does nothing.
//
// Errors: samepage.ErrUnreleased (this FileLock holds the lock, and still holds it afterwards; see
// ipcsync.Mutex.Close for a deferred Close).
func (l *FileLock) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	if l.held() {
		return l.wrap("close", samepage.ErrUnreleased)
	}
	l.closed = true
	l.guard.Done()
	close(l.changed)
	return nil
}

// The three ways to open the files. Only ErrBusy means that another process has them.

func (l *FileLock) openWriter() (*lockfile.File, error) {
	if err := l.alive(); err != nil {
		return nil, err
	}
	return sys.OpenLockFile(l.wlc, true)
}

func (l *FileLock) openLast() (*lockfile.File, error) {
	if err := l.alive(); err != nil {
		return nil, err
	}
	return sys.OpenLockFile(l.rlc, true)
}

func (l *FileLock) openReader() (*lockfile.File, error) {
	if err := l.alive(); err != nil {
		return nil, err
	}
	wlc, err := sys.OpenLockFile(l.wlc, false)
	if err != nil {
		return nil, err
	}
	if err := wlc.Close(); err != nil {
		return nil, err
	}
	return sys.OpenLockFile(l.rlc, false)
}

func (l *FileLock) alive() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return samepage.ErrClosed
	}
	return nil
}

// release makes the waiters of this process try again at once.
func (l *FileLock) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

// wait calls open until the error is not ErrBusy. No process wakes another one, so it tries
// again after pauses that grow (decision 0013).
func (l *FileLock) wait(ctx context.Context, open func() (*lockfile.File, error)) (*lockfile.File, error) {
	for p := (pace{}); ; {
		l.mu.Lock()
		changed := l.changed
		l.mu.Unlock()
		f, err := open()
		if !errors.Is(err, samepage.ErrBusy) {
			return f, err
		}
		if err := p.pause(ctx, changed); err != nil {
			return nil, err
		}
	}
}

// The pauses of a waiter.
const (
	firstPause   = 50 * time.Microsecond
	longestPause = 10 * time.Millisecond
)

// pace makes the pauses of a waiter. They are random, because two waiters that block each
// other would otherwise do so again and again. They grow, because many waiters would
// otherwise take CPU time from the process that they wait for.
type pace struct{ step time.Duration }

// pause waits one step, or until changed is closed.
func (p *pace) pause(ctx context.Context, changed <-chan struct{}) error {
	p.step = min(max(2*p.step, firstPause), longestPause)
	t := time.NewTimer(p.step/2 + rand.N(p.step/2))
	defer t.Stop()
	select {
	case <-t.C:
	case <-changed:
	case <-ctx.Done():
		return segment.Deadline(ctx.Err())
	}
	return nil
}

func (l *FileLock) wrap(op string, err error) error {
	if err != nil {
		return &lockError{fmt.Errorf("%s %s: %w", op, l.name, err)}
	}
	return nil
}

// lockError is an error of a FileLock. Its text begins with the name of the package, unless
// it is part of an error of a Reader or Writer: see inner.
type lockError struct{ err error }

func (e *lockError) Error() string { return "sharememory: " + e.err.Error() }
func (e *lockError) Unwrap() error { return e.err }

// inner is err without the name of the package.
func inner(err error) error {
	if e, ok := err.(*lockError); ok { //nolint:errorlint // not one further in
		return e.err
	}
	return err
}

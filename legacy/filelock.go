package legacy

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"samepage"
	"samepage/internal/edge"
	"samepage/internal/forgotten"
	"samepage/internal/option"
	"samepage/internal/segment"
	"samepage/internal/sys"
	"samepage/internal/sys/lockfile"
	"samepage/internal/sys/store"
	"samepage/internal/sys/syserr"
)

// FileLockOptions say where the files of a lock are. The zero value, and nil, mean
// the default of each field.
type FileLockOptions struct {
	// Dir is the folder of the lock files, which is made when it is missing, but not
	// by those who come to a ShareMemory that there is, to read or to write. All
	// who lock must have the same one, on the machine itself. Default: on Windows
	// rwfilelock in the folder for temporary files, as the C++ programs have it;
	// elsewhere rwfilelock in this user's own directory for shared memory.
	Dir string
	// Boot is the time of boot with which the names of the newer ShareMemory's lock
	// files begin, in seconds since 1970. Default: what the system says now. It moves
	// when the clock is set: programs that asked before and after that have
	// different files and do not exclude each other, unless they are given one Boot.
	Boot int64
}

// BootUnknown as FileLockOptions.Boot is 0 in the names of lock files, where C++
// programs that cannot learn the time of boot look.
const BootUnknown = -1

const lockFolder = "rwfilelock"

// The lock files' names end so: the one that writers have, and readers pass
// through, and the one that both have while they hold the lock.
const (
	writerSuffix = ".wlc"
	readerSuffix = ".rlc"
)

// FileLock is a reader/writer lock made of two files, which processes have open
// together or alone. Any number of readers or one writer hold it; a writer that
// waits keeps new readers out, so it waits for no more than those that are in.
//
// The system closes the files of a process that dies, so its locks go with it.
// Nobody is told: there is no ErrOwnerDied, and what the lock guards must be judged
// by itself, such as by a checksum. Nobody rings, either: who waits tries again after
// a pause of 50 µs at first and 10 ms at most, and those who wait have no order:
// beside writers that lock again at once, others may wait for seconds.
// Whoever may open the files can hold the lock for ever. Package ipcsync does better
// in all of this, among programs of this project.
//
// A lock that is held when its FileLock is dropped without Close stays held until the
// process ends.
//
// All its methods may be called concurrently; as with sync.RWMutex any goroutine may
// unlock what another one locked through the same FileLock, and a goroutine that has a
// read lock must not ask for another one, for a writer may have come between. A Lock
// by who has the lock waits as anybody's would. The zero value is not usable.
type FileLock struct {
	name     string // for people: the path of the files without their suffixes
	wlc, rlc string // paths
	// edges are for the race detector: those of ipcsync.RWMutex, by the files' path.
	edges edge.Object
	*lockFiles
	guard forgotten.Guard
}

// lockFiles are what a FileLock has open.
type lockFiles struct {
	mu      sync.Mutex
	closed  bool
	readers []*lockfile.File  // .rlc, once for each read lock
	writer  [2]*lockfile.File // .wlc and .rlc of the write lock; nil
	changed chan struct{}     // closed, and made anew, when something of this FileLock is released
}

func (f *lockFiles) held() bool { return len(f.readers) > 0 || f.writer[0] != nil }

// giveBack has nothing to give back: files are open while the lock is held, and then they
// stay so until the process ends (decision 0019), which package sys sees to.
func (f *lockFiles) giveBack() (kept bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.held()
}

// NewFileLock makes a handle on the lock whose files are name.wlc and name.rlc.
// They are made when somebody first locks, and stay. (In the default folder on Linux a
// create that finds no space takes away those that nobody has open.)
//
// Errors: samepage.ErrName (no name that a file may have on every system: empty,
// longer than 200 bytes, not UTF-8, with one of : \ / * ? " < > | or a control
// character, with a dot or a blank at its end, or a device of Windows);
// errors.ErrUnsupported (a folder on another machine, or a system without such
// locks), fs.ErrPermission, samepage.ErrStore.
func NewFileLock(name string, opts *FileLockOptions) (*FileLock, error) {
	l, err := newFileLock(name, opts, true)
	if err != nil {
		return nil, fmt.Errorf("legacy: file lock %q: %w", name, err)
	}
	return l, nil
}

// newFileLock makes the folder of the files when it is missing, if that is asked for.
func newFileLock(name string, opts *FileLockOptions, makeDir bool) (*FileLock, error) {
	if err := checkFileName(name); err != nil {
		return nil, err
	}
	if err := opts.check(); err != nil {
		return nil, err
	}
	dir, err := opts.folder(makeDir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
		// Not to be taken for what is said of a block.
		err = fmt.Errorf("%w: folder of the lock files: %w", samepage.ErrStore, syserr.OnlyNumber(err))
	}
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, name)
	l := &FileLock{name: path, wlc: path + writerSuffix, rlc: path + readerSuffix, edges: lockEdges(dir, name), lockFiles: &lockFiles{changed: make(chan struct{})}}
	l.guard = forgotten.Watch(l, "file lock", path, (*lockFiles).giveBack, l.lockFiles)
	return l, nil
}

// What the last one with the write lock, and the readers, hand over to those who lock.
const (
	edgeWriter = iota
	edgeReaders
)

// lockEdges finds the words of a lock for the race detector. Its folder may have several
// paths.
func lockEdges(dir, name string) edge.Object {
	if !edge.Enabled {
		return edge.Object{}
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	if bareNames { // where letters differ that are one to the system
		dir, name = strings.ToLower(dir), strings.ToLower(name)
	}
	return edge.Of([2]string{dir, name})
}

// folder finds the folder of the lock files, and makes it if that is asked for; the
// default one it makes always.
func (o *FileLockOptions) folder(makeDir bool) (dir string, err error) {
	if o == nil || o.Dir == "" {
		if dir, err = sys.LockFolder(lockFolder); err != nil {
			return "", err
		}
	} else {
		if dir, err = filepath.Abs(o.Dir); err != nil {
			return "", err
		}
		// Before anything is made there.
		for above := dir; ; above = filepath.Dir(above) {
			if err := refuseRemote(above); err == nil || above == filepath.Dir(above) {
				break
			} else if !errors.Is(err, fs.ErrNotExist) {
				return "", err
			}
		}
		if !makeDir {
			// It may come with the one who is waited for; more than it is a wrong path.
			_, err := os.Stat(filepath.Dir(dir))
			return dir, err
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", err
		}
	}
	return dir, refuseRemote(dir)
}

// remoteDir is replaced by tests, which have no other machine.
var remoteDir = store.Remote

// refuseRemote refuses a folder on another machine: whether the share modes, and
// locks, of one machine are known to another one depends on both, and nothing tells.
func refuseRemote(dir string) error {
	what, err := remoteDir(dir)
	if err == nil && what != "" {
		err = fmt.Errorf("lock files in %s, on another machine (%s): %w", dir, what, errors.ErrUnsupported)
	}
	return err
}

// check refuses what is out of range. Errors: fs.ErrInvalid.
func (o *FileLockOptions) check() error {
	if o == nil || o.Boot >= BootUnknown {
		return nil
	}
	return option.Bad("Boot", o.Boot, "seconds since 1970, 0 or BootUnknown")
}

// boot is the time of boot in names of lock files.
func (o *FileLockOptions) boot() (int64, error) {
	switch {
	case o == nil || o.Boot == 0:
		return lockfile.BootSeconds()
	case o.Boot == BootUnknown:
		return 0, nil
	}
	return o.Boot, o.check()
}

// maxFileName is the longest name of a lock, in bytes.
const maxFileName = 200

// checkFileName refuses what cannot be a file's name on every system. The C++
// programs put other characters in their place, and so have one lock for two names.
func checkFileName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: it is empty", samepage.ErrName)
	case len(name) > maxFileName:
		return fmt.Errorf("%w: %d bytes, at most %d", samepage.ErrName, len(name), maxFileName)
	case !utf8.ValidString(name):
		return fmt.Errorf("%w: it is not UTF-8", samepage.ErrName)
	}
	for _, r := range name {
		if r < ' ' || r == 0x7f || strings.ContainsRune(`:\/*?"<>|`, r) || utf16.IsSurrogate(r) {
			return fmt.Errorf("%w: a file's name cannot have %q", samepage.ErrName, r)
		}
	}
	if last := name[len(name)-1]; last == '.' || last == ' ' {
		return fmt.Errorf("%w: a file's name cannot end with %q", samepage.ErrName, last)
	}
	device, _, _ := strings.Cut(name, ".")
	if isDevice(strings.ToUpper(strings.TrimRight(device, " "))) {
		return fmt.Errorf("%w: on Windows %q is a device", samepage.ErrName, device)
	}
	return nil
}

func isDevice(name string) bool {
	switch name {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$", "CLOCK$":
		return true
	}
	for _, port := range []string{"COM", "LPT"} {
		if n, ok := strings.CutPrefix(name, port); ok {
			return n != "" && strings.Contains("0123456789¹²³", n) && utf8.RuneCountInString(n) == 1
		}
	}
	return false
}

// checkFolder says whether the folder of the lock files is there, for those who come to
// something that others lock: they are not to make a folder of their own, and lock alone.
// Errors: samepage.ErrStore.
func (l *FileLock) checkFolder() error {
	dir := filepath.Dir(l.rlc)
	if _, err := os.Stat(dir); err != nil {
		return fmt.Errorf("%w: folder of the lock files: %w; whoever writes the block has made it: its path is another one", samepage.ErrStore, syserr.OnlyNumber(err))
	}
	return nil
}

// Name is the path of the lock's files without their endings .wlc and .rlc.
func (l *FileLock) Name() string { return l.name }

// Lock locks for writing. While others hold the lock it waits, and new readers wait
// behind it.
// What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: samepage.ErrClosed, the error of ctx (a deadline matches
// os.ErrDeadlineExceeded too), and whatever else keeps the files from being opened:
// fs.ErrPermission, samepage.ErrNoSpace and so on. With any of them the lock is not
// held.
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

// TryLock locks for writing if nobody holds the lock, and says whether. It may say no
// also while a reader is just coming in.
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

// Unlock gives the write lock up.
//
// Errors: samepage.ErrNotLocked when this FileLock does not have it; samepage.ErrNameGone when a
// lock file was removed meanwhile (Linux), so that others may have had the lock as well. The
// lock is given up all the same.
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
	// Readers first: they come through the one to wait for the other.
	err = errors.Join(err, held[0].Close(), held[1].Close())
	l.release()
	return l.wrap("unlock", err)
}

// RLock takes a read lock. While a writer holds the lock, or waits for it, it waits.
// Errors: those of Lock.
// What is available is taken even if ctx has ended; ctx only ends waiting.
func (l *FileLock) RLock(ctx context.Context) error {
	rlc, err := l.wait(ctx, l.openReader)
	if err == nil {
		err = l.read(rlc)
	}
	return l.wrap("read-lock", err)
}

// TryRLock takes a read lock if no writer holds the lock or waits for it, and says
// whether.
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

// RUnlock gives a read lock up. Errors: samepage.ErrNotLocked when this FileLock has
// none, and samepage.ErrNameGone as for Unlock.
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

// Close gives the FileLock up; those who wait for it return. The files stay. A second
// Close does nothing.
//
// Errors: samepage.ErrBusy while this FileLock holds the lock, which stays so: see
// ipcsync.Mutex.Close for what that means to a deferred Close.
func (l *FileLock) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	if l.held() {
		return l.wrap("close", samepage.ErrBusy)
	}
	l.closed = true
	l.guard.Done()
	close(l.changed)
	return nil
}

// The ways in. ErrBusy is the only error that says that somebody else is there.

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

// release has those who wait in this process try again at once.
func (l *FileLock) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	close(l.changed)
	l.changed = make(chan struct{})
}

// wait calls open until it does not say ErrBusy. Nobody rings across processes, so
// it looks again after pauses that grow (decision 0013).
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

// Pauses of who waits for what nobody rings for.
const (
	firstPause   = 50 * time.Microsecond
	longestPause = 10 * time.Millisecond
)

// pace counts pauses out. They are random, or those who hinder each other would do so
// again and again, and grow, or many who wait would take the time of the one they wait
// for.
type pace struct{ step time.Duration }

// pause waits a step, and less when changed is closed.
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

// lockError is an error of a FileLock, which says whose it is unless a ShareMemory does.
type lockError struct{ err error }

func (e *lockError) Error() string { return "legacy: " + e.err.Error() }
func (e *lockError) Unwrap() error { return e.err }

// inner is err without the package's name.
func inner(err error) error {
	if e, ok := err.(*lockError); ok { //nolint:errorlint // not one further in
		return e.err
	}
	return err
}

// CleanFileLocks removes the lock files of older boots that the newer ShareMemory
// left, and returns the names of those that are gone: BOOT_SMLF-NAME.mdb.rlc and .wlc
// where BOOT is a number and not that of the present boot. The time of boot moves when
// the clock is set, so a file that somebody has open stays, whatever its number is.
// With BootUnknown, or on a system that does not tell, nothing is removed.
//
// Errors: those of NewFileLock and of removing, of all files together.
func CleanFileLocks(opts *FileLockOptions) (removed []string, err error) {
	removed, err = cleanFileLocks(opts)
	if err != nil {
		return removed, fmt.Errorf("legacy: clean file locks: %w", err)
	}
	return removed, nil
}

func cleanFileLocks(opts *FileLockOptions) (removed []string, err error) {
	boot, err := opts.boot()
	if boot == 0 || err != nil {
		return nil, err
	}
	dir, err := opts.folder(false)
	var entries []os.DirEntry
	if err == nil {
		entries, err = os.ReadDir(dir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // nobody has locked there
	}
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !e.Type().IsRegular() || !ofOtherBoot(e.Name(), boot) {
			continue
		}
		switch rerr := lockfile.Remove(filepath.Join(dir, e.Name())); {
		case rerr == nil:
			removed = append(removed, e.Name())
		case errors.Is(rerr, samepage.ErrBusy), errors.Is(rerr, fs.ErrNotExist):
		default:
			err = errors.Join(err, rerr)
		}
	}
	return removed, err
}

// ofOtherBoot says whether a file is a lock file of another boot than that one.
func ofOtherBoot(file string, boot int64) bool {
	number, rest, ok := strings.Cut(file, "_")
	if !ok || !strings.HasPrefix(rest, headLock) || !strings.HasSuffix(rest, readerSuffix) && !strings.HasSuffix(rest, writerSuffix) {
		return false
	}
	for _, r := range number {
		if r < '0' || r > '9' {
			return false
		}
	}
	return number != "" && number != strconv.FormatInt(boot, 10)
}

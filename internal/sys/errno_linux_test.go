package sys

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/process"
	"samepage/internal/sys/syserr"
)

// errnoObjects are those that it is tried with.
var errnoObjects = []string{"x", "x persist", "x event joins", "x sparse", "x exact", "x file=F", "x file=F exclusive joins", "x global"}

// openFailures are the errors that tests have opens fail with.
var openFailures = []unix.Errno{
	unix.EMFILE, unix.ENFILE, unix.ENOMEM, unix.EIO, unix.ESTALE, unix.ENOSPC, unix.EDQUOT,
	unix.EACCES, unix.EPERM, unix.EROFS, unix.ENODEV, unix.ETXTBSY, unix.EOVERFLOW,
}

// openLimits are those that tell of a limit.
var openLimits = map[unix.Errno]bool{unix.EMFILE: true, unix.ENFILE: true, unix.ENOMEM: true}

// failAt has open k of what do does fail, and returns how many opens there were. It
// checks that no descriptor stays open.
func failAt(t *testing.T, k int, errno unix.Errno, do func() error) (opens int) {
	t.Helper()
	before := descriptors(t)
	kernel.Openat = func(dir int, path string, flags int, perm uint32) (int, error) {
		opens++
		if opens-1 == k {
			return -1, errno
		}
		return unix.Openat(dir, path, flags, perm)
	}
	defer func() { kernel.Openat = unix.Openat }()
	noErr(t, do())
	if after := descriptors(t); after != before {
		t.Errorf("open %d fails with %v: %d descriptors stay open", k, errno, after-before)
	}
	return opens
}

// unfailing runs f without such failures.
func unfailing(f func()) {
	defer func(was func(int, string, int, uint32) (int, error)) { kernel.Openat = was }(kernel.Openat)
	kernel.Openat = unix.Openat
	f()
}

func descriptors(t *testing.T) int {
	t.Helper()
	n, _, err := process.Usage()
	noErr(t, err)
	return n
}

// Another process takes the name just before linkat. The maker that comes too late gives back all
// that it has prepared.
func TestTooLateForTheName(t *testing.T) {
	errnoStore(t)
	s := spec([]string{"x", "event", "joins"})
	before := descriptors(t)
	var faster *Object
	kernel.Openat = func(dir int, path string, flags int, perm uint32) (int, error) {
		if faster == nil && strings.HasPrefix(path, "/proc/") {
			unfailing(func() { faster = must(Create(s))(t) })
		}
		return unix.Openat(dir, path, flags, perm)
	}
	defer func() { kernel.Openat = unix.Openat }()
	_, err := Create(s)
	wantErr(t, err, fs.ErrExist)
	noErr(t, joined(faster))
	closeObject(t, faster)
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors stay open", after-before)
	}
	wantFiles(t, 0)
}

// The text of a limit names it, and how much of it is taken.
func TestLimitsAreNamed(t *testing.T) {
	var l unix.Rlimit
	noErr(t, unix.Getrlimit(unix.RLIMIT_NOFILE, &l))
	for _, c := range []struct {
		err  error
		want string
	}{
		{unix.EMFILE, fmt.Sprintf("%d of %d descriptors of this process are open (ulimit -n)", l.Cur, l.Cur)},
		{unix.ENFILE, "files of this machine are open (sysctl fs.file-max)"},
		{unix.EACCES, "permission denied"},
	} {
		err := syserr.Limit(c.err)
		if wantErr(t, err, c.err); !strings.Contains(err.Error(), c.want) {
			t.Errorf("the text is %q, want %q", err, c.want)
		}
	}
}

package sys

import (
	"testing"

	"golang.org/x/sys/windows"

	"samepage/internal/sys/internal/kernel"
)

// errnoObjects are those that it is tried with: under Wine each takes long.
var errnoObjects = []string{"x joins", "x sparse", "x file=F"}

// openFailures are the errors that tests have opens fail with: none that says that somebody
// is just deleting the file, who is waited for.
var openFailures = []windows.Errno{
	windows.ERROR_TOO_MANY_OPEN_FILES, windows.ERROR_DISK_FULL, windows.ERROR_IO_DEVICE, windows.ERROR_ACCESS_DENIED,
}

// openLimits are those that tell of a limit.
var openLimits = map[windows.Errno]bool{windows.ERROR_TOO_MANY_OPEN_FILES: true}

type createFileFunc = func(*uint16, uint32, uint32, *windows.SecurityAttributes, uint32, uint32, windows.Handle) (windows.Handle, error)

// failAt has open k of what do does fail, and returns how many opens there were.
func failAt(t *testing.T, k int, errno windows.Errno, do func() error) (opens int) {
	t.Helper()
	kernel.OpenFile = func(p *uint16, access, share uint32, sa *windows.SecurityAttributes, disposition, flags uint32, template windows.Handle) (windows.Handle, error) {
		opens++
		if opens-1 == k {
			return windows.InvalidHandle, errno
		}
		return windows.CreateFile(p, access, share, sa, disposition, flags, template)
	}
	defer func() { kernel.OpenFile = windows.CreateFile }()
	noErr(t, do())
	return opens
}

// unfailing runs f without such failures.
func unfailing(f func()) {
	defer func(was createFileFunc) { kernel.OpenFile = was }(kernel.OpenFile)
	kernel.OpenFile = windows.CreateFile
	f()
}

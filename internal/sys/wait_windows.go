package sys

import (
	"fmt"
	"math"
	"sync/atomic"
	"time"

	"golang.org/x/sys/windows"

	"samepage/layout"
)

// Bell is how a process sleeps until another one has changed a shared word. On
// Windows no wait on a word reaches another process, so it is a semaphore with
// the object's id in its name: a unit is leave for one sleeper to look again.
//
// A sleeper that looks at the word just before it is changed, and sleeps just
// after, finds the unit that was meant for it, unless one that came later took
// it. So a caller must not sleep for ever; and the units of those who never
// came to sleep wake others for nothing, up to bellLimit times.
type Bell struct{ h windows.Handle }

// bellLimit is how many units a bell holds. It does not limit the sleepers: the
// units that are released to those asleep do not count.
const bellLimit = 256

func bellName(id layout.ID, s layout.Scope) string {
	return kernelPrefix(s) + "samepage.bell." + id.String()
}

// OpenBell opens the bell of an object. Errors: fs.ErrPermission,
// layout.ErrKindMismatch.
func OpenBell(id layout.ID, s layout.Scope) (*Bell, error) {
	sa, err := (&Spec{}).descriptor()
	if err != nil {
		return nil, err
	}
	h, err := openSemaphore(bellName(id, s), bellLimit, sa)
	if err != nil {
		return nil, err
	}
	return &Bell{h}, nil
}

// ownBell makes the bell of an object whose kind needs one, or keeps it alive.
// It has the security descriptor of the sidecar, so that whoever may join the
// object may also ring: the rights of a file to read and write data, and to
// wait, are the same bits as those of a semaphore to query, release and wait.
func (o *Object) ownBell() error {
	if o.Kind == layout.Memory {
		return nil
	}
	sd, err := windows.GetSecurityInfo(o.entry.h, windows.SE_FILE_OBJECT, windows.DACL_SECURITY_INFORMATION)
	if err != nil {
		return fmt.Errorf("security descriptor of %s: %w", o.entry.path, err)
	}
	o.bell, err = openSemaphore(bellName(o.ID, o.Scope), bellLimit, attributesOf(sd))
	return err
}

// CloseBell lets go of it.
func (b *Bell) CloseBell() error { return windows.CloseHandle(b.h) }

// Wait sleeps until somebody rings, at most for d, and not at all when the
// word is not old. It may return early: the caller looks again. It is true when
// it slept for all of d.
func (b *Bell) Wait(word *uint32, old uint32, d time.Duration) (late bool) {
	if atomic.LoadUint32(word) != old {
		return false
	}
	ms := min((d+time.Millisecond-1)/time.Millisecond, math.MaxInt32)
	ev, _ := windows.WaitForSingleObject(b.h, uint32(max(ms, 0)))
	return ev == uint32(windows.WAIT_TIMEOUT)
}

// Ring wakes up to n of those that sleep on the word, which the caller has
// changed before.
func (b *Bell) Ring(_ *uint32, n int) {
	for n > 0 {
		part := min(n, bellLimit)
		if !releaseSemaphore(b.h, int32(part)) {
			// There are as many units as that, so nobody is asleep.
			return
		}
		n -= part
	}
}

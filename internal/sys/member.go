//go:build linux || windows

package sys

import (
	"fmt"

	"samepage/internal/sys/store"
	"samepage/internal/sys/syserr"
)

// openFirst opens a description for member 0 with open, and takes its lock. Nobody else sees the
// object yet, but on Windows the kernel may not have released all locks of a dead process that had
// an object of that name.
func openFirst(s *Spec, open func() (*MemberLocks, error)) (*MemberLocks, error) {
	if !s.Joins {
		return nil, nil
	}
	l, err := open()
	if err != nil {
		return nil, err
	}
	ok, err := l.Take(0)
	for p := (store.Patience{}); err == nil && !ok; ok, err = l.Take(0) {
		if !p.Wait() {
			err = syserr.ErrBusy
			break
		}
	}
	if err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("lock the byte of the first member of a new %v: %w", s.Kind, err)
	}
	return l, nil
}

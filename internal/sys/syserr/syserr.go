// Package syserr has the errors of the rooms under internal/sys, and what makes an error of
// the system one of them: errors.Is finds the class (ErrBusy, ErrNoSpace, fs.ErrNotExist)
// and the system's own number, and the text says what to do where something can be done.
package syserr

import (
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"syscall"

	"samepage/internal/option"
)

// The classes of errors. Package samepage exports them under the same names.
var (
	ErrBusy           = errors.New("in use")
	ErrNoSpace        = errors.New("no space")
	ErrPrivilege      = errors.New("a privilege is missing")
	ErrPeerNotStarted = errors.New("the other process is not running")
	ErrTooLarge       = option.ErrTooLarge
	ErrAlignment      = errors.New("not aligned")
	ErrStore          = errors.New("no place for shared memory")
	ErrNameGone       = errors.New("the name does not lead to this object any more")
)

// Unsupported is the error for something that this system cannot do.
func Unsupported(what string) error {
	return fmt.Errorf("%s on %s: %w", what, runtime.GOOS, errors.ErrUnsupported)
}

// OnlyNumber is err, but errors.Is finds only the error number of the system in it, and not the
// class that the number belongs to: that a file below an object is missing does not mean that
// the object is missing.
func OnlyNumber(err error) error {
	if err == nil {
		return nil
	}
	return onlyNumber{err}
}

type onlyNumber struct{ error }

func (e onlyNumber) Is(target error) bool {
	var n syscall.Errno
	return errors.As(e.error, &n) && target == error(n)
}

// Refused says whether the system refused something because rights are missing, and not a rule
// of ours on whose object is accepted.
func Refused(err error) bool {
	var errno syscall.Errno
	return errors.Is(err, fs.ErrPermission) && errors.As(err, &errno)
}

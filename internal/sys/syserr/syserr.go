// Package syserr has the errors of the packages under internal/sys, and functions that turn errors
// of the system into them. errors.Is finds both the class (ErrBusy, ErrNoSpace, fs.ErrNotExist) and
// the error number of the system. If the user can repair the cause, the text says how.
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

// Unsupported returns the error for something that this system cannot do.
func Unsupported(what string) error {
	return fmt.Errorf("%s on %s: %w", what, runtime.GOOS, errors.ErrUnsupported)
}

// OnlyNumber returns err, but errors.Is finds only the error number of the system in it, and not
// the class of the number. An example: if the file below an object is missing, the error must not
// say that the object is missing.
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

// Refused says whether the system refused something because rights are missing. It is false if this
// package refused an object because of its owner.
func Refused(err error) bool {
	var errno syscall.Errno
	return errors.Is(err, fs.ErrPermission) && errors.As(err, &errno)
}

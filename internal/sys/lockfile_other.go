//go:build !linux && !windows

package sys

import (
	"samepage/internal/sys/syserr"
)

var errLockFile = syserr.Unsupported("a lock file")

// LockFile would be a file that is open together with others, or alone.
type LockFile struct{}

// OpenLockFile is not supported.
func OpenLockFile(string, bool) (*LockFile, error) { return nil, errLockFile }

// CheckName finds nothing wrong.
func (*LockFile) CheckName() error { return nil }

// Close ends the lock.
func (*LockFile) Close() error { return nil }

// RemoveLockFile is not supported.
func RemoveLockFile(string) error { return errLockFile }

// LockFolder is not supported.
func LockFolder(string) (string, error) { return "", errLockFile }

// Remote is not supported.
func Remote(string) (string, error) { return "", errLockFile }

// BootSeconds is not supported.
func BootSeconds() (int64, error) { return 0, errLockFile }

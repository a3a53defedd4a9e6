//go:build !linux && !windows

package sys

// LockFile would be a file that is open together with others, or alone.
type LockFile struct{}

// OpenLockFile is not supported.
func OpenLockFile(string, bool) (*LockFile, error) { return nil, unsupported("a lock file") }

// Close ends the lock.
func (*LockFile) Close() error { return nil }

// RemoveLockFile is not supported.
func RemoveLockFile(string) error { return unsupported("a lock file") }

// LockFolder is not supported.
func LockFolder(string) (string, error) { return "", unsupported("a folder of lock files") }

// Remote is not supported.
func Remote(string) (string, error) {
	return "", unsupported("telling whether a directory lies on another machine")
}

// BootSeconds is not supported.
func BootSeconds() (int64, error) { return 0, unsupported("the time of boot") }

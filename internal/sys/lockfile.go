//go:build linux || windows

package sys

import "samepage/internal/sys/lockfile"

// OpenLockFile is lockfile.Open. If there is no space it first removes what dead processes left.
func OpenLockFile(path string, exclusively bool) (*lockfile.File, error) {
	return withSpace(func() (*lockfile.File, error) { return lockfile.Open(path, exclusively) })
}

// LockFolder is lockfile.Folder. If there is no space it first removes what dead processes left.
func LockFolder(name string) (string, error) {
	return withSpace(func() (string, error) { return lockfile.Folder(name) })
}

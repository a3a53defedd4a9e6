//go:build !linux && !windows

package lockfile

import "samepage/internal/sys/syserr"

var errNone = syserr.Unsupported("a lock file")

// File would be an open lock file.
type File struct{}

// Open is not supported.
func Open(string, bool) (*File, error) { return nil, errNone }

// CheckName returns nil.
func (*File) CheckName() error { return nil }

// Close does nothing.
func (*File) Close() error { return nil }

// Remove is not supported.
func Remove(string) error { return errNone }

// Folder is not supported.
func Folder(string) (string, error) { return "", errNone }

// BootSeconds is not supported.
func BootSeconds() (int64, error) { return 0, errNone }

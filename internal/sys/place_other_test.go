//go:build !linux

package sys

// wrongPlace is of the test of Linux' directories.
func wrongPlace([]string) {}

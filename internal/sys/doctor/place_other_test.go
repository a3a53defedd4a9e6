//go:build !linux

package doctor

// wrongPlace is for the test of Linux' directories.
func wrongPlace([]string) {}

//go:build !linux && !windows

// Package kernel has calls of the system for the packages under internal/sys. On this system it is
// empty.
package kernel

//go:build !linux && !windows

// Package kernel has the calls of the system as the rooms under internal/sys want them. On
// this system they want none.
package kernel

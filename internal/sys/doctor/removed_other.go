//go:build !linux

package doctor

// FindRemoved finds nothing: Windows lets nobody remove the sidecar of an object that is in use,
// and other systems have no named objects.
func FindRemoved() []Removed { return nil }

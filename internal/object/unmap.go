//go:build !samepagedebug

package object

import "samepage/internal/sys"

// unmap gives a mapping back. With -tags samepagedebug its addresses fault for ever instead, so
// that a late access faults where it happens.
func unmap(o *sys.Object, b []byte) error { return o.Unmap(b) }

//go:build !samepagedebug

package object

import "samepage/internal/sys"

// unmap gives a mapping back. A build with -tags samepagedebug makes its
// addresses fault for ever instead, so that a late use shows where it happens.
func unmap(o *sys.Object, b []byte) error { return o.Unmap(b) }

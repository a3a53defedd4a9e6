//go:build samepagedebug

package object

import "samepage/internal/sys"

// This is the debug build: a late access to a closed view faults where it happens. Package
// forgotten reports what was dropped without Close.

func unmap(o *sys.Object, b []byte) error { return o.Poison(b) }

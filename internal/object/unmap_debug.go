//go:build samepagedebug

package object

import "samepage/internal/sys"

// The debug build: late use of a closed view faults where it happens. Package forgotten
// tells of what was dropped without Close.

func unmap(o *sys.Object, b []byte) error { return o.Poison(b) }

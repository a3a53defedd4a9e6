package object

import (
	"fmt"

	"samepage/internal/sys"
	"samepage/layout"
)

// GuardedCopy copies between dst and src. One of the two lies in mem, a mapping. It is false
// after a fault there: the file below was truncated, or it has a hole and there is no space.
func GuardedCopy(dst, src, mem []byte) (ok bool) {
	return sys.Guard(mem, func() { copy(dst, src) })
}

// Guarded calls f, which reads m, and mappings that f guards itself. Errors: layout.ErrCorrupt (an
// access to m faulted).
func Guarded(m *Mapping, f func()) error {
	if !sys.Guard(m.Bytes, f) {
		return fmt.Errorf("an access to its mapped bytes faulted: it was truncated, or there is no space: %w", layout.ErrCorrupt)
	}
	return nil
}

package object

import "samepage/internal/sys"

// GuardedCopy copies between dst and src. One of the two lies in mem, a mapping. It is false
// after a fault there: the file below was truncated, or it has a hole and there is no space.
func GuardedCopy(dst, src, mem []byte) (ok bool) {
	return sys.Guard(mem, func() { copy(dst, src) })
}

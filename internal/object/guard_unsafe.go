package object

import (
	"runtime/debug"
	"unsafe"

	"samepage/internal/sys"
)

// GuardedCopy copies between dst and src. One of the two lies in mem, a mapping. It is false
// after a fault there: the file below was truncated, or it has a hole and there is no space.
func GuardedCopy(dst, src, mem []byte) (ok bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		f, isFault := r.(interface{ Addr() uintptr })
		first := uintptr(unsafe.Pointer(unsafe.SliceData(mem)))
		page := uintptr(sys.Granularity())
		if !isFault || f.Addr() < first&^(page-1) || f.Addr() >= first+uintptr(len(mem))+page {
			panic(r)
		}
		ok = false
	}()
	copy(dst, src)
	return true
}

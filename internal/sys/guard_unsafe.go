package sys

import (
	"os"
	"runtime/debug"
	"sync/atomic"
	"unsafe"
)

// Guard calls f, which accesses mem, a mapping. It returns false if an access to mem faulted: the
// file below was truncated, or it has a hole and there is no space.
func Guard(mem []byte, f func()) (ok bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		fault, isFault := r.(interface{ Addr() uintptr })
		first := uintptr(unsafe.Pointer(unsafe.SliceData(mem)))
		page := uintptr(Granularity())
		if !isFault || fault.Addr() < first&^(page-1) || fault.Addr() >= first+uintptr(len(mem))+page {
			panic(r)
		}
		ok = false
	}()
	f()
	return true
}

// touch is Populate by page faults. It writes to each page with an atomic operation that changes
// nothing.
func touch(b []byte) {
	page := uintptr(os.Getpagesize())
	Guard(b, func() {
		p := unsafe.Pointer(unsafe.SliceData(b))
		// The first step leads to the beginning of a page.
		for off, n := uintptr(0), uintptr(len(b)); off+4 <= n; off += page - (uintptr(p)+off)%page {
			atomic.AddUint32((*uint32)(unsafe.Add(p, off)), 0)
		}
	})
}

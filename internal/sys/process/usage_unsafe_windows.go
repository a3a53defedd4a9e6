package process

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"

	"samepage/internal/sys/internal/kernel"
)

// ofThread is how many handles a thread of Go's runtime has: itself, two events and a timer, seldom
// more.
const ofThread = 4

// Usage counts the open handles and the mappings of this process, for leak checks. It does not count
// the handles of threads: the runtime makes more threads when the machine is busy, and keeps them.
func Usage() (handles, mappings int, err error) {
	threads, err := threadsOf(windows.GetCurrentProcessId())
	if err != nil {
		return 0, 0, fmt.Errorf("count threads: %w", err)
	}
	if handles, err = handleCount(); err != nil {
		return 0, 0, fmt.Errorf("count handles: %w", err)
	}
	handles -= ofThread * len(threads)
	const memMapped = 0x40000
	var m struct { // MEMORY_BASIC_INFORMATION; the one in x/sys/windows is wrong on 386
		base, allocation     uintptr
		_                    uint32
		size                 uintptr
		state, protect, kind uint32
	}
	var last uintptr
	at := uintptr(0)
	for windows.VirtualQuery(at, (*windows.MemoryBasicInformation)(unsafe.Pointer(&m)), unsafe.Sizeof(m)) == nil {
		if m.kind == memMapped && m.allocation != last {
			mappings, last = mappings+1, m.allocation
		}
		next := m.base + m.size
		if next <= at {
			break // the end of the address space
		}
		at = next
	}
	return handles, mappings, nil
}

// handleCount counts the handles of this process. Wine 8 answers GetProcessHandleCount with 0. There
// it tries each value that a handle can have: they are multiples of 4, and the smallest free one is
// taken.
//
// The list of all handles of the system would tell it, too. But when Wine's server makes the list
// while a process has no handles, because it begins or ends, the server crashes.
func handleCount() (int, error) {
	var n uint32
	if ok, _, err := procHandleCount.Call(uintptr(windows.CurrentProcess()), uintptr(unsafe.Pointer(&n))); ok == 0 {
		return 0, err
	}
	if n > 0 {
		return int(n), nil
	}
	const none = 4096 // so many free values in a row are the end: tests have fewer handles
	for h, last := windows.Handle(4), windows.Handle(0); h <= last+4*none; h += 4 {
		if _, ok := kernel.HandleFlags(h); ok {
			n, last = n+1, h
		}
	}
	return int(n), nil
}

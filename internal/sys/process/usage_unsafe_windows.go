package process

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
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

// handleCount counts the handles of this process in the list of all handles of the system, because
// Wine answers GetProcessHandleCount with 0.
func handleCount() (int, error) {
	type entry struct { // SYSTEM_HANDLE_TABLE_ENTRY_INFO_EX
		object, pid, handle uintptr
		_                   [4]uint32
	}
	const head = 2 * unsafe.Sizeof(uintptr(0)) // number of entries, reserved
	for words := uint32(1 << 14); ; words *= 2 {
		b := make([]uint64, words)
		err := windows.NtQuerySystemInformation(windows.SystemExtendedHandleInformation, unsafe.Pointer(&b[0]), 8*words, nil)
		if err == windows.STATUS_INFO_LENGTH_MISMATCH && words < 1<<27 {
			continue
		}
		if err != nil {
			return 0, err
		}
		all := unsafe.Slice((*entry)(unsafe.Add(unsafe.Pointer(&b[0]), head)), *(*uintptr)(unsafe.Pointer(&b[0])))
		n := 0
		for i := range all {
			if all[i].pid == uintptr(windows.GetCurrentProcessId()) {
				n++
			}
		}
		return n, nil
	}
}

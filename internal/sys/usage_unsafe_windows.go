package sys

import (
	"unsafe"

	"golang.org/x/sys/windows"
)

// Usage counts the open handles and the mappings of this process, for leak
// checks.
func Usage() (handles, mappings int, err error) {
	var n uint32
	if ok, _, e := procHandleCount.Call(uintptr(windows.CurrentProcess()), uintptr(unsafe.Pointer(&n))); ok == 0 {
		return 0, 0, e
	}
	const memMapped = 0x40000
	var m windows.MemoryBasicInformation
	var last uintptr
	for at := uintptr(0); windows.VirtualQuery(at, &m, unsafe.Sizeof(m)) == nil; at = m.BaseAddress + m.RegionSize {
		if m.Type == memMapped && m.AllocationBase != last {
			mappings, last = mappings+1, m.AllocationBase
		}
		if m.BaseAddress+m.RegionSize <= at {
			break // the end of the address space
		}
	}
	return int(n), mappings, nil
}

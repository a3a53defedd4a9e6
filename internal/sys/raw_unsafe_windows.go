package sys

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/windows"
)

// secImage is the attribute of a section with a program in it. Such a section is mapped in parts.
const secImage = 0x1000000

// mappedSize returns the size of a section, rounded up to a page. It is for a handle without the
// right to ask for the size: it uses the size of a view of the whole section. It reads no byte of
// the view.
func mappedSize(section windows.Handle) (int64, error) {
	addr, err := windows.MapViewOfFile(section, windows.FILE_MAP_READ, 0, 0, 0)
	if err != nil {
		return 0, err
	}
	defer windows.UnmapViewOfFile(addr)
	var b windows.MemoryBasicInformation
	if err := windows.VirtualQuery(addr, &b, unsafe.Sizeof(b)); err != nil {
		return 0, err
	}
	if b.State != windows.MEM_COMMIT {
		return 0, fmt.Errorf("its pages are in state %#x", b.State)
	}
	return int64(b.RegionSize), nil
}

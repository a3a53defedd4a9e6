package sys

import (
	"fmt"
	"maps"
	"runtime"
	"slices"
	"unsafe"

	"golang.org/x/sys/windows"

	"samepage/internal/sys/store"
	"samepage/layout"
)

// Calls of the object directories of the kernel. There is no other list of named sections. Microsoft
// documents both, and says that later versions of Windows may not have them.
var (
	procOpenDirectory  = ntdll.NewProc("NtOpenDirectoryObject")
	procQueryDirectory = ntdll.NewProc("NtQueryDirectoryObject")
)

const (
	directoryQuery = 0x1
	// mostNames is how many names are read at most: any program can make more while they are read.
	mostNames = 100_000
	// mostLists is how often the directory is read at most.
	mostLists = 5
)

// Sections returns the names of the sections of a scope, of all programs. The kernel gives one entry
// after the other, by its position. If other programs make or remove objects meanwhile, an entry can
// come twice, or not at all. So the directory is read until nothing new comes.
//
// Errors: errors.ErrUnsupported (not Windows), fs.ErrPermission, and others of the kernel.
func Sections(s layout.Scope) ([]string, error) {
	dir := `\BaseNamedObjects`
	if n := store.Session(); s == layout.Local && n != 0 {
		dir = fmt.Sprintf(`\Sessions\%d\BaseNamedObjects`, n)
	}
	name, err := windows.NewNTUnicodeString(dir)
	if err != nil {
		return nil, err
	}
	oa := windows.OBJECT_ATTRIBUTES{ObjectName: name}
	oa.Length = uint32(unsafe.Sizeof(oa))
	var h windows.Handle
	st, _, _ := procOpenDirectory.Call(uintptr(unsafe.Pointer(&h)), directoryQuery, uintptr(unsafe.Pointer(&oa)))
	runtime.KeepAlive(name)
	if st != 0 {
		return nil, fmt.Errorf("open %s: %w", dir, windows.NTStatus(st))
	}
	defer windows.CloseHandle(h)
	all := map[string]bool{}
	for range mostLists {
		n := len(all)
		if err := addSections(h, all); err != nil {
			return nil, fmt.Errorf("list %s: %w", dir, err)
		}
		if len(all) == n {
			break
		}
	}
	return slices.Sorted(maps.Keys(all)), nil
}

// addSections adds the names of the sections in an object directory.
func addSections(dir windows.Handle, all map[string]bool) error {
	// Room for the longest name and type. The buffer is aligned for pointers.
	b := make([]uint64, (2*1<<16+256)/8)
	entry := (*struct{ name, kind windows.NTUnicodeString })(unsafe.Pointer(&b[0]))
	var at uint32
	for range mostNames {
		st, _, _ := procQueryDirectory.Call(uintptr(dir), uintptr(unsafe.Pointer(&b[0])), uintptr(8*len(b)), 1, 0, uintptr(unsafe.Pointer(&at)), 0)
		if windows.NTStatus(st) == windows.STATUS_NO_MORE_ENTRIES {
			break
		}
		if st != 0 {
			return windows.NTStatus(st)
		}
		if entry.kind.String() == "Section" {
			all[entry.name.String()] = true
		}
	}
	return nil
}

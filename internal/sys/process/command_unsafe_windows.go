package process

import (
	"unsafe"

	"golang.org/x/sys/windows"

	"samepage/internal/sys/internal/kernel"
)

// Command returns the command line of a process: its arguments, with the program first. It is empty
// if it is not known, or if this process may not read it.
func Command(pid int) []string {
	h, _, err := kernel.OpenProcess(pid, 0)
	if err != nil {
		return nil
	}
	defer windows.CloseHandle(h)
	// A UNICODE_STRING and then its characters: 64 KiB at most.
	b := make([]uint64, (64<<10)/8+4)
	var n uint32
	err = windows.NtQueryInformationProcess(h, windows.ProcessCommandLineInformation, unsafe.Pointer(&b[0]), uint32(len(b)*8), &n)
	if err != nil {
		return program(h)
	}
	s := (*windows.NTUnicodeString)(unsafe.Pointer(&b[0]))
	args, err := windows.DecomposeCommandLine(s.String())
	if err != nil {
		return nil
	}
	return args
}

// program is the program of a process. It is for systems that do not tell the command line: Windows
// before 8.1, and older versions of Wine.
func program(h windows.Handle) []string {
	b := make([]uint16, 32<<10)
	n := uint32(len(b))
	if windows.QueryFullProcessImageName(h, 0, &b[0], &n) != nil {
		return nil
	}
	return []string{windows.UTF16ToString(b[:n])}
}

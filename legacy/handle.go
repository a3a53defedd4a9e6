package legacy

import (
	"errors"
	"fmt"
	"os/exec"

	"samepage"
	"samepage/internal/forgotten"
	"samepage/internal/option"
	"samepage/internal/sys"
)

// Unnamed memory that C++ programs share by the bare handle of a section: a child
// inherits it and has the value by its command line or its environment, or a
// running process is given a copy and is told the value. Between Go programs
// samepage.Inherit, Grant and Attach do the same with tokens, which say whose
// they are and of what; a value says nothing. Values are numbers here: the text
// form (decimal, hexadecimal, with 0x or without) is the other program's choice.
//
// Whoever has a handle may keep the memory for as long as it likes: it lives on
// when all others have closed it or died. Of a named memory the receiver is no
// user: when the last user closes, the name goes, and only the memory stays.
//
// The section of a samepage.CreateUnnamed is a page larger on Windows than its
// size rounded up to a page, and its last page is samepage's own: tell the other
// program the size.

// InheritHandle has the child that cmd will start inherit a handle of m, and
// nothing else of this process, and returns its value in the child: on Windows
// that of a section's handle, on Linux the number of a descriptor (3 plus its
// place in cmd.ExtraFiles). The caller tells the child, by an argument or a
// variable of its environment. Call it before cmd.Start; m must stay open until
// Start has returned (cmd keeps it from being collected). A second call for the same m,
// access and child gives the same value.
//
// Every memory can be inherited so, also one with an exact name, or over a file.
// The handle has the rights to map the section for the access, and no others;
// samepage.Inherit tells what ReadOnly means for whom.
//
// Errors: samepage.ErrClosed, fs.ErrPermission, fs.ErrInvalid (CopyOnWrite, or
// cmd inherits nothing), samepage.ErrTooLarge (unnamed memory larger than the
// address space, read-only).
func InheritHandle(cmd *exec.Cmd, m *samepage.Memory, access samepage.Access) (value uint64, err error) {
	value, err = sys.HandOut(m, access, func(o *sys.Object) (uint64, error) { return o.InheritRaw(cmd, access) })
	if err != nil {
		return 0, fmt.Errorf("legacy: inherit a handle of %v, %v: %w", m, access, err)
	}
	forgotten.KeepWith(cmd, m)
	return value, nil
}

// OfferHandle is the value of a handle of m in this process, for another one that
// copies it out of here: by TakeHandle, or on Windows by DuplicateHandle. It is
// good for as long as m is open: somebody must keep m.
//
// Errors: those of InheritHandle.
func OfferHandle(m *samepage.Memory, access samepage.Access) (value uint64, err error) {
	value, err = sys.HandOut(m, access, func(o *sys.Object) (uint64, error) { return o.OfferRaw(access) })
	if err != nil {
		return 0, fmt.Errorf("legacy: offer a handle of %v, %v: %w", m, access, err)
	}
	return value, nil
}

// GrantHandle puts a handle of m into the running process pid and returns its value
// there (DuplicateHandle). The caller tells the process, by any message; what it
// is not told, or does not close, stays open in it until it ends, or until
// RevokeHandle. The handle is not inheritable.
//
// Errors: samepage.ErrPeerNotStarted, fs.ErrPermission, samepage.ErrClosed,
// fs.ErrInvalid (CopyOnWrite); and errors.ErrUnsupported on Linux, where nobody
// can put a descriptor into another process: OfferHandle and TakeHandle, or
// samepage.Grant and Attach, have it fetched.
func GrantHandle(pid int, m *samepage.Memory, access samepage.Access) (value uint64, err error) {
	value, err = sys.HandOut(m, access, func(o *sys.Object) (uint64, error) { return o.GrantRaw(pid, access) })
	if err != nil {
		return 0, fmt.Errorf("legacy: grant process %d a handle of %v, %v%s: %w", pid, m, access, fetched(err), err)
	}
	return value, nil
}

// RevokeHandle closes a handle that GrantHandle of this process has put into the
// process pid, for one that does not take it. The memory must still be open here.
// It looks first whether the value still stands for that memory there: the process
// may have closed it, and got another handle of the same value. (Between the look
// and the closing it may, too. Revoke what was not taken, and nothing else.)
//
// Errors: samepage.ErrBadToken (it is there no more, or was never granted, or the
// memory is closed), samepage.ErrPeerNotStarted, fs.ErrPermission, and
// errors.ErrUnsupported on Linux.
func RevokeHandle(pid int, value uint64) error {
	if err := sys.RevokeRaw(pid, value); err != nil {
		return fmt.Errorf("legacy: revoke handle %#x of process %d: %w", value, pid, err)
	}
	return nil
}

// FromHandle takes over a handle that this process inherited or, on Windows, was
// given by another process: the handle is closed by it, and the memory has one of
// its own, which Close closes. It refuses what is not memory (on Windows a
// section of committed pages, on Linux a memfd or a regular file), what does not
// allow the access, what this process has opened itself (on Windows: by package samepage), and a handle that was
// taken already; such a handle stays as it is.
//
// A handle does not carry a size. Size 0 is what the kernel knows: on Windows
// rounded up to a page, unless it is over a file. A smaller size is the part that
// is used.
//
// A value is all there is: another section of this process than the one that was
// meant cannot be told from it. On Linux whoever has the memory may shrink it
// unless it is sealed; see samepage.ErrCorrupt.
//
// Errors: samepage.ErrBadToken (the text says what it is instead, or how large),
// together with fs.ErrPermission when the rights are what is missing;
// samepage.ErrNegativeSize, fs.ErrInvalid (CopyOnWrite).
func FromHandle(value uint64, size int64, access samepage.Access) (*samepage.Memory, error) {
	m, err := fromRaw(size, access, func() (*sys.Object, error) { return sys.AdoptRaw(value, size, access) })
	if err != nil {
		return nil, fmt.Errorf("legacy: memory of handle %#x, %d bytes, %v: %w", value, size, access, err)
	}
	return m, nil
}

// TakeHandle copies a handle of the running process pid, which keeps its own:
// the value is one of OfferHandle there, or what that process tells of itself. It
// refuses what FromHandle refuses. A handle that was granted for reading only is
// not taken for writing.
//
// Errors: those of FromHandle, samepage.ErrPeerNotStarted, fs.ErrPermission (the
// process is another user's).
func TakeHandle(pid int, value uint64, size int64, access samepage.Access) (*samepage.Memory, error) {
	m, err := fromRaw(size, access, func() (*sys.Object, error) { return sys.TakeRaw(pid, value, size, access) })
	if err != nil {
		return nil, fmt.Errorf("legacy: memory of handle %#x of process %d, %d bytes, %v: %w", value, pid, size, access, err)
	}
	return m, nil
}

func fromRaw(size int64, access samepage.Access, open func() (*sys.Object, error)) (*samepage.Memory, error) {
	if err := option.OneOf("access", access, samepage.ReadWrite, samepage.ReadOnly); err != nil {
		return nil, err
	}
	if size != 0 {
		if err := option.Size("size", size, samepage.MaxSize); err != nil {
			return nil, err
		}
	}
	o, err := open()
	if err != nil {
		return nil, err
	}
	return sys.MemoryOf(o).(*samepage.Memory), nil
}

// fetched tells what to do where GrantHandle cannot be.
func fetched(err error) string {
	if errors.Is(err, errors.ErrUnsupported) {
		return " (use OfferHandle here and TakeHandle there, or samepage.Grant)"
	}
	return ""
}

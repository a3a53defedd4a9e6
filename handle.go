package samepage

import (
	"errors"
	"fmt"
	"os/exec"

	"samepage/internal/forgotten"
	"samepage/internal/object"
	"samepage/internal/option"
	"samepage/internal/sys"
	"samepage/layout"
)

// The functions of this file pass a handle on by its value, as C++ programs do with unnamed
// memory. Either a child inherits the handle of the section, and learns the value from its
// command line or its environment. Or the handle is duplicated into a running process, which
// learns the value from a message. Between Go programs use Inherit, Grant and Attach: their token
// says which memory it is, and which process may open it. A value does not.
//
// Here a value is a number. The other program chooses its text form: decimal or hexadecimal, with
// or without 0x.
//
// A process that has a handle can keep the memory as long as it likes, also after all other
// processes have closed it or have died. If the memory has a name, the receiver does not count as
// a user of the name: the name can go while the receiver still has the memory.
//
// On Windows the section of CreateUnnamed is its size rounded up to a page, plus one page. The
// last page belongs to this package. So tell the other program the size.

// InheritHandle lets the child that cmd will start inherit a handle of m, and no other handle of
// this process. It returns the value of the handle in the child. On Windows this is the value of
// the section's handle. On Linux it is the number of a descriptor: 3 plus its index in
// cmd.ExtraFiles. The caller passes the value to the child, in an argument or in a variable of
// the environment. A second call for the same m, access and cmd returns the same value.
//
// Call it before cmd.Start. m must stay open until Start has returned. cmd keeps m from being
// garbage collected.
//
// Every memory can be inherited in this way, also memory with an exact name or over a file. The
// handle has the rights to map the section with that access, and no others. Inherit says what
// ReadOnly prevents.
//
// Errors: ErrClosed, fs.ErrPermission, fs.ErrInvalid (access is CopyOnWrite, or cmd is set to
// inherit nothing), ErrTooLarge (read-only access to unnamed memory that is larger than the
// address space).
func InheritHandle(cmd *exec.Cmd, m *Memory, access Access) (value uint64, err error) {
	defer wrap(&err, "inherit a handle of %v, %v", m, access)
	forgotten.KeepWith(cmd, m)
	return handOut(m, access, func() (uint64, error) { return m.obj.Sys.InheritRaw(cmd, layout.Access(access)) })
}

// OfferHandle returns the value of a handle of m in this process. Another process can copy the
// handle from here: with TakeHandle or, on Windows, with DuplicateHandle. The value is valid only
// while m is open, so the caller must keep m open.
//
// Errors: those of InheritHandle.
func OfferHandle(m *Memory, access Access) (value uint64, err error) {
	defer wrap(&err, "offer a handle of %v, %v", m, access)
	return handOut(m, access, func() (uint64, error) { return m.obj.Sys.OfferRaw(layout.Access(access)) })
}

// GrantHandle puts a handle of m into the running process pid, and returns the value of the
// handle in that process, as DuplicateHandle does. The caller sends the value to that process, in
// any message. The children of that process do not inherit the handle. If the process never
// learns the value, or never closes the handle, the handle stays open until the process ends or
// until RevokeHandle.
//
// Errors: ErrPeerNotStarted, fs.ErrPermission, ErrClosed, fs.ErrInvalid (access is CopyOnWrite).
// On Linux errors.ErrUnsupported: there no process can put a descriptor into another one. The
// other process must fetch it: use OfferHandle and TakeHandle, or Grant and Attach.
func GrantHandle(pid int, m *Memory, access Access) (value uint64, err error) {
	value, err = handOut(m, access, func() (uint64, error) { return m.obj.Sys.GrantRaw(pid, layout.Access(access)) })
	if err != nil {
		hint := ""
		if errors.Is(err, errors.ErrUnsupported) {
			hint = " (use OfferHandle here and TakeHandle there, or samepage.Grant)"
		}
		return 0, fmt.Errorf("samepage: grant process %d a handle of %v, %v%s: %w", pid, m, access, hint, err)
	}
	return value, nil
}

// RevokeHandle closes a handle that this process has put into the process pid with GrantHandle. It
// is for a handle that the other process does not take. The memory must still be open here.
//
// First it checks that the value still means that memory in the other process, because that
// process may have closed the handle and may have another handle with the same value now. The
// same can happen between the check and the close. So revoke only a handle that the process has
// not taken.
//
// Errors: ErrBadToken (the process no longer has the handle, the handle was never granted, or the
// memory is closed here), ErrPeerNotStarted, fs.ErrPermission, and errors.ErrUnsupported on
// Linux.
func RevokeHandle(pid int, value uint64) (err error) {
	defer wrap(&err, "revoke handle %#x of process %d", value, pid)
	return sys.RevokeRaw(pid, value)
}

// FromHandle opens the memory of a handle that this process has inherited. On Windows it can also
// be a handle that another process has put into this one. FromHandle takes the handle over: it
// closes the handle, and the memory gets a handle of its own, which Close closes.
//
// The size is in bytes, because a handle does not carry a size. Size 0 means the size that the
// kernel knows: on Windows this is rounded up to a page, unless the section is over a file. A
// smaller size opens only the first part.
//
// FromHandle refuses a handle in these cases:
//   - it is not memory (memory is a section of committed pages on Windows, and a memfd or a
//     regular file on Linux);
//   - it does not allow the access;
//   - this process has opened it itself (on Windows: with this package);
//   - FromHandle has taken it already.
//
// A handle that it refuses stays as it is.
//
// FromHandle cannot check more. If the value means another section of this process than the
// sender meant, FromHandle opens that section. On Linux any process that has the memory can
// shrink it, unless it is sealed; see ErrCorrupt.
//
// Errors: ErrBadToken (the text says what the handle is instead, or how large the memory is),
// which also matches fs.ErrPermission if only the rights are missing; ErrNegativeSize,
// ErrTooLarge, fs.ErrInvalid (access is CopyOnWrite).
func FromHandle(value uint64, size int64, access Access) (m *Memory, err error) {
	defer wrap(&err, "open the memory of handle %#x, %d bytes, %v", value, size, access)
	return fromRaw(size, access, func() (*sys.Object, error) {
		return sys.AdoptRaw(value, size, layout.Access(access), object.Any)
	})
}

// TakeHandle copies a handle of the running process pid and opens its memory. That process keeps
// its own handle. The value comes from OfferHandle in that process, or from anything else that
// the process says about itself. FromHandle says what the size means and what is refused. A
// handle that was granted read-only cannot be taken with write access.
//
// Errors: those of FromHandle, ErrPeerNotStarted, fs.ErrPermission (the process belongs to
// another user).
func TakeHandle(pid int, value uint64, size int64, access Access) (m *Memory, err error) {
	defer wrap(&err, "open the memory of handle %#x of process %d, %d bytes, %v", value, pid, size, access)
	return fromRaw(size, access, func() (*sys.Object, error) { return sys.TakeRaw(pid, value, size, layout.Access(access)) })
}

func fromRaw(size int64, access Access, open func() (*sys.Object, error)) (*Memory, error) {
	if err := option.OneOf("access", access, ReadWrite, ReadOnly); err != nil {
		return nil, err
	}
	if size != 0 {
		if err := option.Size("size", size, MaxSize); err != nil {
			return nil, err
		}
	}
	o, err := open()
	if err != nil {
		return nil, err
	}
	return newMemory(o.Name, o.Access, object.Own(o)), nil
}

package sys

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/windows"

	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/process"
	"samepage/internal/sys/store"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// An object is handed over by a handle. This is a handle of its file if the object has the ID of
// the file, otherwise a handle of its section. A child inherits the handle. A running process takes
// a copy of the giver's handle. So no process gets a handle that it did not ask for.

// These are the rights of a handed-over handle of a file. Every handle of CreateFile has
// SYNCHRONIZE; these handles do not. So a receiver recognises such a handle by its rights, before
// it makes any other call with it: a call with the handle of a pipe could wait for the process that
// reads the pipe.
const (
	fileReads  = windows.FILE_READ_DATA | windows.FILE_READ_ATTRIBUTES
	fileWrites = fileReads | windows.FILE_WRITE_DATA
)

// inherited has the inheritable handles that this process made for its children (ours). This
// process has inherited all other inheritable handles of objects. The lock is held while one of
// those is taken over, so that no other goroutine takes it over and closes it, too.
var inherited = struct {
	sync.Mutex
	ours map[windows.Handle]bool
}{ours: make(map[windows.Handle]bool)}

// handOut returns the handle for another process. It gives access a and no more. Errors:
// fs.ErrPermission, errors.ErrUnsupported.
func (o *Object) handOut(a layout.Access, inheritable bool) (windows.Handle, error) {
	if a == layout.ReadWrite && o.Access != layout.ReadWrite {
		return 0, fmt.Errorf("hand over %v an object open %v: %w", a, o.Access, fs.ErrPermission)
	}
	if o.raw {
		return 0, fmt.Errorf("memory that came by a bare handle has nothing to be known by (use InheritHandle, OfferHandle or GrantHandle): %w", errors.ErrUnsupported)
	}
	from, rights := o.section, sectionRights(a)
	if o.byFile {
		from, rights = o.file, fileRights(a)
	}
	return o.handle(handOut{a, inheritable, false}, from, rights)
}

// handle returns the handle to hand over for key. It is a copy of from with some rights.
func (o *Object) handle(key handOut, from windows.Handle, rights uint32) (windows.Handle, error) {
	a, inheritable := key.access, key.inheritable
	if inheritable {
		inherited.Lock()
		defer inherited.Unlock()
	}
	o.out.mu.Lock()
	defer o.out.mu.Unlock()
	if h := o.out.all[key]; h != 0 {
		return h, nil
	}
	var h windows.Handle
	if err := windows.DuplicateHandle(windows.CurrentProcess(), from, windows.CurrentProcess(), &h, rights, inheritable, 0); err != nil {
		return 0, fmt.Errorf("duplicate the handle of %s %v: %w", o.what, a, err)
	}
	if inheritable {
		inherited.ours[h] = true
	}
	if o.out.all == nil {
		o.out.all = make(map[handOut]windows.Handle)
	}
	o.out.all[key] = h
	return h, nil
}

// fileRights returns the rights of a handle of a file that is handed over for access a.
func fileRights(a layout.Access) uint32 {
	if a == layout.ReadWrite {
		return fileWrites
	}
	return fileReads
}

// Inherit gives the object to a child that cmd will start, and returns the value of the handle
// in the child. The object must stay open until cmd.Start returns.
func (o *Object) Inherit(cmd *exec.Cmd, a layout.Access) (uint64, error) {
	if cmd.SysProcAttr != nil && cmd.SysProcAttr.NoInheritHandles {
		return 0, fmt.Errorf("SysProcAttr.NoInheritHandles is set: %w", fs.ErrInvalid)
	}
	h, err := o.handOut(a, true)
	if err != nil {
		return 0, err
	}
	return giveTo(cmd, h), nil
}

// giveTo lets the child that cmd will start inherit h.
func giveTo(cmd *exec.Cmd, h windows.Handle) uint64 {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	if add := &cmd.SysProcAttr.AdditionalInheritedHandles; !slices.Contains(*add, syscall.Handle(h)) {
		*add = append(*add, syscall.Handle(h))
	}
	return uint64(h)
}

// Grant prepares the object for a running process, and returns the number with which Receive finds
// it in this process, while the object is open here.
func (o *Object) Grant(a layout.Access) (uint64, error) {
	h, err := o.handOut(a, false)
	return uint64(h), err
}

// Receive opens the object that a token names. If its name still leads to it, this process becomes
// a user of the name. Errors: layout.ErrBadToken, ErrPeerNotStarted, fs.ErrPermission; those of the
// name: ErrBusy, layout.ErrCorrupt, layout.ErrVersion, ErrPrivilege, ErrStore. After those the
// token can still be used.
func Receive(t *layout.Token) (*Object, error) {
	// Handles have 32 bits on every Windows, and the kernel ignores the last two bits.
	if t.Number == 0 || t.Number%4 != 0 || t.Number > math.MaxInt32 {
		return nil, fmt.Errorf("handle %#x: %w", t.Number, layout.ErrBadToken)
	}
	from := windows.CurrentProcess()
	if t.Granted {
		var err error
		if from, err = giver(t); err != nil {
			return nil, err
		}
		defer windows.CloseHandle(from)
	} else {
		inherited.Lock()
		defer inherited.Unlock()
		if err := checkInherited(t); err != nil {
			return nil, err
		}
	}
	// The checks use a copy, because other code of this process may close the original.
	var h windows.Handle
	err := windows.DuplicateHandle(from, windows.Handle(t.Number), windows.CurrentProcess(), &h, 0, false, windows.DUPLICATE_SAME_ACCESS)
	switch {
	case err == windows.ERROR_INVALID_HANDLE:
		return nil, fmt.Errorf("process %d has no handle %#x (it has closed the memory, or has passed it on): %w (%w)", t.From.PID, t.Number, layout.ErrBadToken, err)
	case err != nil:
		return nil, fmt.Errorf("handle %#x of process %d: %w: %w", t.Number, t.From.PID, err, layout.ErrBadToken)
	}
	o, err := adopt(t, h)
	if err != nil {
		return nil, err
	}
	if err := o.joinName(t); err != nil {
		_ = o.Close()
		return nil, fmt.Errorf("join the users of %q: %w", t.Name, err)
	}
	if !t.Granted {
		// The token names this handle, so it is closed here.
		_ = windows.CloseHandle(windows.Handle(t.Number))
	}
	return o, nil
}

// checkInherited refuses a token unless it names a handle that this process inherited. The reason:
// a received handle is closed later, and another handle of the same object may be in use here. The
// caller holds the lock of inherited.
func checkInherited(t *layout.Token) error {
	h := windows.Handle(t.Number)
	switch {
	case t.From == process.Self():
		return fmt.Errorf("it is for a child of this process: %w", layout.ErrBadToken)
	case inherited.ours[h]:
		return fmt.Errorf("handle %#x is one that this process made for its children: %w", t.Number, layout.ErrBadToken)
	case !isInheritable(h):
		return fmt.Errorf("this process has inherited no handle %#x, or has received it already: %w", t.Number, layout.ErrBadToken)
	}
	return nil
}

// giver opens the process that has granted the object.
func giver(t *layout.Token) (windows.Handle, error) {
	if me := process.Self(); t.To != me {
		return 0, fmt.Errorf("it is for process %d started at %d, this is %d started at %d: %w",
			t.To.PID, t.To.Start, me.PID, me.Start, layout.ErrBadToken)
	}
	h, p, err := kernel.OpenProcess(int(t.From.PID), windows.PROCESS_DUP_HANDLE)
	if err != nil {
		return 0, err
	}
	if p != t.From {
		_ = windows.CloseHandle(h)
		return 0, fmt.Errorf("process %d is another one now: %w", t.From.PID, syserr.ErrPeerNotStarted)
	}
	return h, nil
}

// adopt checks that h is the object that the token names, and makes an object of it. It takes h
// over. Even if a hostile number has led to h, its calls with h do not block and have no effect.
func adopt(t *layout.Token, h windows.Handle) (*Object, error) {
	refuse := func(format string, args ...any) (*Object, error) {
		_ = windows.CloseHandle(h)
		return nil, fmt.Errorf("handle %#x %w: %w", t.Number, fmt.Errorf(format, args...), layout.ErrBadToken)
	}
	kind, err := queryText(h, objectType)
	if err != nil {
		return refuse("is of no known type: %w", err)
	}
	access, err := queryAccess(h)
	if err != nil {
		return refuse("has no known rights: %w", err)
	}
	var o *Object
	switch want := sectionRights(t.Access); {
	case kind == "Section" && access&want == want:
		o, err = adoptSection(t, h)
	case kind == "File" && access == fileRights(t.Access):
		o, err = adoptFile(t, h)
	default:
		return refuse("is a %s with rights %#x", kind, access)
	}
	if err != nil {
		return refuse("%w", err)
	}
	o.Kind, o.Scope, o.Name = t.Kind, t.Scope, t.Name
	if t.Name != "" {
		o.Key = o.namedKey()
	}
	return o, nil
}

// adoptSection makes an object of the section that a token names.
func adoptSection(t *layout.Token, h windows.Handle) (*Object, error) {
	size, attributes, err := querySection(h)
	if err != nil {
		return nil, err
	}
	name, err := queryText(h, objectName)
	if err != nil {
		return nil, err
	}
	o := unnamedObject(h, t.ID, t.Size, t.Access)
	if name != "" {
		// The kernel keeps the name as long as the section. (Wine returns the name of the file
		// below, if there is one.)
		base := name[strings.LastIndexByte(name, '\\')+1:]
		if want := sectionBase(t.Kind, t.ID); base != want && !isSection(h, sectionName(t.Kind, t.Scope, t.ID)) {
			return nil, fmt.Errorf("is section %q, want %q", base, want)
		}
		if size < t.Size {
			return nil, fmt.Errorf("has %d bytes, want %d", size, t.Size)
		}
		o.what = name
		return o, nil
	}
	// A section over a file, or with reserved pages, might fault when it is read.
	if attributes&(secFile|secReserve) != 0 {
		return nil, fmt.Errorf("is a section of %d bytes with attributes %#x, not that of unnamed memory", size, attributes)
	}
	all, got, err := trailerView(h, t.Size, layout.ReadOnly)
	if err != nil {
		return nil, err
	}
	same := string(got) == string(trailer(t.ID, t.Size))
	_ = unview(all)
	if !same {
		return nil, errors.New("is another unnamed memory")
	}
	return o, nil
}

// isSection says whether h is a handle of the section of that name.
func isSection(h windows.Handle, name string) bool {
	other, err := openSection(name, layout.ReadOnly)
	if err != nil {
		return false
	}
	defer windows.CloseHandle(other)
	return sameObject(h, other)
}

// adoptFile makes an object of the file that a token names.
func adoptFile(t *layout.Token, h windows.Handle) (*Object, error) {
	if typ, _ := windows.GetFileType(h); typ != windows.FILE_TYPE_DISK {
		return nil, fmt.Errorf("is a file of type %d", typ)
	}
	var info windows.ByHandleFileInformation
	if err := windows.GetFileInformationByHandle(h, &info); err != nil {
		return nil, err
	}
	if info.FileAttributes&windows.FILE_ATTRIBUTE_DIRECTORY != 0 || fileID(&info) != t.ID {
		return nil, fmt.Errorf("is file %v with attributes %#x, want %v", fileID(&info), info.FileAttributes, t.ID)
	}
	if size := fileSize(&info); size < t.Size {
		return nil, fmt.Errorf("has %d bytes, want %d", size, t.Size)
	}
	return overFile(h, &info, t.Size, t.Access, "memory handed over")
}

// joinName makes the receiver of a named object one of its users. If the name does not lead to the
// object any more, the object has no name here.
func (o *Object) joinName(t *layout.Token) error {
	if t.Name == "" {
		return nil
	}
	d, err := store.Open(t.Scope, false)
	if err == nil {
		err = o.joinEntry(d, t)
		if o.entry == nil {
			d.Close()
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// joinEntry is joinName in the directory of the scope.
func (o *Object) joinEntry(d *store.Dir, t *layout.Token) error {
	e, err := openEntry(d.EntryPath(t.Kind, t.Name), &Spec{Scope: t.Scope, Owner: "*"})
	if err != nil {
		return err
	}
	if err := o.present(e); err != nil {
		_ = e.leave()
		return err
	}
	kernel.Unlock(e.h, gateByte)
	o.entry, o.dir = e, d
	return nil
}

// present takes the presence byte, if the sidecar belongs to the object. Errors: fs.ErrNotExist, if
// it belongs to another object.
func (o *Object) present(e *entry) error {
	if err := e.gate(); err != nil {
		return err
	}
	st, r, err := e.state()
	switch {
	case err != nil:
		return err
	case st == entryDead || r.ID != o.ID || r.Scope != o.Scope:
		return fs.ErrNotExist
	}
	if err := e.takePresence(); err != nil {
		return err
	}
	o.Lifetime = r.Lifetime
	if r.Flags&layout.RecordOwnFile == 0 {
		o.File = r.Path
	}
	return nil
}

package sys

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/windows"

	"samepage/internal/ipctest"
	"samepage/layout"
)

// exactly makes a kernel name of the test's own.
func exactly(t *testing.T, more ...string) *Spec {
	return spec(append([]string{fmt.Sprintf("%s-%d", t.Name(), os.Getpid()), "exact"}, more...))
}

func TestExact(t *testing.T) {
	s := exactly(t)
	_, err := Open(s)
	wantErr(t, err, fs.ErrNotExist)
	o := must(Create(s))(t)
	if o.Size != 5000 || o.Rounded {
		t.Errorf("made %d bytes, rounded %v", o.Size, o.Rounded)
	}
	_, err = Create(s)
	wantErr(t, err, fs.ErrExist)
	c := startPeer(t)
	c.Want("ok", "open %s exact", s.Name)
	c.Want("ok 8192 true", "size")
	c.Want("ok", "map")
	c.Want("ok", "poke hello")
	if b := mapAll(t, o, layout.ReadWrite); string(b[:5]) != "hello" {
		t.Errorf("bytes are %q", b[:5])
	}
	if i := must(Stat(s))(t); i.Size != 8192 || !i.Rounded {
		t.Errorf("stat tells %+v", i)
	}
	wantErr(t, Remove(s), errors.ErrUnsupported)
	closeObject(t, o)
	closeObject(t, must(Open(s))(t)) // the child has it
	c.Want("ok", "close")
	_, err = Open(s)
	wantErr(t, err, fs.ErrNotExist)

	ro := exactly(t, "ro")
	closeObject(t, must(Create(s))(t))
	o = must(Create(s))(t)
	r := must(Open(ro))(t)
	_, err = r.Map(0, 1, layout.ReadWrite)
	wantErr(t, err, fs.ErrPermission)
	r.Access = layout.ReadWrite // the kernel refuses, too
	_, err = r.Map(0, 1, layout.ReadWrite)
	wantErr(t, err, fs.ErrPermission)
	closeObject(t, r)
	closeObject(t, o)
}

func TestExactNames(t *testing.T) {
	s := exactly(t)
	for _, name := range []string{`Local\` + s.Name, `Global\` + s.Name} {
		o := must(Create(&Spec{Name: name, Exact: true, Size: 10}))(t)
		plain := &Spec{Name: s.Name, Exact: true, Size: 10}
		if strings.HasPrefix(name, "G") {
			plain.Scope = layout.Global
		}
		closeObject(t, must(Open(plain))(t))
		plain.Scope = 1 - plain.Scope
		_, err := Open(plain)
		wantErr(t, err, fs.ErrNotExist)
		closeObject(t, o)
	}
	for _, name := range []string{`local\x`, `Foo\x`} {
		_, err := Create(&Spec{Name: name, Exact: true, Size: 10})
		wantErr(t, err, fs.ErrInvalid)
	}
}

// Names of the kernel are shared by all kinds of objects.
func TestKindCollision(t *testing.T) {
	s := exactly(t)
	k := must(CreateKernelEvent(s, false, false))(t)
	_, err := Create(s)
	wantErr(t, err, layout.ErrKindMismatch)
	_, err = Open(s)
	wantErr(t, err, layout.ErrKindMismatch)
	noErr(t, k.Close())
	o := must(Create(s))(t)
	_, err = CreateKernelEvent(s, false, false)
	wantErr(t, err, layout.ErrKindMismatch)
	_, err = OpenKernelEvent(s)
	wantErr(t, err, layout.ErrKindMismatch)
	closeObject(t, o)

	store(t)
	memory := must(Create(&Spec{Name: "x", Size: 1}))(t)
	event := must(Create(&Spec{Name: "x", Size: 1, Kind: layout.Event}))(t)
	closeObject(t, memory)
	closeObject(t, event)
}

func TestExactOverFile(t *testing.T) {
	path := filepath.Join(ipctest.Dir(t), "data")
	s := exactly(t, "file="+path, "exclusive")
	o := must(Create(s))(t)
	v := must(o.Map(0, 5000, layout.ReadWrite))(t)
	copy(v, "hello")
	_, err := Create(s)
	wantErr(t, err, fs.ErrExist)
	_, err = MapFile(&Spec{File: path, Access: layout.ReadOnly})
	wantErr(t, err, ErrBusy)
	c := startPeer(t)
	c.Want("ok", "open %s exact", s.Name)
	c.Want("ok 5000 false", "size") // over a file the kernel knows it exactly
	c.Want("ok", "map")
	c.Want("ok hello", "peek hello")
	c.Want("ok", "poke later")
	c.Kill()
	noErr(t, o.Flush(v))
	noErr(t, o.Unmap(v))
	closeObject(t, o)
	if b := must(os.ReadFile(path))(t); len(b) != 5000 || string(b[:5]) != "later" {
		t.Errorf("file has %d bytes, %q", len(b), b[:5])
	}
}

// The opener of a name needs not be able to open the file below.
func TestNameOverExclusiveFile(t *testing.T) {
	store(t)
	path := filepath.Join(ipctest.Dir(t), "data")
	o := must(Create(&Spec{Name: "x", Size: 100, File: path, Exclusive: true}))(t)
	r := must(Open(&Spec{Name: "x"}))(t)
	if r.Size != 100 || r.File == "" {
		t.Errorf("opened %d bytes over %q", r.Size, r.File)
	}
	v := must(r.Map(0, 100, layout.ReadWrite))(t)
	wantErr(t, r.Flush(v), ErrBusy)
	copy(v, "hello")
	closeObject(t, o)
	noErr(t, r.Flush(v))
	noErr(t, r.Unmap(v))
	closeObject(t, r)
	if b := must(os.ReadFile(path))(t); len(b) != 100 || string(b[:5]) != "hello" {
		t.Errorf("file has %d bytes, %q", len(b), b[:5])
	}
}

func TestKernelEvent(t *testing.T) {
	s := exactly(t)
	_, err := OpenKernelEvent(s)
	wantErr(t, err, fs.ErrNotExist)
	k := must(CreateKernelEvent(s, false, false))(t)
	_, err = CreateKernelEvent(s, false, false)
	wantErr(t, err, fs.ErrExist)
	l := must(OpenKernelEvent(s))(t)
	try := func(want bool) {
		t.Helper()
		if got := must(l.TryWait())(t); got != want {
			t.Errorf("event is set: %v, want %v", got, want)
		}
	}
	try(false)
	noErr(t, k.Set())
	noErr(t, k.Set())
	try(true) // two sets are one
	try(false)
	noErr(t, l.Set())
	noErr(t, l.Reset()) // the opener has the right
	try(false)

	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	since := time.Now()
	wantErr(t, l.Wait(ctx), context.DeadlineExceeded)
	if d := time.Since(since); d > 5*time.Second {
		t.Errorf("a deadline of 20 ms took %v", d)
	}
	time.AfterFunc(20*time.Millisecond, func() { _ = k.Set() })
	noErr(t, l.Wait(context.Background()))
	try(false) // the wait took it

	time.AfterFunc(20*time.Millisecond, func() { _ = l.Close() })
	wantErr(t, l.Wait(context.Background()), fs.ErrClosed)
	wantErr(t, l.Set(), fs.ErrClosed)
	noErr(t, l.Close())
	noErr(t, k.Close())

	k = must(CreateKernelEvent(s, true, true))(t)
	l = must(OpenKernelEvent(s))(t)
	try(true)
	try(true)
	noErr(t, k.Reset())
	try(false)
	noErr(t, k.Close())
	noErr(t, l.Close())
}

func TestGlobal(t *testing.T) {
	store(t)
	local := must(Create(&Spec{Name: "x", Size: 10, Init: []byte("local")}))(t)
	global := must(Create(&Spec{Name: "x", Size: 10, Scope: layout.Global, Init: []byte("globe")}))(t)
	c := startPeer(t)
	c.Want("ok", "open x global")
	c.Want("ok", "map")
	c.Want("ok globe", "peek globe")
	closeObject(t, local)
	closeObject(t, global)
	c.Kill()
	if l := must(List(layout.Global))(t); len(l) != 0 {
		t.Errorf("listed %+v", l)
	}
}

// Who lacks the privilege is told its name. This process gives it up, and gets
// it back.
func TestNoPrivilege(t *testing.T) {
	store(t)
	enable := func(attributes uint32) {
		t.Helper()
		var token windows.Token
		noErr(t, windows.OpenProcessToken(windows.CurrentProcess(), windows.TOKEN_ADJUST_PRIVILEGES|windows.TOKEN_QUERY, &token))
		defer token.Close()
		p := windows.Tokenprivileges{PrivilegeCount: 1}
		name := must(windows.UTF16PtrFromString("SeCreateGlobalPrivilege"))(t)
		noErr(t, windows.LookupPrivilegeValue(nil, name, &p.Privileges[0].Luid))
		p.Privileges[0].Attributes = attributes
		noErr(t, windows.AdjustTokenPrivileges(token, false, &p, 0, nil, nil))
	}
	enable(0)
	_, err := Create(&Spec{Name: "x", Size: 10, Scope: layout.Global})
	enable(windows.SE_PRIVILEGE_ENABLED)
	wantErr(t, err, ErrPrivilege)
	if !strings.Contains(fmt.Sprint(err), "SeCreateGlobalPrivilege") {
		t.Errorf("text %q does not name the privilege", err)
	}
	closeObject(t, must(Create(&Spec{Name: "x", Size: 10, Scope: layout.Global}))(t))
}

func TestSecurity(t *testing.T) {
	store(t)
	_, err := Create(&Spec{Name: "x", Size: 10, SDDL: "nonsense"})
	wantErr(t, err, fs.ErrInvalid)
	o := must(Create(&Spec{Name: "x", Size: 10}))(t)
	me := must(self())(t).String()
	i := must(Stat(&Spec{Name: "x"}))(t)
	if !strings.Contains(i.Owner, me) || !strings.Contains(i.Perm, "D:") {
		t.Errorf("owner %q, rights %q", i.Owner, i.Perm)
	}
	sd := must(windows.GetSecurityInfo(o.section, windows.SE_KERNEL_OBJECT, windows.DACL_SECURITY_INFORMATION))(t).String()
	if strings.Count(sd, "(A;") != 2 || !strings.Contains(sd, me) || !strings.Contains(sd, ";SY)") {
		t.Errorf("security descriptor of the section is %q", sd)
	}
	for owner, want := range map[string]error{"": nil, "*": nil, me: nil, "S-1-5-32-545": fs.ErrPermission, "nobody of this name": fs.ErrInvalid} {
		p, err := Open(&Spec{Name: "x", Owner: owner})
		wantErr(t, err, want)
		if err == nil {
			closeObject(t, p)
		}
	}
	closeObject(t, o)
}

// entryFor is where the sidecar of local memory "x" is.
func entryFor(t *testing.T) string {
	t.Helper()
	d := dir{path: Where(layout.Local)}
	return d.entryPath(layout.Memory, "x")
}

// A record is believed only where it stands, and never about a file that it has
// no business with.
func TestHostileRecord(t *testing.T) {
	store(t)
	other := filepath.Join(ipctest.Dir(t), "precious")
	noErr(t, os.WriteFile(other, []byte("precious"), 0o600))
	closeObject(t, must(Create(&Spec{Name: "x", Size: 10}))(t)) // makes the directory
	good := layout.Record{Size: 10, ID: layout.ID{1}, Boot: must(boot())(t), Name: "x"}
	bad := map[string]func(r *layout.Record){
		"name":     func(r *layout.Record) { r.Name = "y" },
		"kind":     func(r *layout.Record) { r.Kind = layout.Event },
		"scope":    func(r *layout.Record) { r.Scope = layout.Global },
		"own file": func(r *layout.Record) { r.Flags, r.Path = layout.RecordOwnFile, other },
		"missing file": func(r *layout.Record) {
			r.Flags, r.Path, r.Lifetime = layout.RecordOwnFile, dataPath(entryFor(t), layout.ID{2}), layout.Persist
		},
		"another file": func(r *layout.Record) { r.Path, r.Lifetime = other, layout.Persist },
	}
	for name, change := range bad {
		r := good
		change(&r)
		path := entryFor(t)
		noErr(t, os.WriteFile(path, r.Append(nil), 0o600))
		e := must(openEntry(path, &Spec{}))(t) // somebody who is present
		if ok, err := tryLock(e.h, presenceByte, false); !ok {
			t.Fatal(err)
		}
		_, err := Open(&Spec{Name: "x"})
		if !errors.Is(err, layout.ErrCorrupt) && !(name == "missing file" && errors.Is(err, fs.ErrNotExist)) {
			t.Errorf("%s: error is %v", name, err)
		}
		_, err = Create(&Spec{Name: "x", Size: 10})
		if !errors.Is(err, layout.ErrCorrupt) && !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: error is %v", name, err)
		}
		for _, i := range must(List(layout.Local))(t) {
			if i.Name != "" && i.Name != "x" || i.Kind != layout.Memory {
				t.Errorf("%s: listed %+v", name, i)
			}
		}
		_, _ = Clean(layout.Local, false)
		e.leave()
		_ = Remove(&Spec{Name: "x"})
		wantFiles(t, 0)
	}
	if b := must(os.ReadFile(other))(t); string(b) != "precious" {
		t.Errorf("file has %q", b)
	}
}

// What was to persist goes with the start of the machine, and what is left of
// one that died while it was made goes, too. One that is alive stays.
func TestClean(t *testing.T) {
	store(t)
	alive := must(Create(&Spec{Name: "alive", Size: 10, Sparse: true}))(t)
	path := entryFor(t)
	old := dataPath(path, layout.ID{1})
	orphan := dataPath(path, layout.ID{2})
	r := layout.Record{
		Size: 10, ID: layout.ID{1}, Boot: must(boot())(t) - 1, Name: "x",
		Lifetime: layout.Persist, Flags: layout.RecordOwnFile, Path: old,
	}
	unfinished := filepath.Join(Where(layout.Local), "memory-0123456789abcdef0123456789abcdef.rec")
	noErr(t, os.WriteFile(path, r.Append(nil), 0o600))
	for _, p := range []string{old, orphan, unfinished, filepath.Join(Where(layout.Local), "README.txt")} {
		noErr(t, os.WriteFile(p, nil, 0o600))
	}
	_, err := Open(&Spec{Name: "nobody"})
	wantErr(t, err, fs.ErrNotExist)
	for _, dry := range []bool{true, false} {
		found := must(Clean(layout.Local, dry))(t)
		var text []string
		for _, l := range found {
			text = append(text, l.Reason)
			if l.Removed == dry || l.Err != nil {
				t.Errorf("dry %v: %+v", dry, l)
			}
		}
		all := strings.Join(text, "\n")
		if len(found) != 3 || !strings.Contains(all, "earlier start") || !strings.Contains(all, "before it was complete") || !strings.Contains(all, "bytes of an object") {
			t.Errorf("dry %v: found %q", dry, text)
		}
	}
	wantFiles(t, 3) // two of the living one, one that is none of ours
	closeObject(t, alive)
	wantFiles(t, 1)
}

// Whoever is just making an object looks dead to those who come, but is not
// disturbed.
func TestHalfMade(t *testing.T) {
	store(t)
	closeObject(t, must(Create(&Spec{Name: "x", Size: 10}))(t)) // makes the directory
	h := must(openSidecar(entryFor(t), windows.GENERIC_READ|windows.GENERIC_WRITE, nil, windows.CREATE_NEW))(t)
	noErr(t, os.WriteFile(dataPath(entryFor(t), layout.ID{1}), nil, 0o600))
	_, err := Open(&Spec{Name: "x"})
	wantErr(t, err, fs.ErrNotExist)
	if l := must(List(layout.Local))(t); len(l) != 0 {
		t.Errorf("listed %+v", l)
	}
	for _, dry := range []bool{true, false} {
		if found := must(Clean(layout.Local, dry))(t); len(found) != 0 {
			t.Errorf("dry %v: found %+v", dry, found)
		}
	}
	wantFiles(t, 2)
	// One who holds the gate keeps others waiting, but not for ever.
	e := &entry{h, entryFor(t)}
	noErr(t, e.gate())
	_, err = Open(&Spec{Name: "x"})
	wantErr(t, err, ErrBusy)
	e.leave()
	if l := must(List(layout.Local))(t); len(l) != 0 {
		t.Errorf("listed %+v", l)
	}
	wantFiles(t, 0)
}

// Who comes when the last user has let go of the bytes, and not yet of the
// name, waits until that is gone.
func TestLeaving(t *testing.T) {
	store(t)
	closeObject(t, must(Create(&Spec{Name: "x", Size: 10}))(t)) // makes the directory
	e := &entry{must(openSidecar(entryFor(t), windows.GENERIC_READ|windows.GENERIC_WRITE, nil, windows.CREATE_NEW))(t), entryFor(t)}
	noErr(t, e.write(&layout.Record{Size: 10, ID: layout.ID{1}, Name: "x"}))
	if ok, err := tryLock(e.h, presenceByte, false); !ok {
		t.Fatal(err)
	}
	since := time.Now()
	time.AfterFunc(200*time.Millisecond, e.leave)
	_, err := Open(&Spec{Name: "x"})
	wantErr(t, err, fs.ErrNotExist)
	if d := time.Since(since); d < 200*time.Millisecond {
		t.Errorf("gone after %v", d)
	}
	wantFiles(t, 0)
}

// A handle of the right file that was not made to be handed over is refused:
// such a one may be a pipe, and looking at it may block.
func TestReceiveForeignHandle(t *testing.T) {
	path := filepath.Join(ipctest.Dir(t), "data")
	o := must(MapFile(&Spec{File: path, Size: 100}))(t)
	defer o.Close()
	f := must(os.OpenFile(path, os.O_RDWR, 0))(t)
	defer f.Close()
	tok := tokenOf(o, uint64(f.Fd()), layout.ReadWrite)
	_, err := Receive(tok)
	wantErr(t, err, layout.ErrBadToken)
	if _, err := f.Stat(); err != nil {
		t.Errorf("the file was closed: %v", err)
	}
	r, w, err := os.Pipe()
	noErr(t, err)
	go func() { _, _ = r.Read(make([]byte, 1)) }()
	time.Sleep(20 * time.Millisecond)
	tok.Number = uint64(r.Fd())
	_, err = Receive(tok)
	wantErr(t, err, layout.ErrBadToken)
	noErr(t, w.Close())
	noErr(t, r.Close())
}

// The directories are there or made, and are directories.
func TestDirectories(t *testing.T) {
	d := store(t)
	t.Setenv("SAMEPAGE_DIR", filepath.Join(d, "missing"))
	_, err := Create(&Spec{Name: "x", Size: 10})
	wantErr(t, err, ErrStore)
	t.Setenv("SAMEPAGE_DIR", d)
	noErr(t, os.WriteFile(filepath.Join(d, "global"), nil, 0o600))
	_, err = Create(&Spec{Name: "x", Size: 10, Scope: layout.Global})
	wantErr(t, err, fs.ErrPermission)
	if l := must(List(layout.Local))(t); len(l) != 0 {
		t.Errorf("listed %+v", l)
	}
}

// A process id is one of the kernel's, not one of the three beside it.
func TestProcessID(t *testing.T) {
	me := os.Getpid()
	if p := must(FindProcess(me))(t); p != Self() {
		t.Errorf("found %v, this is %v", p, Self())
	}
	_, err := FindProcess(me + 1)
	wantErr(t, err, ErrPeerNotStarted)
}

package sys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/windows"

	"samepage/internal/ipctest"
	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/kernelevent"
	"samepage/internal/sys/process"
	"samepage/internal/sys/store"
	"samepage/internal/sys/syserr"
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
	k := must(kernelevent.Create(s.Name, s.Scope, "", false, false))(t)
	_, err := Create(s)
	wantErr(t, err, layout.ErrKindMismatch)
	_, err = Open(s)
	wantErr(t, err, layout.ErrKindMismatch)
	noErr(t, k.Close())
	o := must(Create(s))(t)
	_, err = kernelevent.Create(s.Name, s.Scope, "", false, false)
	wantErr(t, err, layout.ErrKindMismatch)
	_, err = kernelevent.Open(s.Name, s.Scope)
	wantErr(t, err, layout.ErrKindMismatch)
	closeObject(t, o)

	inStore(t)
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
	wantErr(t, err, syserr.ErrBusy)
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
	inStore(t)
	path := filepath.Join(ipctest.Dir(t), "data")
	o := must(Create(&Spec{Name: "x", Size: 100, File: path, Exclusive: true}))(t)
	r := must(Open(&Spec{Name: "x"}))(t)
	if r.Size != 100 || r.File == "" {
		t.Errorf("opened %d bytes over %q", r.Size, r.File)
	}
	v := must(r.Map(0, 100, layout.ReadWrite))(t)
	wantErr(t, r.Flush(v), syserr.ErrBusy)
	copy(v, "hello")
	closeObject(t, o)
	noErr(t, r.Flush(v))
	noErr(t, r.Unmap(v))
	closeObject(t, r)
	if b := must(os.ReadFile(path))(t); len(b) != 100 || string(b[:5]) != "hello" {
		t.Errorf("file has %d bytes, %q", len(b), b[:5])
	}
}

func TestGlobal(t *testing.T) {
	inStore(t)
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
	inStore(t)
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
	wantErr(t, err, syserr.ErrPrivilege)
	if !strings.Contains(fmt.Sprint(err), "SeCreateGlobalPrivilege") {
		t.Errorf("text %q does not name the privilege", err)
	}
	closeObject(t, must(Create(&Spec{Name: "x", Size: 10, Scope: layout.Global}))(t))
}

func TestSecurity(t *testing.T) {
	inStore(t)
	_, err := Create(&Spec{Name: "x", Size: 10, SDDL: "nonsense"})
	wantErr(t, err, fs.ErrInvalid)
	o := must(Create(&Spec{Name: "x", Size: 10}))(t)
	me := must(kernel.User())(t).String()
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
	d := store.Dir{Path: store.Where(layout.Local)}
	return d.EntryPath(layout.Memory, "x")
}

// A record is believed only where it stands, and never about a file that it has
// no business with.
func TestHostileRecord(t *testing.T) {
	inStore(t)
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
			r.Flags, r.Path, r.Lifetime = layout.RecordOwnFile, store.DataPath(entryFor(t), layout.ID{2}), layout.Persist
		},
		"another file": func(r *layout.Record) { r.Path, r.Lifetime = other, layout.Persist },
	}
	for name, change := range bad {
		r := good
		change(&r)
		path := entryFor(t)
		noErr(t, os.WriteFile(path, r.Append(nil), 0o600))
		e := must(openEntry(path, &Spec{}))(t) // somebody who is present
		if ok, err := kernel.TryLock(e.h, presenceByte, false); !ok {
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
		_ = e.leave()
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
	inStore(t)
	alive := must(Create(&Spec{Name: "alive", Size: 10, Sparse: true}))(t)
	path := entryFor(t)
	old := store.DataPath(path, layout.ID{1})
	orphan := store.DataPath(path, layout.ID{2})
	r := layout.Record{
		Size: 10, ID: layout.ID{1}, Boot: must(boot())(t) - 1, Name: "x",
		Lifetime: layout.Persist, Flags: layout.RecordOwnFile, Path: old,
	}
	unfinished := filepath.Join(store.Where(layout.Local), "memory-0123456789abcdef0123456789abcdef.rec")
	noErr(t, os.WriteFile(path, r.Append(nil), 0o600))
	for _, p := range []string{old, orphan, unfinished, filepath.Join(store.Where(layout.Local), "README.txt")} {
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
	inStore(t)
	closeObject(t, must(Create(&Spec{Name: "x", Size: 10}))(t)) // makes the directory
	h := must(openSidecar(entryFor(t), windows.GENERIC_READ|windows.GENERIC_WRITE, nil, windows.CREATE_NEW))(t)
	noErr(t, os.WriteFile(store.DataPath(entryFor(t), layout.ID{1}), nil, 0o600))
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
	e := &entry{h: h, path: entryFor(t)}
	noErr(t, e.gate())
	_, err = Open(&Spec{Name: "x"})
	wantErr(t, err, syserr.ErrBusy)
	_ = e.leave()
	if l := must(List(layout.Local))(t); len(l) != 0 {
		t.Errorf("listed %+v", l)
	}
	_ = must(Clean(layout.Local, false))(t)
	wantFiles(t, 0)
}

// Who comes when the last user has let go of the bytes, and not yet of the
// name, waits until that is gone.
func TestLeaving(t *testing.T) {
	inStore(t)
	patiently(t)
	closeObject(t, must(Create(&Spec{Name: "x", Size: 10}))(t)) // makes the directory
	e := &entry{h: must(openSidecar(entryFor(t), windows.GENERIC_READ|windows.GENERIC_WRITE, nil, windows.CREATE_NEW))(t), path: entryFor(t)}
	noErr(t, e.write(&layout.Record{Size: 10, ID: layout.ID{1}, Name: "x"}))
	if ok, err := kernel.TryLock(e.h, presenceByte, false); !ok {
		t.Fatal(err)
	}
	var leaves atomic.Bool
	left := make(chan struct{})
	time.AfterFunc(200*time.Millisecond, func() {
		leaves.Store(true)
		e.leaveUsed()
		close(left)
	})
	_, err := Open(&Spec{Name: "x"})
	wantErr(t, err, fs.ErrNotExist)
	if !leaves.Load() {
		t.Error("gone before its last user left")
	}
	<-left
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
	tok := tokenOf(o, inheritable(t, windows.Handle(f.Fd())), layout.ReadWrite)
	tok.From.Start++
	_, err := Receive(tok)
	wantErr(t, err, layout.ErrBadToken)
	if _, err := f.Stat(); err != nil {
		t.Errorf("the file was closed: %v", err)
	}
	r, w, err := os.Pipe()
	noErr(t, err)
	go func() { _, _ = r.Read(make([]byte, 1)) }()
	time.Sleep(20 * time.Millisecond)
	tok.Number = inheritable(t, windows.Handle(r.Fd()))
	_, err = Receive(tok)
	wantErr(t, err, layout.ErrBadToken)
	noErr(t, w.Close())
	noErr(t, r.Close())
}

// inheritable lets children inherit h, which is what one that was inherited
// looks like.
func inheritable(t *testing.T, h windows.Handle) uint64 {
	t.Helper()
	noErr(t, windows.SetHandleInformation(h, windows.HANDLE_FLAG_INHERIT, windows.HANDLE_FLAG_INHERIT))
	return uint64(h)
}

// inheritedToken is what a child gets of o, in this process.
func inheritedToken(t *testing.T, o *Object) *layout.Token {
	t.Helper()
	var h windows.Handle
	me := windows.CurrentProcess()
	noErr(t, windows.DuplicateHandle(me, o.section, me, &h, sectionRights(layout.ReadWrite), true, 0))
	tok := tokenOf(o, uint64(h), layout.ReadWrite)
	tok.From.Start++
	return tok
}

// A token for one that was inherited closes nothing that was not, whatever it
// says, and of many who receive it at once one gets it.
func TestReceiveClosesNothingElse(t *testing.T) {
	ipctest.NeedNames(t)
	o := must(CreateUnnamed(&Spec{Size: 100}))(t)
	defer o.Close()
	n := must(o.Inherit(ipctest.Command(t, "peer"), layout.ReadWrite))(t)
	for what, number := range map[string]uint64{
		"working handle": uint64(o.section),
		"granted handle": must(o.Grant(layout.ReadWrite))(t),
		"child's handle": n,
	} {
		for _, start := range []uint64{0, 1} {
			tok := tokenOf(o, number, layout.ReadWrite)
			tok.From.Start += start
			_, err := Receive(tok)
			wantErr(t, err, layout.ErrBadToken)
			if _, err := queryAccess(windows.Handle(number)); err != nil {
				t.Fatalf("%s (start + %d): it was closed: %v", what, start, err)
			}
		}
	}
	own := inheritedToken(t, o)
	own.From = process.Self()
	_, err := Receive(own)
	wantErr(t, err, layout.ErrBadToken)
	noErr(t, windows.CloseHandle(windows.Handle(own.Number)))

	for range 50 {
		tok := inheritedToken(t, o)
		var got atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Add(1)
			go func() {
				defer wg.Done()
				p, err := Receive(tok)
				if err == nil {
					got.Add(1)
					err = p.Close()
				} else if errors.Is(err, layout.ErrBadToken) {
					err = nil
				}
				if err != nil {
					t.Error(err)
				}
			}()
		}
		wg.Wait()
		if got.Load() != 1 {
			t.Fatalf("%d have received it", got.Load())
		}
	}
}

// Who cannot become a user of the name does not receive the object, unless the
// name is not its own any more.
func TestReceiveName(t *testing.T) {
	inStore(t)
	o := must(Create(&Spec{Name: "x", Size: 100}))(t)
	receive := func(tok *layout.Token) *Object {
		t.Helper()
		p := must(Receive(tok))(t)
		if p.ID != o.ID {
			t.Errorf("received %v, want %v", p.ID, o.ID)
		}
		return p
	}
	tok := inheritedToken(t, o)
	e := must(openEntry(entryFor(t), &Spec{}))(t)
	noErr(t, e.gate())
	_, err := Receive(tok)
	wantErr(t, err, syserr.ErrBusy)
	noErr(t, e.leave())
	p := receive(tok) // it has not been used up
	if p.entry == nil {
		t.Error("the receiver is no user of the name")
	}
	closeObject(t, o)
	if i := must(Stat(&Spec{Name: "x"}))(t); !i.InUse {
		t.Error("the receiver is not present")
	}
	_, err = Receive(tok)
	wantErr(t, err, layout.ErrBadToken)

	gone, other := inheritedToken(t, p), inheritedToken(t, p)
	closeObject(t, p)
	p = receive(gone)
	if p.entry != nil {
		t.Error("the receiver uses a name that is gone")
	}
	closeObject(t, p)
	q := must(Create(&Spec{Name: "x", Size: 100}))(t)
	p = receive(other)
	if p.entry != nil {
		t.Error("the receiver uses the name of another object")
	}
	closeObject(t, p)
	closeObject(t, q)
	wantFiles(t, 0)
}

// die lets go of an object as a death does.
func die(o *Object) {
	o.drop()
	o.entry.close()
	o.dir.Close()
}

// openOrMake counts the rounds until over in which somebody opens or makes x, and
// closes it. It tells each.
func openOrMake(t *testing.T, s *Spec, over func() bool, tell func()) (rounds int) {
	for !over() {
		o, err := Open(s)
		if errors.Is(err, fs.ErrNotExist) {
			o, err = Create(s)
		}
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			err = o.Close()
		}
		if err != nil {
			t.Error(err)
			return rounds
		}
		rounds++
		tell()
	}
	return rounds
}

// Many who make, open and close one name all get on: each of them does five rounds in
// the end, while the others go on.
func TestManyOfOneName(t *testing.T) {
	inStore(t)
	patiently(t)
	for _, words := range []string{"x", "x sparse"} {
		s := spec(strings.Fields(words))
		const together, enough = 6, 5
		var done, sum atomic.Int64 // those who have done enough; rounds of all
		var wg sync.WaitGroup
		begun := time.Now()
		over := func() bool {
			spent := time.Since(begun)
			return spent > time.Second && done.Load() == together || spent > ipctest.Patience || t.Failed()
		}
		for range together {
			wg.Go(func() {
				mine := 0
				openOrMake(t, s, over, func() {
					sum.Add(1)
					if mine++; mine == enough {
						done.Add(1)
					}
				})
			})
		}
		wg.Wait()
		t.Logf("%s, goroutines: %d rounds in %v", words, sum.Load(), time.Since(begun))
		if done.Load() != together {
			t.Errorf("%s: %d of %d got no further than %d rounds", words, together-done.Load(), together, enough-1)
		}

		var cs []*ipctest.Child
		for range 4 {
			cs = append(cs, startChurn(t, words))
		}
		begun = time.Now()
		mine := 0
		rounds := openOrMake(t, s, func() bool {
			spent := time.Since(begun)
			return spent > time.Second && mine >= enough || spent > ipctest.Patience
		}, func() { mine++ })
		t.Logf("%s, one of five processes: %d rounds in %v", words, rounds, time.Since(begun))
		if rounds < enough {
			t.Errorf("%s: no more than %d rounds", words, rounds)
		}
		for _, c := range cs {
			if _, err := process.Find(c.PID()); err != nil {
				t.Errorf("%s: a child has given up: %v", words, err)
			}
			c.Kill()
		}
		_, err := Clean(layout.Local, false)
		noErr(t, err)
		wantFiles(t, 0)
	}
}

// A dead sidecar that somebody is looking at is used again, with the rights of
// the new object. One with other rights, by which somebody may have it open, is
// not.
func TestMakeOverDead(t *testing.T) {
	inStore(t)
	look := func() *entry { t.Helper(); return must(openEntry(entryFor(t), &Spec{}))(t) }
	s := &Spec{Name: "x", Size: 100}
	for _, sparse := range []bool{false, true} {
		s.Sparse = sparse
		a := must(Create(s))(t)
		die(a)
		l := look()
		b := must(Create(s))(t)
		if b.ID == a.ID && !sparse { // a file may get the id of one deleted
			t.Error("the new object has the id of the old one")
		}
		if sparse {
			wantFiles(t, 2) // not the data of a
		}
		if i := must(Stat(s))(t); i.ID != b.ID || !i.InUse {
			t.Errorf("stat tells %+v", i)
		}
		noErr(t, l.leave())
		closeObject(t, must(Open(s))(t))
		closeObject(t, b)
		wantFiles(t, 0)
	}

	want := must(Create(s))(t)
	_, rightsWanted := rights(want.entry.h, windows.SE_FILE_OBJECT)
	closeObject(t, want)
	loose := *s
	loose.SDDL = "D:P(A;;GA;;;WD)"
	die(must(Create(&loose))(t))
	l := look()
	_, err := Create(s)
	wantErr(t, err, syserr.ErrBusy)
	noErr(t, l.leave())
	die(must(Create(&loose))(t))
	b := must(Create(s))(t)
	if _, got := rights(b.entry.h, windows.SE_FILE_OBJECT); got != rightsWanted {
		t.Errorf("rights are %q, want %q", got, rightsWanted)
	}
	closeObject(t, b)
	_, err = Clean(layout.Local, false)
	noErr(t, err)
	wantFiles(t, 0)
}

// What cannot be read may be of a later version, and is left to Remove.
func TestDamagedRecord(t *testing.T) {
	inStore(t)
	s := &Spec{Name: "x", Size: 100, Lifetime: layout.Persist}
	damage := map[string]struct {
		f    func([]byte) []byte
		want error
	}{
		"later version": {func(b []byte) []byte { b[8] = layout.RecordVersion + 1; return b }, layout.ErrVersion},
		"checksum":      {func(b []byte) []byte { b[124]++; return b }, layout.ErrCorrupt},
		"magic":         {func(b []byte) []byte { b[0]++; return b }, layout.ErrCorrupt},
		"end":           {func(b []byte) []byte { return b[:100] }, layout.ErrCorrupt},
		"kind":          {func(b []byte) []byte { b[12] = 99; return b }, layout.ErrCorrupt},
	}
	for name, d := range damage {
		closeObject(t, must(Create(s))(t))
		b := must(os.ReadFile(entryFor(t)))(t)
		noErr(t, os.WriteFile(entryFor(t), d.f(b), 0o600))
		_, err := Open(s)
		wantErr(t, err, d.want)
		_, err = Stat(s)
		wantErr(t, err, d.want)
		_, err = Create(s)
		wantErr(t, err, d.want)
		if l := must(List(layout.Local))(t); len(l) != 1 || l[0].InUse {
			t.Errorf("%s: listed %+v", name, l)
		}
		for _, dry := range []bool{true, false} {
			if found := must(Clean(layout.Local, dry))(t); len(found) != 1 || found[0].Removed || !errors.Is(found[0].Err, d.want) {
				t.Errorf("%s: found %+v", name, found)
			}
		}
		wantFiles(t, 2)
		noErr(t, Remove(s))
		_, err = Open(s)
		wantErr(t, err, fs.ErrNotExist)
		_ = must(Clean(layout.Local, false))(t) // nobody knows any more whose its bytes were
		wantFiles(t, 0)
	}
	closeObject(t, must(Create(s))(t))
	noErr(t, os.WriteFile(entryFor(t), make([]byte, layout.RecordSize), 0o600))
	_, err := Open(s)
	wantErr(t, err, fs.ErrNotExist)
	closeObject(t, must(Create(s))(t))
	noErr(t, Remove(s))
	_ = must(Clean(layout.Local, false))(t)
	wantFiles(t, 0)
}

// A look at a sidecar does not keep it from going with its last user.
func TestLookAndLastOneOut(t *testing.T) {
	inStore(t)
	defer func(n int) { leaveTries = n }(leaveTries)
	leaveTries = int(ipctest.Patience / (5 * time.Millisecond)) // however late the look ends
	o := must(Create(&Spec{Name: "x", Size: 100}))(t)
	e := must(openEntry(entryFor(t), &Spec{}))(t)
	time.AfterFunc(2*time.Millisecond, e.close)
	closeObject(t, o)
	wantFiles(t, 0)

	d := must(store.Open(layout.Local, false))(t)
	defer d.Close()
	for dry, left := range map[bool]int{true: 2, false: 0} {
		o = must(Create(&Spec{Name: "x", Size: 100, Sparse: true}))(t)
		data := o.backingPath(t)
		die(o)
		if isOrphan(d, entryFor(t), data, dry) {
			t.Error("the data of a sidecar is an orphan")
		}
		wantFiles(t, left)
		_ = must(Clean(layout.Local, false))(t)
		wantFiles(t, 0)
	}
}

// backingPath is the path of an object's own file, by its record.
func (o *Object) backingPath(t *testing.T) string {
	t.Helper()
	return must(readRecord(o.entry.h, o.entry.path))(t).Path
}

// Without SAMEPAGE_DIR objects are where the documents say.
func TestDefaultDirectories(t *testing.T) {
	ipctest.NeedNames(t)
	d := ipctest.Dir(t)
	t.Setenv("SAMEPAGE_DIR", "")
	t.Setenv("LOCALAPPDATA", d)
	t.Setenv("ProgramData", d)
	local := filepath.Join(d, "samepage", fmt.Sprintf("session-%d", store.Session()))
	if got := store.Where(layout.Local); got != local {
		t.Errorf("local objects are in %s, want %s", got, local)
	}
	global := filepath.Join(d, "samepage", "global")
	if got := store.Where(layout.Global); got != global {
		t.Errorf("global objects are in %s, want %s", got, global)
	}
	if l := must(List(layout.Global))(t); len(l) != 0 {
		t.Errorf("listed %+v", l)
	}
	for _, scope := range []layout.Scope{layout.Global, layout.Local} {
		s := &Spec{Name: "x", Size: 10, Scope: scope}
		o := must(Create(s))(t)
		if es := must(os.ReadDir(store.Where(scope)))(t); len(es) != 1 {
			t.Errorf("%v: %d files", scope, len(es))
		}
		closeObject(t, must(Open(s))(t))
		closeObject(t, o)
	}
	noErr(t, os.Remove(global))
	noErr(t, os.Remove(local))
	noErr(t, os.Remove(filepath.Dir(global)))
	noErr(t, os.WriteFile(filepath.Dir(global), nil, 0o600))
	_, err := Create(&Spec{Name: "x", Size: 10, Scope: layout.Global})
	if err == nil {
		t.Error("made below a file")
	}
}

// The directories are there or made, and are directories.
func TestDirectories(t *testing.T) {
	d := inStore(t)
	t.Setenv("SAMEPAGE_DIR", filepath.Join(d, "missing"))
	_, err := Create(&Spec{Name: "x", Size: 10})
	wantErr(t, err, syserr.ErrStore)
	t.Setenv("SAMEPAGE_DIR", d)
	noErr(t, os.WriteFile(filepath.Join(d, "global"), nil, 0o600))
	_, err = Create(&Spec{Name: "x", Size: 10, Scope: layout.Global})
	wantErr(t, err, fs.ErrPermission)
	if l := must(List(layout.Local))(t); len(l) != 0 {
		t.Errorf("listed %+v", l)
	}
}

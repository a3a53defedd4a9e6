package samepage_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/internal/sys"
	"samepage/ipcsync"
	"samepage/layout"
)

// Tests by the rows of docs/mission.md; this file: seed 000.

func TestMission000_01_TwoProcessesSeeOneByte(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	m := create(t, "x", 3_000_001, nil)
	b := view(t, m, 0, 0, samepage.ReadWrite).Bytes()
	if i := bytes.IndexFunc(b, func(r rune) bool { return r != 0 }); i >= 0 || len(b) != 3_000_001 {
		t.Fatalf("new memory of %d bytes is not zero at %d", len(b), i)
	}
	c := startAgent(t)
	c.Want("ok 3000001", "open x")
	c.Want("ok", `write 3000000 "Z"`)
	if b[3_000_000] != 'Z' {
		t.Errorf("the last byte is %q after another process wrote Z", b[3_000_000])
	}
	b[0] = 'A'
	c.Want(`ok "A\x00"`, "read 0 2")
}

func TestMission000_02_OpenCloseLeavesNothing(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	keep := create(t, "kept", 1<<16, nil)
	round := func(i int) {
		m := must(samepage.Create("x", 1<<16, nil))(t)
		v := must(m.View(0, 0, samepage.ReadWrite))(t)
		v.Bytes()[0] = byte(i)
		open := func(name string) {
			o := must(samepage.Open(name, &samepage.Options{Access: samepage.ReadOnly}))(t)
			ipctest.NoErr(t, must(o.View(0, 0, samepage.ReadOnly))(t).Close())
			closeMem(t, o)
		}
		open("x")
		ipctest.NoErr(t, v.Close())
		closeMem(t, m)
		if i%10 == 0 {
			// Not each time: Wine's server keeps a descriptor for each opening of
			// a file until the last lock on it goes.
			open("kept")
		}
	}
	for i := range 100 {
		round(i)
	}
	h0, m0, err := sys.Usage()
	ipctest.NoErr(t, err)
	const rounds = 10_000
	for i := range rounds {
		round(i)
	}
	h1, m1, err := sys.Usage()
	ipctest.NoErr(t, err)
	// The Go runtime itself maps a little now and then, and its threads have handles.
	if h1 > h0+100 || m1 > m0+50 {
		t.Errorf("after %d rounds %d handles and %d mappings, before %d and %d", rounds, h1, m1, h0, m0)
	}
	closeMem(t, keep)
	wantNames(t)
}

func TestMission000_03_OpenMissing(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	_, err := samepage.Open("missing", nil)
	ipctest.WantErr(t, err, fs.ErrNotExist, "missing")
	closeMem(t, create(t, "other", 1, nil))
	_, err = samepage.Open("missing", nil)
	ipctest.WantErr(t, err, fs.ErrNotExist, "missing")
	wantNames(t)
}

func TestMission000_04_ReadOnlyFile(t *testing.T) {
	path := filepath.Join(ipctest.Dir(t), "f")
	ipctest.NoErr(t, os.WriteFile(path, []byte("read me"), 0o600))
	ipctest.NoErr(t, os.Chmod(path, 0o444))
	t.Cleanup(func() { ipctest.NoErr(t, os.Chmod(path, 0o600)) }) // or it cannot be removed on Windows

	m := must(samepage.MapFile(path, 0, &samepage.Options{Access: samepage.ReadOnly}))(t)
	closeLater(t, m)
	if b := view(t, m, 0, 0, samepage.ReadOnly).Bytes(); string(b) != "read me" {
		t.Errorf("read-only file, read-only view: %q", b)
	}
	_, err := m.View(0, 0, samepage.ReadWrite)
	ipctest.WantErr(t, err, fs.ErrPermission, "read-write", "read-only")

	if os.Geteuid() != 0 {
		_, err := samepage.MapFile(path, 0, nil)
		ipctest.WantErr(t, err, fs.ErrPermission, "read-write", path)
		return
	}
	// Root may write anything: ask another user.
	ipctest.NoErr(t, os.Chmod(filepath.Dir(path), 0o755))
	c := needOtherUser(t)
	c.Want("ok 7", "mapfile %q 0 ro", path)
	answer := c.Ask("mapfile %q 0", path)
	wantChildErr(t, answer, "ErrPermission")
	if !strings.Contains(answer, "read-write") || !strings.Contains(answer, "0444") {
		t.Errorf("%q does not tell both modes", answer)
	}
}

func TestMission000_05_ExclusiveFile(t *testing.T) {
	path := filepath.Join(ipctest.Dir(t), "f")
	ipctest.NoErr(t, os.WriteFile(path, []byte("mine"), 0o600))
	m := must(samepage.MapFile(path, 0, &samepage.Options{Exclusive: true}))(t)
	c := startAgent(t)
	wantChildErr(t, c.Ask("mapfile %q 0", path), "ErrBusy")
	_, err := samepage.MapFile(path, 0, nil)
	ipctest.WantErr(t, err, samepage.ErrBusy, path)
	// A program that does not use this package is stopped on Windows only.
	f, err := os.Open(path)
	if err == nil {
		f.Close()
	}
	if refused := err != nil; refused == onLinux() {
		t.Errorf("foreign opener of an exclusive file: %v", err)
	}
	closeMem(t, m)

	m = must(samepage.MapFile(path, 0, nil))(t) // shareable by default
	closeLater(t, m)
	c.Want("ok 4", "mapfile %q 0", path)
	_, err = samepage.MapFile(path, 0, &samepage.Options{Exclusive: true})
	ipctest.WantErr(t, err, samepage.ErrBusy)
}

func TestMission000_06_GrowFile(t *testing.T) {
	path := filepath.Join(ipctest.Dir(t), "f")
	ipctest.NoErr(t, os.WriteFile(path, []byte("head"), 0o600))
	m := must(samepage.MapFile(path, 100_001, nil))(t)
	closeLater(t, m)
	if st := must(os.Stat(path))(t); st.Size() != 100_001 {
		t.Errorf("file has %d bytes, want 100001", st.Size())
	}
	b := must(io.ReadAll(io.NewSectionReader(m, 0, m.Size())))(t)
	if want := append([]byte("head"), make([]byte, 99_997)...); !bytes.Equal(b, want) {
		t.Errorf("contents are not the old bytes and zeros")
	}
}

func TestMission000_07_SizeOfFile(t *testing.T) {
	path := filepath.Join(ipctest.Dir(t), "f")
	ipctest.NoErr(t, os.WriteFile(path, make([]byte, 12_345), 0o600))
	m := must(samepage.MapFile(path, 0, nil))(t)
	closeLater(t, m)
	if m.Size() != 12_345 {
		t.Errorf("Size is %d, want 12345", m.Size())
	}
	if v := view(t, m, 0, 0, samepage.ReadOnly); v.Len() != 12_345 {
		t.Errorf("a view to the end has %d bytes, want 12345", v.Len())
	}
}

func TestMission000_08_ZeroSize(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	path := filepath.Join(ipctest.Dir(t), "empty")
	ipctest.NoErr(t, os.WriteFile(path, nil, 0o600))
	_, err := samepage.CreateUnnamed(0, nil)
	ipctest.WantErr(t, err, samepage.ErrZeroSize)
	_, err = samepage.Create("x", 0, nil)
	ipctest.WantErr(t, err, samepage.ErrZeroSize)
	_, err = samepage.MapFile(path, 0, nil)
	ipctest.WantErr(t, err, samepage.ErrZeroSize, path)
	_, err = samepage.Create("x", 0, &samepage.Options{File: path})
	ipctest.WantErr(t, err, samepage.ErrZeroSize, path)
	_, err = samepage.Create("x", -1, nil)
	ipctest.WantErr(t, err, samepage.ErrNegativeSize, "-1")
	_, err = samepage.Create("x", samepage.MaxSize+1, nil)
	ipctest.WantErr(t, err, samepage.ErrTooLarge, fmt.Sprint(int64(samepage.MaxSize)))
	wantNames(t)
}

func TestMission000_09_KindCollision(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	name := fmt.Sprintf("samepage-test-%d", os.Getpid())
	exact := &samepage.Options{Exact: true}
	e := must(ipcsync.CreateEvent(name, &ipcsync.EventOptions{Exact: true}))(t)
	_, err := samepage.Create(name, 100, exact)
	ipctest.WantErr(t, err, samepage.ErrKindMismatch, name)
	_, err = samepage.Open(name, exact)
	if onLinux() { // Windows looks the name up among memories only
		ipctest.WantErr(t, err, samepage.ErrKindMismatch, name)
	} else if err == nil {
		t.Error("a memory was opened by the name of an event")
	}
	_, err = samepage.Stat(name, exact)
	if onLinux() {
		ipctest.WantErr(t, err, samepage.ErrKindMismatch, name)
	} else if err == nil {
		t.Error("Stat takes an event for a memory")
	}
	ipctest.NoErr(t, e.Close())
	if onLinux() {
		ipctest.NoErr(t, samepage.Remove(name, exact))
	}
	m := create(t, name, 8192, exact)
	_, err = ipcsync.CreateEvent(name, &ipcsync.EventOptions{Exact: true})
	if onLinux() { // there its name exists, and nothing says of what kind it is
		ipctest.WantErr(t, err, fs.ErrExist, name)
	} else {
		ipctest.WantErr(t, err, samepage.ErrKindMismatch, name)
	}
	_, err = ipcsync.OpenEvent(name, &ipcsync.EventOptions{Exact: true})
	ipctest.WantErr(t, err, samepage.ErrKindMismatch, name)
	closeMem(t, m)
	if onLinux() {
		ipctest.NoErr(t, samepage.Remove(name, exact))
	}

	// By default kinds have names of their own.
	create(t, "both", 100, nil)
	e = must(ipcsync.CreateEvent("both", nil))(t)
	defer e.Close()
	wantNames(t, "memory:both", "event:both")
}

func TestMission000_10_CreateOrOpen(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	m := create(t, "x", 5000, nil)
	must(m.WriteAt([]byte("first"), 0))(t)
	_, err := samepage.Create("x", 9000, nil)
	ipctest.WantErr(t, err, fs.ErrExist, "x")
	o, existed, err := samepage.OpenOrCreate("x", 9000, nil)
	ipctest.NoErr(t, err)
	closeLater(t, o)
	if !existed || o.Size() != 5000 {
		t.Errorf("existed %v with %d bytes, want true with 5000", existed, o.Size())
	}
	var b [5]byte
	must(o.ReadAt(b[:], 0))(t)
	if string(b[:]) != "first" {
		t.Errorf("a second creator changed the contents to %q", b)
	}
	n, existed, err := samepage.OpenOrCreate("new", 9000, nil)
	ipctest.NoErr(t, err)
	closeLater(t, n)
	if existed || n.Size() != 9000 {
		t.Errorf("existed %v with %d bytes, want false with 9000", existed, n.Size())
	}
}

func TestMission000_11_OwnerOnly(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	create(t, "mine", 100, nil)
	info := must(samepage.Stat("mine", nil))(t)
	if onLinux() && info.Perm != "-rw-------" {
		t.Errorf("rights of a new object are %s, want owner only", info.Perm)
	}
	if !onLinux() && (!strings.Contains(info.Perm, "D:") || strings.Contains(info.Perm, ";WD)")) {
		t.Errorf("descriptor of a new object is %s, want its owner and the system", info.Perm)
	}
	create(t, "open", 100, &samepage.Options{Perm: 0o644, SecurityDescriptor: "D:(A;;GA;;;WD)"})
	if info := must(samepage.Stat("open", nil))(t); onLinux() && info.Perm != "-rw-r--r--" || !onLinux() && !strings.Contains(info.Perm, ";WD)") {
		t.Errorf("rights of an object made for all are %s", info.Perm)
	}

	c := needOtherUser(t)
	// Without a name, by the file alone.
	path := info.Path
	wantChildErr(t, c.Ask("mapfile %q 0 ro", path), "ErrPermission")
	ipctest.NoErr(t, os.Chmod(filepath.Dir(path), 0o755)) // as if the directory were no hindrance
	wantChildErr(t, c.Ask("mapfile %q 0 ro", path), "ErrPermission")
	ipctest.NoErr(t, os.Chmod(filepath.Dir(path), 0o700))

	create(t, `Global\mine`, 100, nil)
	create(t, `Global\open`, 100, &samepage.Options{Perm: 0o644})
	answer := c.Ask(`open "Global\\mine"`)
	wantChildErr(t, answer, "ErrPermission")
	if !strings.Contains(answer, "root") {
		t.Errorf("%q does not name the owner", answer)
	}
	c.Want("ok 100", `open "Global\\open" ro`)
	wantChildErr(t, c.Ask(`open "Global\\open"`), "ErrPermission")

	// And the other way: another user's object is accepted only if asked for.
	c.Want("ok 50", `create "Global\\theirs" 50`)
	_, err := samepage.Open(`Global\theirs`, nil)
	ipctest.WantErr(t, err, fs.ErrPermission, "nobody", "root")
	for _, owner := range []string{"nobody", "65534", "*"} {
		o := must(samepage.Open(`Global\theirs`, &samepage.Options{Owner: owner}))(t)
		closeMem(t, o)
	}
	_, err = samepage.Open(`Global\theirs`, &samepage.Options{Owner: "root"})
	ipctest.WantErr(t, err, fs.ErrPermission, "nobody")
}

func TestMission000_12_BeyondFourGiB(t *testing.T) {
	path := filepath.Join(ipctest.Dir(t), "big")
	m := must(samepage.MapFile(path, 5<<30, &samepage.Options{Sparse: true}))(t)
	closeLater(t, m)
	const at = 4<<30 + 1<<29
	v := view(t, m, at, 1<<20, samepage.ReadWrite)
	copy(v.Bytes(), "far out")
	var b [7]byte
	must(m.ReadAt(b[:], at))(t)
	if string(b[:]) != "far out" {
		t.Errorf("at 4.5 GiB stands %q", b)
	}
	f := must(os.Open(path))(t)
	defer f.Close()
	must(f.ReadAt(b[:], at))(t)
	if string(b[:]) != "far out" {
		t.Errorf("the file has %q at 4.5 GiB", b)
	}
}

func TestMission000_13_SelfDescribing(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	create(t, "x", 1001, nil)
	m := must(samepage.Open("x", nil))(t)
	closeLater(t, m)
	if m.Size() != 1001 || m.Name() != "x" {
		t.Errorf("the opener sees %d bytes named %q, want 1001 named x", m.Size(), m.Name())
	}
	v := view(t, m, 0, 0, samepage.ReadWrite)
	if v.Len() != 1001 {
		t.Errorf("%d bytes are usable, want 1001", v.Len())
	}
	copy(v.Bytes(), bytes.Repeat([]byte{0xff}, 1001)) // no header of ours is in them
	c := startAgent(t)
	c.Want("ok 1001", "open x")
	info := must(samepage.Stat("x", nil))(t)
	if info.Size != 1001 || info.Name != "x" {
		t.Errorf("Stat tells %d bytes named %q", info.Size, info.Name)
	}
}

func TestMission000_14_ScopesAndNames(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	for _, bad := range []string{"", `a\b`, `Foo\x`, `local\x`, `Local\`, `Local\a\b`, "a/b", "a\x00b", "\xff", strings.Repeat("x", 201)} {
		_, err := samepage.Create(bad, 100, nil)
		ipctest.WantErr(t, err, samepage.ErrName)
		_, err = samepage.Open(bad, nil)
		ipctest.WantErr(t, err, samepage.ErrName)
		ipctest.WantErr(t, samepage.Remove(bad, nil), samepage.ErrName)
	}
	l := create(t, `Local\x`, 100, nil)
	if o := must(samepage.Open("x", nil))(t); o.ID() != l.ID() {
		t.Error(`x is not Local\x`)
	} else {
		closeMem(t, o)
	}
	if onLinux() && os.Geteuid() != 0 {
		_, err := samepage.Create(`Global\x`, 200, nil)
		ipctest.WantErr(t, err, samepage.ErrPrivilege, "root", "install -d")
		return
	}
	g := create(t, `Global\x`, 200, nil)
	if o := must(samepage.Open("x", &samepage.Options{Scope: samepage.Global}))(t); o.ID() != g.ID() || o.Size() != 200 {
		t.Errorf(`Global x is %v`, o)
	} else {
		closeMem(t, o)
	}
	if o := must(samepage.Open("x", nil))(t); o.Size() != 100 {
		t.Errorf("Local x is %v", o)
	} else {
		closeMem(t, o)
	}
}

func TestMission000_14_GlobalNeedsPrivilege(t *testing.T) {
	dir := ipctest.Store(t)
	ipctest.NoErr(t, os.Chmod(dir, 0o777))
	c := needOtherUser(t)
	answer := c.Ask(`create "Global\\x" 100`)
	wantChildErr(t, answer, "ErrPrivilege")
	if !strings.Contains(answer, "install -d -o root -m 1777 "+filepath.Join(dir, "samepage")) {
		t.Errorf("%q does not tell how to mend it", answer)
	}
}

func TestMission000_15_ScopesAreDirectories(t *testing.T) {
	ipctest.NeedNames(t)
	dir := ipctest.Store(t)
	create(t, "x", 100, nil)
	local := must(samepage.Stat("x", nil))(t)
	if !strings.HasPrefix(local.Path, dir) {
		t.Errorf("Local x is kept at %s, want below %s", local.Path, dir)
	}
	if onLinux() {
		if want := fmt.Sprintf("%s/samepage-%d/memory.x", dir, os.Geteuid()); local.Path != want {
			t.Errorf("Local x is kept at %s, want %s", local.Path, want)
		}
		if os.Geteuid() != 0 {
			return
		}
	}
	create(t, `Global\x`, 100, nil)
	global := must(samepage.Stat(`Global\x`, nil))(t)
	if !strings.HasPrefix(global.Path, dir) || filepath.Dir(global.Path) == filepath.Dir(local.Path) {
		t.Errorf("Global x is kept at %s, Local x at %s", global.Path, local.Path)
	}
}

func TestMission000_16_InheritOpened(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	creator := startAgent(t)
	creator.Want("ok 100", "create x 100")
	creator.Want("ok", "write 0 inherited")
	m := must(samepage.Open("x", nil))(t)
	closeLater(t, m)
	cmd := ipctest.Command(t, "agent")
	must(samepage.Inherit(cmd, "picture", m, samepage.ReadOnly))(t)
	c := ipctest.StartCmd(t, cmd)
	c.Want("ok 100", "inherited picture")
	c.Want(`ok "inherited"`, "read 0 9")
	wantChildErr(t, c.Ask("write 0 x"), "ErrPermission")
}

func TestMission000_17_PartialViews(t *testing.T) {
	m := unnamed(t, 1<<20+7, nil)
	all := view(t, m, 0, 0, samepage.ReadWrite).Bytes()
	for i := range all {
		all[i] = byte(i*31 + i>>8)
	}
	g := int64(sys.Granularity())
	for _, r := range [][2]int64{
		{0, 1},
		{1, 1},
		{g - 1, 2},
		{g, g},
		{g + 1, 3 * g},
		{12_345, 0},
		{1<<20 + 6, 0},
		{1<<20 + 6, 1},
		{0, 1<<20 + 7},
	} {
		for _, a := range []samepage.Access{samepage.ReadWrite, samepage.ReadOnly, samepage.CopyOnWrite} {
			v := must(m.View(r[0], r[1], a))(t)
			n := r[1]
			if n == 0 {
				n = m.Size() - r[0]
			}
			if !bytes.Equal(v.Bytes(), all[r[0]:r[0]+n]) {
				t.Errorf("%v view of %d bytes at %d has other bytes", a, r[1], r[0])
			}
			ipctest.NoErr(t, v.Close())
		}
	}
	_, err := m.View(m.Size(), 0, samepage.ReadOnly)
	ipctest.WantErr(t, err, samepage.ErrZeroSize)
	_, err = m.View(0, m.Size()+1, samepage.ReadOnly)
	ipctest.WantErr(t, err, samepage.ErrRange, fmt.Sprint(m.Size()), fmt.Sprint(m.Size()+1))
	_, err = m.View(m.Size()+1, 0, samepage.ReadOnly)
	ipctest.WantErr(t, err, samepage.ErrRange)
	_, err = m.View(-1, 0, samepage.ReadOnly)
	ipctest.WantErr(t, err, samepage.ErrNegativeSize)
	_, err = m.View(0, -1, samepage.ReadOnly)
	ipctest.WantErr(t, err, samepage.ErrNegativeSize)
	_, err = m.View(1<<62, 1<<62, samepage.ReadOnly)
	ipctest.WantErr(t, err, samepage.ErrRange)

	// Writes through a copy-on-write view stay in it.
	v := view(t, m, 0, 10, samepage.CopyOnWrite)
	v.Bytes()[0] ^= 0xff
	if v.Bytes()[0] == all[0] {
		t.Error("a copy-on-write view shows its write to others")
	}
}

func TestMission000_18_ModeMismatch(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	create(t, "x", 100, nil)
	m := must(samepage.Open("x", &samepage.Options{Access: samepage.ReadOnly}))(t)
	closeLater(t, m)
	_, err := m.View(0, 0, samepage.ReadWrite)
	ipctest.WantErr(t, err, fs.ErrPermission, "read-only", "read-write")
	_, err = m.WriteAt([]byte("x"), 0)
	ipctest.WantErr(t, err, fs.ErrPermission, "read-only")
	v := view(t, m, 0, 0, samepage.ReadOnly)
	_, err = v.WriteAt([]byte("x"), 0)
	ipctest.WantErr(t, err, fs.ErrPermission, "read-only")
	view(t, m, 0, 0, samepage.CopyOnWrite).Bytes()[0] = 1
	if v.Bytes()[0] != 0 {
		t.Error("a copy-on-write view of a memory open for reading has written it")
	}
	_, err = samepage.Open("x", &samepage.Options{Access: samepage.CopyOnWrite})
	ipctest.WantErr(t, err, fs.ErrInvalid, "copy-on-write")
}

func TestMission000_19_CloseAndUseAfterClose(t *testing.T) {
	m := unnamed(t, 1<<16, nil)
	v := must(m.View(0, 0, samepage.ReadWrite))(t)
	err := m.Close()
	ipctest.WantErr(t, err, samepage.ErrBusy, "views open: 1", "mission_000_test.go:")
	ipctest.NoErr(t, v.Close())
	ipctest.NoErr(t, v.Close())
	if v.Bytes() != nil || v.Len() != 0 {
		t.Errorf("a closed view has %d bytes", v.Len())
	}
	var b [1]byte
	_, err = v.ReadAt(b[:], 0)
	ipctest.WantErr(t, err, samepage.ErrClosed)
	_, err = v.WriteAt(b[:], 0)
	ipctest.WantErr(t, err, samepage.ErrClosed)
	ipctest.WantErr(t, v.Flush(), samepage.ErrClosed)
	_, err = v.Uint32(0)
	ipctest.WantErr(t, err, samepage.ErrClosed)
	ipctest.NoErr(t, m.Close())
	ipctest.NoErr(t, m.Close())
	_, err = m.View(0, 0, samepage.ReadOnly)
	ipctest.WantErr(t, err, samepage.ErrClosed)
	_, err = m.ReadAt(b[:], 0)
	ipctest.WantErr(t, err, samepage.ErrClosed)
	_, err = m.WriteAt(b[:], 0)
	ipctest.WantErr(t, err, samepage.ErrClosed)
	ipctest.WantErr(t, m.Flush(), samepage.ErrClosed)
	_, err = samepage.Grant(os.Getpid(), m, samepage.ReadOnly)
	ipctest.WantErr(t, err, samepage.ErrClosed)
	_, err = samepage.Inherit(ipctest.Command(t, "agent"), "x", m, samepage.ReadOnly)
	ipctest.WantErr(t, err, samepage.ErrClosed)
}

func TestMission000_20_NoCollision(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	name := fmt.Sprintf("samepage-test-%d", os.Getpid())
	theirs := create(t, name, 8192, &samepage.Options{Exact: true}) // a program that took the bare name
	ours := create(t, name, 100, nil)
	if ours.ID() == theirs.ID() || ours.Size() != 100 {
		t.Errorf("%v is %v", ours, theirs)
	}
	must(ours.WriteAt([]byte("ours"), 0))(t)
	var b [4]byte
	must(theirs.ReadAt(b[:], 0))(t)
	if b != [4]byte{} {
		t.Errorf("the bare name has %q", b)
	}
	if onLinux() {
		closeMem(t, theirs)
		ipctest.NoErr(t, samepage.Remove(name, &samepage.Options{Exact: true}))
	}
}

func TestMission000_21_PagedFile(t *testing.T) {
	if testing.Short() {
		t.Skip("writes 400 MB")
	}
	path := filepath.Join(ipctest.Dir(t), "big")
	f := must(os.Create(path))(t)
	want := sha256.New()
	block := make([]byte, 1<<20)
	for i := range 400 {
		for j := 0; j < len(block); j += 64 {
			copy(block[j:], fmt.Sprintf("%d.%d", i, j))
		}
		must(f.Write(block))(t)
		want.Write(block)
	}
	must(f.WriteString("and an odd end"))(t)
	want.Write([]byte("and an odd end"))
	ipctest.NoErr(t, f.Close())

	samepage.ResetMappedPeak()
	m := must(samepage.MapFile(path, 0, &samepage.Options{Access: samepage.ReadOnly}))(t)
	got := sha256.New()
	must(io.Copy(got, io.NewSectionReader(m, 0, m.Size())))(t)
	if !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		t.Error("the hash through windows is not that of the file")
	}
	if peak := samepage.MappedPeak(); peak > 16<<20 || peak == 0 {
		t.Errorf("%d bytes were mapped at a time, want at most 16 MiB", peak)
	}
	closeMem(t, m)
	if now := samepage.MappedNow(); now != 0 {
		t.Errorf("%d bytes stay mapped after Close", now)
	}
}

func TestMission000_21_Alignment(t *testing.T) {
	o := must(sys.CreateUnnamed(&sys.Spec{Size: 1 << 20}))(t)
	defer o.Close()
	_, err := o.Map(4096+1, 100, layout.ReadWrite)
	ipctest.WantErr(t, err, samepage.ErrAlignment, "4097")
	m := unnamed(t, 1<<20, nil) // the library aligns by itself
	view(t, m, 4097, 100, samepage.ReadWrite)
	v := view(t, m, 2, 100, samepage.ReadWrite)
	_, err = v.Uint32(0)
	ipctest.WantErr(t, err, samepage.ErrAlignment)
	must(v.Uint32(2))(t).Store(7)
	_, err = v.Uint64(2)
	ipctest.WantErr(t, err, samepage.ErrAlignment)
	must(v.Uint64(6))(t).Store(1 << 40)
	_, err = v.Uint32(98)
	ipctest.WantErr(t, err, samepage.ErrRange)
}

func TestMission000_22_Notification(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	m := create(t, "job", 4096, nil)
	status := must(view(t, m, 0, 0, samepage.ReadWrite).Uint32(16))(t)
	e := must(ipcsync.CreateEvent("job", nil))(t)
	defer e.Close()
	c := startAgent(t)
	c.Want("ok 4096", "open job")
	c.Want("ok 4096", "view rw 0 0")
	c.Want("ok", "event open job")
	c.Want("ok", `write 100 "the result"`)
	c.Want("ok", "store 16 1")
	c.Want("ok", "set job")
	ctx, cancel := context.WithTimeout(context.Background(), ipctest.Patience)
	defer cancel()
	ipctest.NoErr(t, e.Wait(ctx))
	var b [10]byte
	must(m.ReadAt(b[:], 100))(t)
	if status.Load() != 1 || string(b[:]) != "the result" {
		t.Errorf("after the event the status is %d and the data %q", status.Load(), b)
	}
}

// A process that waits does not poll, and uses less than 1 % of CPU.
func TestMission000_22_IdleWaitUsesNoCPU(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 11 s")
	}
	ipctest.NeedNames(t)
	ipctest.Store(t)
	e := must(ipcsync.CreateEvent("never", nil))(t)
	defer e.Close()
	c := startAgent(t)
	c.Want("ok", "event open never")
	c.Send("rest never")
	ipctest.WantIdle(t, c)
}

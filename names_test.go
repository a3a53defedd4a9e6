package samepage_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/ipcsync"
)

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

func TestMission001_02_OneServer(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	path := filepath.Join(ipctest.Dir(t), "zj.dat")
	m := create(t, "ZJ", 1<<20, &samepage.Options{File: path})
	must(m.WriteAt([]byte(hello), 0))(t)
	c := startAgent(t)
	wantChildErr(t, c.Ask("create ZJ 1048576 file=%s", path), "ErrExist")
	wantChildErr(t, c.Ask("create ZJ 4096"), "ErrExist")
	c.Want("ok 1048576", "open ZJ")
	c.Want(fmt.Sprintf("ok %q", hello), "read 0 %d", len(hello))
}

func TestMission003_24_LongAndUTF8Names(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	c := startAgent(t)
	for _, name := range []string{
		strings.Repeat("n", 200),
		strings.Repeat("图", 66) + "像",
		"base工程 · кадр · 画像 😀",
		"CON", "nul.txt", "a:b", "a b", ".", "..", "-rf *", "trailing.", "trailing ", "%n\n\"'<>|?",
	} {
		if len(name) > 200 {
			name = name[:len(name)-3]
		}
		m := must(samepage.Create(name, 100, nil))(t)
		must(m.WriteAt([]byte("named"), 0))(t)
		c.Want("ok 100", "open %q", name)
		c.Want(`ok "named"`, "read 0 5")
		c.Want("ok", "close")
		wantNames(t, "memory:"+name)
		closeMem(t, m)
		wantNames(t)
	}
	// Names differ by case on every system.
	create(t, "Case", 1, nil)
	if m := create(t, "case", 2, nil); m.Size() != 2 {
		t.Errorf("case is %v", m)
	}
}

// The result of List can be written as JSON and read back.
func TestInfoAsJSON(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	create(t, "x", 1000, nil)
	before := must(samepage.List())(t)
	b := must(json.Marshal(before))(t)
	var after []samepage.Info
	ipctest.NoErr(t, json.Unmarshal(b, &after))
	if again := must(json.Marshal(after))(t); !bytes.Equal(again, b) {
		t.Errorf("%s reads back as %s", b, again)
	}
	for _, bad := range []string{`[{"kind":"sofa"}]`, `[{"scope":"x"}]`, `[{"lifetime":"x"}]`, `[{"id":"12"}]`} {
		if json.Unmarshal([]byte(bad), &after) == nil {
			t.Errorf("%s is read", bad)
		}
	}
}

// Many processes make, open and close one name. Each of them gets it in turn.
func TestOneNameForAll(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	var wg sync.WaitGroup
	var errs ipctest.ErrCount
	var rounds atomic.Int64
	end := time.Now().Add(time.Second)
	for range 6 {
		wg.Go(func() {
			for mine := 0; time.Now().Before(end) || mine == 0; {
				m, _, err := samepage.OpenOrCreate("x", 4096, nil)
				if err == nil {
					err = m.Close()
				}
				if err != nil {
					errs.Add(err, "")
					return
				}
				mine++
				rounds.Add(1)
			}
		})
	}
	wg.Wait()
	errs.Report(t)
	t.Logf("%d rounds", rounds.Load())
	wantNames(t)
}

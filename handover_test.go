package samepage_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/internal/sys/process"
	"samepage/layout"
)

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

func TestMission001_13_InheritableOpen(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	path := filepath.Join(ipctest.Dir(t), "zj.dat")
	server := startAgent(t)
	server.Want("ok 1048576", "create ZJ 1048576 file=%s", path)
	server.Want("ok", "write 0 %q", hello)
	m := must(samepage.Open("ZJ", nil))(t)
	cmd := ipctest.Command(t, "agent")
	must(samepage.Inherit(cmd, "ZJ", m, samepage.ReadWrite))(t)
	c := ipctest.StartCmd(t, cmd)
	closeMem(t, m)
	c.Want("ok 1048576", "inherited ZJ")
	c.Want(fmt.Sprintf("ok %q", hello), "read 0 %d", len(hello))
	c.Want("ok", `write 0 "J"`)
	server.Want(`ok "Jello"`, "read 0 5")
	// The child is a user of the name as any other.
	server.Kill()
	closeMem(t, must(samepage.Open("ZJ", nil))(t))
	c.Want("ok", "close")
	_, err := samepage.Open("ZJ", nil)
	ipctest.WantErr(t, err, fs.ErrNotExist)
}

func needHandOver(t *testing.T) {
	t.Helper()
	ipctest.NeedNames(t)
}

func TestMission004_03_NamelessEndToEnd(t *testing.T) {
	needHandOver(t)
	m := unnamed(t, 5001, nil)
	must(m.WriteAt([]byte("no name"), 0))(t)
	c, _ := inheritor(t, m, samepage.ReadWrite)
	c.Want("ok 5001", "inherited x")
	c.Want(`ok "no name"`, "read 0 7")
	c.Want("ok", `write 5000 "!"`)
	var b [1]byte
	must(m.ReadAt(b[:], 5000))(t)
	if b[0] != '!' {
		t.Errorf("the child wrote !, the parent reads %q", b)
	}
}

func TestMission004_04_05_OnlyTheChosen(t *testing.T) {
	needHandOver(t)
	chosen, other := unnamed(t, 1000, nil), unnamed(t, 1000, nil)
	sibling := ipctest.Command(t, "agent")
	otherToken := must(samepage.Inherit(sibling, "x", other, samepage.ReadWrite))(t)
	c, _ := inheritor(t, chosen, samepage.ReadWrite)
	// The other one's token is sound, but this child has not inherited it.
	wantChildErr(t, c.Ask("attach %s", otherToken), "ErrBadToken")
	wantChildErr(t, c.Ask("inherited other"), "ErrNotExist")
	c.Want("ok 1000", "inherited x")

	// A child to which nothing is given has nothing.
	plain := startAgent(t)
	wantChildErr(t, plain.Ask("attach %s", otherToken), "ErrBadToken")
	wantChildErr(t, plain.Ask("inherited x"), "ErrNotExist")
	if onLinux() {
		for _, child := range []*ipctest.Child{c, plain} {
			fds := must(os.ReadDir(fmt.Sprintf("/proc/%d/fd", child.PID())))(t)
			memfds := 0
			for _, fd := range fds {
				link, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", child.PID(), fd.Name()))
				if strings.HasPrefix(link, "/memfd:samepage") {
					memfds++
				}
			}
			if want := map[*ipctest.Child]int{c: 1, plain: 0}[child]; memfds != want {
				t.Errorf("child has %d unnamed memories open, want %d", memfds, want)
			}
		}
	}
	c2 := ipctest.StartCmd(t, sibling)
	c2.Want("ok 1000", "inherited x")

	// Two to one child.
	cmd := ipctest.Command(t, "agent")
	must(samepage.Inherit(cmd, "a label = with blanks", chosen, samepage.ReadOnly))(t)
	must(samepage.Inherit(cmd, "b", other, samepage.ReadWrite))(t)
	must(chosen.WriteAt([]byte("chosen"), 0))(t)
	must(other.WriteAt([]byte("other!"), 0))(t)
	c3 := ipctest.StartCmd(t, cmd)
	c3.Want("ok 1000", "inherited b")
	c3.Want(`ok "other!"`, "read 0 6")
	c3.Want("ok 1000", `inherited "a label = with blanks"`)
	c3.Want(`ok "chosen"`, "read 0 6")
}

func TestMission004_06_HandleValue(t *testing.T) {
	needHandOver(t)
	m := unnamed(t, 1000, nil)
	c, token := inheritor(t, m, samepage.ReadWrite)
	tok := must(layout.ParseToken(token))(t)
	if onLinux() {
		if tok.Number != 3 {
			t.Errorf("the first file of a child is descriptor %d, want 3", tok.Number)
		}
		link := must(os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", c.PID(), tok.Number)))(t)
		if !strings.HasPrefix(link, "/memfd:samepage") {
			t.Errorf("descriptor %d of the child is %s", tok.Number, link)
		}
	}
	c.Want("ok 1000", "attach %s", token) // the number in the token is the child's
}

func TestMission004_07_TokenAsArgument(t *testing.T) {
	needHandOver(t)
	m := unnamed(t, 1000, nil)
	must(m.WriteAt([]byte("by argv"), 0))(t)
	cmd := ipctest.Command(t, "agent")
	token := must(samepage.Inherit(cmd, "x", m, samepage.ReadOnly))(t)
	cmd.Args = append(cmd.Args, "--shm="+token)
	c := ipctest.StartCmd(t, cmd)
	args := c.Ask("args")
	_, arg, ok := strings.Cut(args, "--shm=")
	if !ok {
		t.Fatalf("child has arguments %s", args)
	}
	c.Want("ok 1000", "attach %s", strings.TrimRight(arg, `"]`))
	c.Want(`ok "by argv"`, "read 0 7")
}

func TestMission004_08_TokenInEnvironment(t *testing.T) {
	needHandOver(t)
	m := unnamed(t, 1000, nil)
	c, token := inheritor(t, m, samepage.ReadOnly)
	c.Want(fmt.Sprintf("ok %q", "x="+token), "env SAMEPAGE_INHERIT")
	c.Want("ok 1000", "inherited x")
	c.Want(`ok ""`, "env SAMEPAGE_INHERIT")
	wantChildErr(t, c.Ask("inherited x"), "ErrNotExist")
}

func TestMission004_09_ChildOutlivesParent(t *testing.T) {
	needHandOver(t)
	ipctest.Store(t)
	m := must(samepage.CreateUnnamed(1<<20, nil))(t)
	must(m.WriteAt([]byte("still here"), 1000))(t)
	c, _ := inheritor(t, m, samepage.ReadWrite)
	closeMem(t, m) // the parent is out before the child looks
	c.Want("ok 1048576", "inherited x")
	c.Want(`ok "still here"`, "read 1000 10")

	named := must(samepage.Create("n", 1000, nil))(t)
	c2, _ := inheritor(t, named, samepage.ReadWrite)
	closeMem(t, named)
	_, err := samepage.Open("n", nil) // nobody else: the name went
	ipctest.WantErr(t, err, fs.ErrNotExist)
	c2.Want("ok 1000", "inherited x") // but not the object
}

func TestMission004_10_NoLeakInChild(t *testing.T) {
	needHandOver(t)
	cmd := ipctest.Command(t, "agent")
	for i := range 20 {
		must(samepage.Inherit(cmd, fmt.Sprint(i), unnamed(t, 1000, nil), samepage.ReadWrite))(t)
	}
	c := ipctest.StartCmd(t, cmd)
	var h0, h1, maps int
	must(fmt.Sscanf(c.Ask("usage"), "ok %d %d", &h0, &maps))(t)
	for i := range 20 {
		c.Want("ok 1000", "inherited %d", i)
		c.Want("ok 1000", "view rw 0 0")
		c.Want("ok", "unview")
		c.Want("ok", "close")
	}
	must(fmt.Sscanf(c.Ask("usage"), "ok %d %d", &h1, &maps))(t)
	if h1 > h0-10 { // the 20 that it came with are closed; threads of the runtime have some of their own
		t.Errorf("child has %d handles after closing all, %d with 20 inherited ones", h1, h0)
	}
}

func TestMission004_11_Grant(t *testing.T) {
	needHandOver(t)
	ipctest.Store(t)
	m := unnamed(t, 100_000, nil)
	v := view(t, m, 0, 0, samepage.ReadWrite)
	copy(v.Bytes(), "granted")
	c := startAgent(t)
	c.Want("ok 100000", "attach %s", must(samepage.Grant(c.PID(), m, samepage.ReadWrite))(t))
	c.Want(`ok "granted"`, "read 0 7")
	c.Want("ok", `write 0 "G"`)
	if v.Bytes()[0] != 'G' {
		t.Error("a read-write grant cannot be written")
	}

	reader := startAgent(t)
	reader.Want("ok 100000", "attach %s", must(samepage.Grant(reader.PID(), m, samepage.ReadOnly))(t))
	reader.Want(`ok "Granted"`, "read 0 7")
	wantChildErr(t, reader.Ask(`write 0 "x"`), "ErrPermission")
	wantChildErr(t, reader.Ask("view rw 0 0"), "ErrPermission")
	reader.Want("ok 100000", "view ro 0 0")
	// The granter still writes, in views and by WriteAt.
	view(t, m, 50_000, 10, samepage.ReadWrite).Bytes()[0] = 'W'
	must(m.WriteAt([]byte("!"), 50_001))(t)
	reader.Want(`ok "W!"`, "read 50000 2")

	// A named object, too; and from a child to its parent.
	n := create(t, "n", 1000, nil)
	c.Want("ok 1000", "attach %s", must(samepage.Grant(c.PID(), n, samepage.ReadOnly))(t))
	c.Want("ok 500", "create mine 500")
	c.Want("ok", `write 0 "child"`)
	token, ok := strings.CutPrefix(c.Ask("grant %d rw", os.Getpid()), "ok ")
	if !ok {
		t.Fatal(token)
	}
	o := must(samepage.Attach(token))(t)
	closeLater(t, o)
	var b [5]byte
	must(o.ReadAt(b[:], 0))(t)
	if string(b[:]) != "child" || o.Name() != "mine" {
		t.Errorf("from the child came %v with %q", o, b)
	}
	// It is a user like any other: the name stays when the child dies.
	c.Kill()
	closeMem(t, must(samepage.Open("mine", nil))(t))
}

func TestMission004_12_GrantErrors(t *testing.T) {
	needHandOver(t)
	m := must(samepage.CreateUnnamed(1000, nil))(t)
	c, other := startAgent(t), startAgent(t)
	token := must(samepage.Grant(c.PID(), m, samepage.ReadWrite))(t)
	wantChildErr(t, c.Ask("attach x"), "ErrBadToken")
	wantChildErr(t, c.Ask("inherited x"), "ErrNotExist")
	var h0, h1, maps int
	must(fmt.Sscanf(c.Ask("usage"), "ok %d %d", &h0, &maps))(t)

	// Ten times: what one of them left would be ten, and threads of the runtime have a few of
	// their own.
	for range 10 {
		wantChildErr(t, other.Ask("attach %s", token), "ErrBadToken") // not its token
		for _, bad := range []string{
			"", "x", "samepage1-", token[:len(token)-1], token + "A", strings.ToUpper(token), token[:20] + string(token[20]^1) + token[21:],
		} {
			wantChildErr(t, c.Ask("attach %q", bad), "ErrBadToken")
		}
		// A token that is well formed but names another object, or nonsense.
		tok := *must(layout.ParseToken(token))(t)
		for _, f := range []func(*layout.Token){
			func(x *layout.Token) { x.ID[3] ^= 1; x.Number = 0 },
			func(x *layout.Token) { x.Number = 1 << 40 },
			func(x *layout.Token) { x.Number = 999_999 },
			func(x *layout.Token) { x.Size = 1 << 30 },
		} {
			bad := tok
			f(&bad)
			wantChildErr(t, c.Ask("attach %s", bad.String()), "ErrBadToken")
		}
		stale := tok
		stale.From.Start++
		wantChildErr(t, c.Ask("attach %s", stale.String()), "ErrPeerNotStarted")
	}
	for _, pid := range []int{0, -1, 1 << 22} {
		_, err := samepage.Grant(pid, m, samepage.ReadOnly)
		ipctest.WantErr(t, err, samepage.ErrPeerNotStarted, fmt.Sprint(pid))
	}
	dead := startAgent(t)
	pid := dead.PID()
	dead.Kill()
	_, err := samepage.Grant(pid, m, samepage.ReadOnly)
	ipctest.WantErr(t, err, samepage.ErrPeerNotStarted, fmt.Sprint(pid))
	_, err = samepage.Grant(c.PID(), m, samepage.CopyOnWrite)
	ipctest.WantErr(t, err, fs.ErrInvalid)

	must(fmt.Sscanf(c.Ask("usage"), "ok %d %d", &h1, &maps))(t)
	if h1 > h0+8 {
		t.Errorf("bad tokens left %d handles in the process", h1-h0)
	}
	closeMem(t, m)
	wantChildErr(t, c.Ask("attach %s", token), "ErrBadToken") // the granter has closed it

	granter := startAgent(t)
	granter.Want("ok 7", "create g 7")
	token = strings.TrimPrefix(granter.Ask("grant %d ro", os.Getpid()), "ok ")
	granter.Kill()
	_, err = samepage.Attach(token)
	ipctest.WantErr(t, err, samepage.ErrPeerNotStarted)
}

func TestMission004_12_GrantToAnotherUser(t *testing.T) {
	needHandOver(t)
	m := unnamed(t, 1000, nil)
	c := needOtherUser(t)
	// The other user may not look into this process.
	token := must(samepage.Grant(c.PID(), m, samepage.ReadOnly))(t)
	wantChildErr(t, c.Ask("attach %s", token), "ErrPermission")
}

func TestMission004_13_ArgumentsArriveIntact(t *testing.T) {
	cmd := ipctest.Command(t, "args")
	want := []string{"plain", "with blanks", `quo"ted \"twice\"`, `back\slash\`, "图像 ü", "", "tab\there", "%PATH% $HOME"}
	cmd.Args = append(cmd.Args, want...)
	given := fmt.Sprintf("%q", cmd.Args)
	if runtime.GOOS != "linux" && runtime.GOOS != "windows" {
		t.Skip("no hand-over")
	}
	must(samepage.Inherit(cmd, "x", unnamed(t, 10, nil), samepage.ReadOnly))(t)
	if fmt.Sprintf("%q", cmd.Args) != given {
		t.Error("Inherit has changed the caller's arguments")
	}
	c := ipctest.StartCmd(t, cmd)
	if got := c.Line(); got != fmt.Sprintf("%q", want) {
		t.Errorf("child has arguments %s, want %q", got, want)
	}
}

func TestMission004_14_StartLikeSelf(t *testing.T) {
	c := startAgent(t)
	c.Send("spawn hello") // its standard output is this test's pipe
	if got := c.Line(); got != "hello, hidden false" {
		t.Errorf("grandchild says %q", got)
	}
	if got := c.Line(); got != "ok" {
		t.Error(got)
	}
	cmd := ipctest.Command(t, "agent")
	process.HideWindow(cmd)
	hidden := ipctest.StartCmd(t, cmd)
	hidden.Send("spawn hello")
	if got, want := hidden.Line(), fmt.Sprintf("hello, hidden %v", runtime.GOOS == "windows"); got != want {
		t.Errorf("grandchild of a hidden child says %q, want %q", got, want)
	}
}

// After a read-only grant a view and its memory are closed at the same time. The view gives back
// only its own mapping.
func TestCloseAfterReadOnlyGrant(t *testing.T) {
	needHandOver(t)
	for range 300 {
		m := must(samepage.CreateUnnamed(1<<20, nil))(t)
		must(samepage.Grant(os.Getpid(), m, samepage.ReadOnly))(t)
		v := must(m.View(0, 0, samepage.ReadWrite))(t)
		other := unnamed(t, 1<<20, nil)
		done := make(chan error, 1)
		go func() { done <- v.Close() }()
		for m.Close() != nil {
			continue
		}
		w := must(other.View(0, 0, samepage.ReadWrite))(t) // likely to take the place
		ipctest.NoErr(t, <-done)
		w.Bytes()[1<<19] = 1
		ipctest.NoErr(t, w.Close())
	}
}

// Writing goes on while the memory is granted read-only, and a Memory that is open read-write can
// still be read.
func TestWriteWhileGranting(t *testing.T) {
	needHandOver(t)
	for range 20 {
		m := must(samepage.CreateUnnamed(20<<20, &samepage.Options{Sparse: true}))(t)
		var wg sync.WaitGroup
		var bad atomic.Value
		wg.Go(func() {
			for i := range int64(40) {
				if _, err := m.WriteAt([]byte("x"), i%5<<22); err != nil {
					bad.Store(err)
				}
			}
		})
		wg.Go(func() {
			if _, err := samepage.Grant(os.Getpid(), m, samepage.ReadOnly); err != nil {
				bad.Store(err)
			}
		})
		wg.Wait()
		if err := bad.Load(); err != nil {
			t.Fatal(err)
		}
		closeMem(t, m)
	}
	m := unnamed(t, 100, nil)
	c, _ := inheritor(t, m, samepage.ReadWrite)
	c.Want("ok 100", "inherited x")
	must(samepage.Grant(os.Getpid(), m, samepage.ReadOnly))(t)
	c.Want(`ok "\x00"`, "read 0 1")
}

// Many goroutines ask for inherited memory at the same time. One of them gets it, and nothing else
// is closed.
func TestInheritedIsTakenOnce(t *testing.T) {
	needHandOver(t)
	x, y := unnamed(t, 100, nil), unnamed(t, 100, nil)
	for range 10 {
		cmd := ipctest.Command(t, "taker")
		must(samepage.Inherit(cmd, "x", x, samepage.ReadWrite))(t)
		must(samepage.Inherit(cmd, "y", y, samepage.ReadOnly))(t)
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Fatalf("%s %v", out, err)
		}
	}
}

func init() { helpers["taker"] = taker }

func taker([]string) {
	var taken atomic.Int32
	var takers, others sync.WaitGroup
	var stop atomic.Bool
	for range 2 { // somebody opens files all the while
		others.Go(func() {
			for !stop.Load() {
				f, err := os.Open(os.DevNull)
				if err != nil {
					continue
				}
				_, err = f.Stat()
				if cerr := f.Close(); err != nil || cerr != nil {
					fmt.Println("another descriptor was closed:", err, cerr)
				}
			}
		})
	}
	for range 8 {
		takers.Go(func() {
			if _, err := samepage.Inherited("x"); err == nil {
				taken.Add(1)
			}
		})
	}
	takers.Go(func() {
		if _, err := samepage.Inherited("y"); err != nil {
			fmt.Println(err)
		}
	})
	takers.Wait()
	stop.Store(true)
	others.Wait()
	if taken.Load() != 1 {
		fmt.Println("taken", taken.Load(), "times")
	}
	if v, ok := os.LookupEnv("SAMEPAGE_INHERIT"); ok {
		fmt.Println("left in the environment:", v)
	}
}

// The giver cannot use its child's token, and an invented token does not close descriptors of this
// process.
func TestTokenTakesNothingOfOurs(t *testing.T) {
	needHandOver(t)
	ipctest.Store(t)
	m := unnamed(t, 100, nil)
	cmd := ipctest.Command(t, "agent")
	token := must(samepage.Inherit(cmd, "x", m, samepage.ReadWrite))(t)
	_, err := samepage.Attach(token)
	ipctest.WantErr(t, err, samepage.ErrBadToken)
	c := ipctest.StartCmd(t, cmd)
	c.Want("ok 100", "inherited x")

	n := create(t, "n", 100, nil)
	for number := range uint64(100) {
		forged := &layout.Token{Access: layout.ReadOnly, Number: number, ID: layout.ID(n.ID()), Size: 100}
		_, err := samepage.Attach(forged.String())
		ipctest.WantErr(t, err, samepage.ErrBadToken)
	}
	must(samepage.Stat("n", nil))(t)
	view(t, n, 0, 0, samepage.ReadWrite)
}

// A pair that another process has left in the environment does not hide the new pair.
func TestInheritReplacesStalePair(t *testing.T) {
	needHandOver(t)
	m := unnamed(t, 100, nil)
	cmd := ipctest.Command(t, "agent")
	cmd.Env = append(cmd.Env, "SAMEPAGE_INHERIT=x="+(&layout.Token{Number: 77, Size: 1}).String())
	must(samepage.Inherit(cmd, "x", m, samepage.ReadWrite))(t)
	c := ipctest.StartCmd(t, cmd)
	c.Want("ok 100", "inherited x")
}

func TestInheritAgainAndAgain(t *testing.T) {
	needHandOver(t)
	ipctest.Store(t)
	m := create(t, "x", 100, nil)
	h0, _, err := process.Usage()
	ipctest.NoErr(t, err)
	for range 200 {
		must(samepage.Inherit(ipctest.Command(t, "agent"), "x", m, samepage.ReadOnly))(t)
	}
	h1, _, err := process.Usage()
	ipctest.NoErr(t, err)
	if h1 > h0+100 { // threads of the runtime have some of their own
		t.Errorf("200 preparations leave %d handles", h1-h0)
	}
}

// The receiver of a file is one of its users: nobody else can open the file exclusively.
func TestExclusiveAfterHandOver(t *testing.T) {
	needHandOver(t)
	path := filepath.Join(ipctest.Dir(t), "f")
	m := must(samepage.MapFile(path, 100, nil))(t)
	c, _ := inheritor(t, m, samepage.ReadWrite)
	c.Want("ok 100", "inherited x")
	closeMem(t, m)
	_, err := samepage.MapFile(path, 0, &samepage.Options{Exclusive: true})
	ipctest.WantErr(t, err, samepage.ErrBusy, path)
	c.Want("ok", "write 0 x")
	c.Want("ok", "close")
	closeMem(t, must(samepage.MapFile(path, 0, &samepage.Options{Exclusive: true}))(t))
}

package sys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"samepage/internal/ipctest"
	"samepage/internal/sys/process"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// The last one out takes the name along, whoever it is, and a name is free
// again at once.
func TestLastOneOut(t *testing.T) {
	inStore(t)
	for _, words := range []string{"x", "x sparse", "x event"} {
		s := spec(strings.Fields(words))
		a := must(Create(s))(t)
		_, err := Create(s)
		wantErr(t, err, fs.ErrExist)
		b := must(Open(s))(t)
		if b.Size != 5000 || b.ID != a.ID || b.Key != a.Key {
			t.Errorf("%s: opened %d bytes, %v, %q; made %d, %v, %q", words, b.Size, b.ID, b.Key, a.Size, a.ID, a.Key)
		}
		v := must(a.Map(0, 5000, layout.ReadWrite))(t)
		copy(v, words)
		noErr(t, a.Unmap(v))
		closeObject(t, a)
		v = must(b.Map(0, 5000, layout.CopyOnWrite))(t)
		if string(v[:len(words)]) != words || v[4999] != 0 {
			t.Errorf("%s: bytes are %q", words, v[:len(words)])
		}
		noErr(t, b.Unmap(v))
		closeObject(t, b)
		_, err = Open(s)
		wantErr(t, err, fs.ErrNotExist)
		wantFiles(t, 0)
	}
}

// A death leaves the name free, and Clean and Create take away the rest.
func TestDeath(t *testing.T) {
	inStore(t)
	for _, words := range []string{"x", "x sparse", "x event"} {
		s := spec(strings.Fields(words))
		c := startPeer(t)
		c.Want("ok", "create %s", words)
		if l := must(List(layout.Local))(t); len(l) != 1 || l[0].Name != "x" || !l[0].InUse || l[0].Size != 5000 {
			t.Errorf("%s: listed %+v", words, l)
		}
		d := startPeer(t)
		d.Want("ok", "open %s", words)
		c.Kill()
		if i := must(Stat(s))(t); !i.InUse {
			t.Errorf("%s: nobody uses it: %+v", words, i)
		}
		d.Kill()
		_, err := Open(s)
		wantErr(t, err, fs.ErrNotExist)

		c = startPeer(t)
		c.Want("ok", "create %s", words)
		c.Kill()
		closeObject(t, must(Create(s))(t))

		c = startPeer(t)
		c.Want("ok", "create %s", words)
		c.Kill()
		found := must(Clean(layout.Local, true))(t)
		if len(found) == 0 || found[0].Removed || found[0].Reason == "" {
			t.Errorf("%s: dry run found %+v", words, found)
		}
		if l := must(List(layout.Local))(t); len(l) != 0 {
			t.Errorf("%s: listed %+v", words, l)
		}
		if found := must(Clean(layout.Local, false))(t); len(found) == 0 || !found[0].Removed {
			t.Errorf("%s: cleaned %+v", words, found)
		}
		wantFiles(t, 0)
	}
}

func TestPersist(t *testing.T) {
	inStore(t)
	s := spec([]string{"x", "persist"})
	c := startPeer(t)
	c.Want("ok", "create x persist")
	c.Want("ok", "map")
	c.Want("ok", "poke hello")
	wantErr(t, Remove(s), syserr.ErrBusy)
	c.Kill()
	if l := must(List(layout.Local))(t); len(l) != 1 || l[0].InUse || l[0].Lifetime != layout.Persist {
		t.Errorf("listed %+v", l)
	}
	if found := must(Clean(layout.Local, false))(t); len(found) != 0 {
		t.Errorf("cleaned %+v", found)
	}
	_, err := Create(s)
	wantErr(t, err, fs.ErrExist)
	o := must(Open(&Spec{Name: "x", Access: layout.ReadOnly}))(t)
	if o.Lifetime != layout.Persist {
		t.Errorf("lifetime is %v", o.Lifetime)
	}
	if b := mapAll(t, o, layout.ReadOnly); string(b[:5]) != "hello" {
		t.Errorf("bytes are %q", b[:5])
	}
	_, err = o.Map(0, 1, layout.ReadWrite)
	wantErr(t, err, fs.ErrPermission)
	d := startPeer(t)
	d.Want("ok", "open x")
	closeObject(t, o)
	wantErr(t, Remove(s), syserr.ErrBusy)
	d.Want("ok", "close")
	noErr(t, Remove(s))
	wantErr(t, Remove(s), fs.ErrNotExist)
}

// Nobody who comes, goes or looks at a name blocks others, and nothing stays.
func TestComeAndGo(t *testing.T) {
	inStore(t)
	patiently(t)
	s := &Spec{Name: "x", Size: 64}
	var wg sync.WaitGroup
	end := time.Now().Add(time.Second)
	for i := range 6 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for time.Now().Before(end) {
				var o *Object
				var err error
				switch i {
				case 0:
					_, err = List(layout.Local)
				case 1:
					_, err = Clean(layout.Local, false)
				case 2, 3:
					o, err = Open(s)
				default:
					o, err = Create(s)
				}
				if o != nil {
					err = o.Close()
				}
				if err != nil && !errors.Is(err, fs.ErrExist) && !errors.Is(err, fs.ErrNotExist) {
					t.Error(err)
					return
				}
			}
		}()
	}
	wg.Wait()
	wantFiles(t, 0)
}

// Processes that come, go and are killed at any step leave a name that is free
// or in use, but nothing in between, and at most one at a time has made it.
func TestKilledAnywhere(t *testing.T) {
	inStore(t)
	patiently(t)
	for _, words := range []string{"x joins", "x sparse"} {
		for i := range 8 {
			var cs []*ipctest.Child
			for range 3 {
				cs = append(cs, startChurn(t, words))
			}
			time.Sleep(time.Duration(20+13*i) * time.Millisecond)
			for _, c := range cs {
				if _, err := process.Find(c.PID()); err != nil {
					t.Errorf("%s: a child has given up: %v", words, err)
				}
				c.Kill()
			}
			s := spec(strings.Fields(words))
			if _, err := Open(s); !errors.Is(err, fs.ErrNotExist) {
				t.Fatalf("%s: error is %v", words, err)
			}
			noErr(t, closed(Create(s)))
		}
		_, err := Clean(layout.Local, false)
		noErr(t, err)
		wantFiles(t, 0)
	}
}

// A name over a file: the file is made, extended, keeps its contents and stays.
func TestNameOverFile(t *testing.T) {
	inStore(t)
	path := filepath.Join(ipctest.Dir(t), "data")
	o := must(Create(&Spec{Name: "x", Size: 100, File: path}))(t)
	copy(mapAll(t, o, layout.ReadWrite), "first")
	c := startPeer(t)
	c.Want("ok", "open x")
	c.Want("ok", "map")
	c.Want("ok first", "peek first")
	c.Want("ok", "poke later")
	closeObject(t, o)
	c.Want("ok", "close")
	_, err := Open(&Spec{Name: "x"})
	wantErr(t, err, fs.ErrNotExist)
	c.Kill()
	if b := must(os.ReadFile(path))(t); len(b) != 100 || string(b[:5]) != "later" {
		t.Errorf("file has %d bytes, %q", len(b), b[:5])
	}
	o = must(Create(&Spec{Name: "x", Size: 200, File: path, Init: []byte("L")}))(t)
	if b := mapAll(t, o, layout.ReadOnly); string(b[:5]) != "Later" || b[199] != 0 {
		t.Errorf("bytes are %q", b[:5])
	}
	closeObject(t, o)
	wantFiles(t, 0)
}

func TestMapFile(t *testing.T) {
	path := filepath.Join(ipctest.Dir(t), "data")
	_, err := MapFile(&Spec{File: path})
	wantErr(t, err, fs.ErrNotExist)
	o := must(MapFile(&Spec{File: path, Size: 100}))(t)
	b := mapAll(t, o, layout.ReadWrite)
	copy(b, "hello")
	noErr(t, o.Flush(b[1:3]))
	closeObject(t, o)
	if got := must(os.ReadFile(path))(t); len(got) != 100 || string(got[:5]) != "hello" {
		t.Errorf("file has %d bytes, %q", len(got), got[:5])
	}
	o = must(MapFile(&Spec{File: path, Access: layout.ReadOnly}))(t)
	_, err = o.Map(0, 1, layout.ReadWrite)
	wantErr(t, err, fs.ErrPermission)
	_, err = o.Map(0, 101, layout.ReadOnly)
	wantErr(t, err, syserr.ErrTooLarge)
	_, err = o.Map(1, 1, layout.ReadOnly)
	wantErr(t, err, syserr.ErrAlignment)
	v := must(o.Map(0, 100, layout.CopyOnWrite))(t)
	copy(v, "HELLO")
	if got := must(os.ReadFile(path))(t); string(got[:5]) != "hello" {
		t.Errorf("file has %q after a write to a copy", got[:5])
	}
	noErr(t, o.Unmap(v))
	closeObject(t, o)

	if err := os.WriteFile(path+"0", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	o = must(MapFile(&Spec{File: path + "0"}))(t)
	if o.Size != 0 {
		t.Errorf("an empty file has %d bytes", o.Size)
	}
	closeObject(t, o)
	_, err = MapFile(&Spec{File: filepath.Dir(path), Access: layout.ReadOnly})
	wantErr(t, err, fs.ErrInvalid)
}

func TestExclusiveFile(t *testing.T) {
	ipctest.NeedNames(t)
	path := filepath.Join(ipctest.Dir(t), "data")
	a := must(MapFile(&Spec{File: path, Size: 100, Exclusive: true}))(t)
	_, err := MapFile(&Spec{File: path})
	wantErr(t, err, syserr.ErrBusy)
	closeObject(t, a)
	a = must(MapFile(&Spec{File: path}))(t)
	b := must(MapFile(&Spec{File: path}))(t)
	_, err = MapFile(&Spec{File: path, Exclusive: true})
	wantErr(t, err, syserr.ErrBusy)
	closeObject(t, a)
	closeObject(t, b)
	noErr(t, os.Remove(path))
}

func TestReadOnlyFile(t *testing.T) {
	if os.Getuid() == 0 {
		t.Skip("root may write to every file")
	}
	path := filepath.Join(ipctest.Dir(t), "data")
	if err := os.WriteFile(path, []byte("hello"), 0o400); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(path, 0o600) })
	_, err := MapFile(&Spec{File: path})
	wantErr(t, err, fs.ErrPermission)
	if !strings.Contains(fmt.Sprint(err), "read-write") || !strings.Contains(fmt.Sprint(err), "r--------") && runtime.GOOS != "windows" {
		t.Errorf("text %q names not both modes", err)
	}
	closeObject(t, must(MapFile(&Spec{File: path, Access: layout.ReadOnly}))(t))
}

// A child inherits what it was given and nothing else, also when the parent is
// gone; what a reader was given it cannot write.
func TestInherit(t *testing.T) {
	inStore(t)
	path := filepath.Join(ipctest.Dir(t), "data")
	makers := map[string]func() (*Object, error){
		"unnamed": func() (*Object, error) { return CreateUnnamed(&Spec{Size: 5000, Init: []byte("hello")}) },
		"sparse":  func() (*Object, error) { return CreateUnnamed(&Spec{Size: 5000, Init: []byte("hello"), Sparse: true}) },
		"named":   func() (*Object, error) { return Create(&Spec{Name: "x", Size: 5000, Init: []byte("hello")}) },
		"persist": func() (*Object, error) {
			return Create(&Spec{Name: "p", Size: 5000, Init: []byte("hello"), Lifetime: layout.Persist})
		},
		"overfile": func() (*Object, error) {
			return Create(&Spec{Name: "f", Size: 5000, Init: []byte("hello"), File: path})
		},
		"file": func() (*Object, error) { return MapFile(&Spec{File: path}) },
	}
	for _, name := range []string{"unnamed", "sparse", "named", "persist", "overfile", "file"} {
		t.Run(name, func(t *testing.T) {
			o := must(makers[name]())(t)
			cmd := ipctest.Command(t, "peer")
			rw := must(o.Inherit(cmd, layout.ReadWrite))(t)
			if again := must(o.Inherit(cmd, layout.ReadWrite))(t); again != rw {
				t.Errorf("number is %d, then %d", rw, again)
			}
			c := ready(t, ipctest.StartCmd(t, cmd))
			closeObject(t, o)
			c.Want("ok", "receive %v", tokenOf(o, rw, layout.ReadWrite))
			c.Want("ok 5000 false", "size")
			c.Want("ok", "map")
			c.Want("ok hello", "peek hello")
			wantPeerErr(t, c, "badtoken", "receive %v", tokenOf(o, rw, layout.ReadWrite))
			c.Want("ok", "close")
		})
	}
	noErr(t, Remove(&Spec{Name: "p"}))
	wantFiles(t, 0)
}

func TestGrant(t *testing.T) {
	inStore(t)
	o := must(CreateUnnamed(&Spec{Size: 5000, Init: []byte("hello")}))(t)
	defer o.Close()
	c, d := startPeer(t), startPeer(t)
	rw := must(grant(o, c.PID(), layout.ReadWrite))(t)
	wantPeerErr(t, d, "badtoken", "receive %v", rw) // it is for another process
	c.Want("ok", "receive %v", rw)
	c.Want("ok", "map")
	c.Want("ok hello", "peek hello")
	c.Want("ok", "poke later")
	if b := mapAll(t, o, layout.ReadOnly); string(b[:5]) != "later" {
		t.Errorf("bytes are %q", b[:5])
	}

	bad := *rw
	bad.ID[3] ^= 1
	wantPeerErr(t, c, "badtoken", "receive %v", &bad)
	bad = *rw
	bad.Size = 1 << 20
	wantPeerErr(t, c, "badtoken", "receive %v", &bad)
	other := must(CreateUnnamed(&Spec{Size: 5000}))(t)
	defer other.Close()
	bad = *rw
	bad.Number = must(grant(other, c.PID(), layout.ReadWrite))(t).Number
	wantPeerErr(t, c, "badtoken", "receive %v", &bad)
	bad = *rw
	bad.From.Start++
	wantPeerErr(t, c, "notstarted", "receive %v", &bad)

	d.Kill()
	_, err := process.Find(d.PID())
	wantErr(t, err, syserr.ErrPeerNotStarted)
	_, err = process.Find(0)
	wantErr(t, err, syserr.ErrPeerNotStarted)
	_, err = process.Find(1 << 30)
	wantErr(t, err, syserr.ErrPeerNotStarted)
}

// What was granted for reading cannot be written, whatever the token says.
func TestGrantReadOnly(t *testing.T) {
	ipctest.NeedNames(t)
	o := must(CreateUnnamed(&Spec{Size: 5000, Init: []byte("hello")}))(t)
	defer o.Close()
	c := startPeer(t)
	ro := must(grant(o, c.PID(), layout.ReadOnly))(t)
	c.Want("ok", "receive %v", ro)
	c.Want("ok", "map ro")
	c.Want("ok hello", "peek hello")
	wantPeerErr(t, c, "permission", "map")
	lie := *ro
	lie.Access = layout.ReadWrite
	if got := c.Ask("receive %v", &lie); got == "ok" {
		// Linux hands it out, and refuses to map it.
		wantPeerErr(t, c, "permission", "map")
	} else if !strings.HasPrefix(got, "ok err badtoken") && !strings.HasPrefix(got, "ok err permission") {
		t.Errorf("child answers %q", got)
	}
	wantPeerErr(t, c, "permission", "token %d", os.Getpid())
}

// Whatever number a token has, nothing is closed or blocked by looking at it.
func TestHostileNumbers(t *testing.T) {
	ipctest.NeedNames(t)
	o := must(CreateUnnamed(&Spec{Size: 5000}))(t)
	defer o.Close()
	n := must(o.Grant(layout.ReadWrite))(t)
	tok := tokenOf(o, n, layout.ReadWrite)
	for number := uint64(0); number < 2000; number++ {
		if number == n {
			continue
		}
		tok.Number = number
		if got, err := Receive(tok); err == nil && got.ID != o.ID {
			t.Errorf("number %d: received %v", number, got.ID)
		} else if err != nil && !errors.Is(err, layout.ErrBadToken) && !errors.Is(err, fs.ErrPermission) {
			t.Errorf("number %d: %v", number, err)
		}
	}
	for _, number := range []uint64{1<<31 - 4, 1<<32 - 4, 1<<64 - 4, 1<<64 - 8, 1 << 40} {
		tok.Number = number
		_, err := Receive(tok)
		wantErr(t, err, layout.ErrBadToken)
	}
	if _, err := os.Stdout.Stat(); err != nil {
		t.Errorf("standard output was closed: %v", err)
	}
}

// A ring wakes a sleeper of another process, and no sleep begins on a word that
// has changed.
func TestWaker(t *testing.T) {
	inStore(t)
	o := must(Create(&Spec{Name: "x", Kind: layout.Event, Size: 64}))(t)
	defer o.Close()
	b := mapAll(t, o, layout.ReadWrite)
	ringer := o.Wakers().NewRinger()
	defer ringer.Close()
	cs := []*ipctest.Child{startPeer(t), startPeer(t)}
	for i, c := range cs {
		c.Want("ok", "open x event")
		c.Want("ok", "map")
		c.Want("ok", "waker %d", i)
		c.Send("sleep")
	}
	time.Sleep(100 * time.Millisecond) // let them sleep; right without it, too
	atomic.StoreUint32(word(b), 1)
	for i, c := range cs {
		ringer.Ring(i, 7, word(b))
		if got := c.Line(); got != "ok" {
			t.Errorf("child says %q", got)
		}
	}
	w := must(o.Wakers().New(2, 7, word(b)))(t)
	w.Sleep(0)
	noErr(t, w.Close())
	ringer.Ring(3, 7, word(b)) // nobody is there
}

// Member locks exclude each other, are seen by others, and go with their holder.
func TestMemberLocks(t *testing.T) {
	inStore(t)
	o := must(Create(&Spec{Name: "x", Kind: layout.Event, Size: 64}))(t)
	defer o.Close()
	a, b := must(o.OpenLocks())(t), must(o.OpenLocks())(t)
	want := func(l *MemberLocks, i int, held bool) {
		t.Helper()
		if got, err := l.Held(i); got != held || err != nil {
			t.Errorf("byte %d is held: %v, %v, want %v", i, got, err, held)
		}
	}
	take := func(l *MemberLocks, i int, ok bool) {
		t.Helper()
		if got, err := l.Take(i); got != ok || err != nil {
			t.Errorf("taking byte %d is %v, %v, want %v", i, got, err, ok)
		}
	}
	take(a, 0, true)
	take(a, 1023, true)
	want(b, 0, true)
	want(b, 1, false)
	take(b, 0, false)
	take(b, 1, true)
	want(a, 1, true)
	a.Release(0)
	want(b, 0, false)
	want(b, 1023, true)
	noErr(t, a.Close())
	want(b, 1023, false)
	noErr(t, b.Close())
	if used := must(Stat(&Spec{Name: "x", Kind: layout.Event}))(t).InUse; !used {
		t.Error("the object's own presence went with a member's")
	}
}

// Opening and closing leaves no handle and no mapping behind.
func TestNoLeak(t *testing.T) {
	inStore(t)
	path := filepath.Join(ipctest.Dir(t), "data")
	round := func() {
		for _, words := range []string{"x", "x persist", "x sparse", "x event", "x file=" + path} {
			s := spec(strings.Fields(words))
			a := must(Create(s))(t)
			b := must(Open(s))(t)
			_, err := Create(s)
			wantErr(t, err, fs.ErrExist)
			v := must(b.Map(0, 10, layout.ReadWrite))(t)
			_, _ = a.Grant(layout.ReadOnly)
			_ = b.Unmap(v)
			closeObject(t, a)
			closeObject(t, b)
			_ = Remove(s)
			_, err = Open(s)
			wantErr(t, err, fs.ErrNotExist)
		}
		o := must(CreateUnnamed(&Spec{Size: 10}))(t)
		p := must(CreateUnnamed(&Spec{Size: 10}))(t)
		for _, n := range []uint64{1 << 20, must(p.Grant(layout.ReadWrite))(t)} {
			_, err := Receive(tokenOf(o, n, layout.ReadWrite))
			wantErr(t, err, layout.ErrBadToken)
		}
		closeObject(t, p)
		closeObject(t, o)
	}
	round()
	h0, m0, err := process.Usage()
	if err != nil {
		t.Skip(err)
	}
	const rounds = 100
	for range rounds {
		round()
	}
	h1, m1, _ := process.Usage()
	// Threads of the runtime have some of their own.
	if h1 > h0+rounds/2 || m1 > m0+rounds/2 {
		t.Errorf("after %d rounds handles were %d, and are %d; mappings %d, and %d", rounds, h0, h1, m0, m1)
	}
}

// Users that leave at once: one of them takes the name along.
func TestManyLeaveAtOnce(t *testing.T) {
	inStore(t)
	patiently(t)
	rounds := 3000
	if testing.Short() || runtime.GOOS == "windows" {
		rounds = 100
	}
	for range rounds {
		s := &Spec{Name: "x", Size: 100}
		var wg sync.WaitGroup
		begin := make(chan struct{})
		for _, o := range []*Object{must(Create(s))(t), must(Open(s))(t), must(Open(s))(t)} {
			wg.Go(func() {
				<-begin
				_ = o.Close()
			})
		}
		close(begin)
		wg.Wait()
		if left := must(Clean(layout.Local, false))(t); len(left) > 0 {
			t.Fatalf("left: %+v", left)
		}
	}
}

package samepage_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/internal/sys/process"
)

// SAMEPAGE_ROUNDS says how many rounds there are. What a round in 20 leaves is seen in 2,000.
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
	h0, m0, err := process.Usage()
	ipctest.NoErr(t, err)
	rounds := ipctest.Repeat(t, 10_000, 2_000, "SAMEPAGE_ROUNDS")
	for i := range rounds {
		round(i)
	}
	h1, m1, err := process.Usage()
	ipctest.NoErr(t, err)
	// The Go runtime itself maps a little now and then, and its threads have handles.
	if h1 > h0+100 || m1 > m0+50 {
		t.Errorf("after %d rounds %d handles and %d mappings, before %d and %d", rounds, h1, m1, h0, m0)
	}
	closeMem(t, keep)
	wantNames(t)
}

func TestMission000_19_CloseAndUseAfterClose(t *testing.T) {
	m := unnamed(t, 1<<16, nil)
	v := must(m.View(0, 0, samepage.ReadWrite))(t)
	err := m.Close()
	ipctest.WantErr(t, err, samepage.ErrUnreleased, "open views: 1", "lifetime_test.go:")
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

func TestMission001_09_Lifetime(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	for _, end := range []string{"close", "exit", "kill -9"} {
		server := startAgent(t)
		server.Want("ok 4096", "create ZJ 4096")
		wantNames(t, "memory:ZJ")
		switch end {
		case "close":
			server.Want("ok", "close")
		case "exit":
			server.Send("exit")
			server.Wait()
		default:
			server.Kill()
		}
		_, err := samepage.Open("ZJ", nil)
		ipctest.WantErr(t, err, fs.ErrNotExist, "ZJ")
		wantNames(t)
	}

	server := startAgent(t)
	server.Want("ok 4096", "create ZJ 4096 persist")
	server.Want("ok", "write 0 %q", hello)
	server.Kill()
	m := must(samepage.Open("ZJ", nil))(t)
	var b [len(hello)]byte
	must(m.ReadAt(b[:], 0))(t)
	if string(b[:]) != hello || m.Lifetime() != samepage.Persist {
		t.Errorf("what was to persist is %v with %q", m, b)
	}
	ipctest.WantErr(t, samepage.Remove("ZJ", nil), samepage.ErrBusy)
	closeMem(t, m)
	wantNames(t, "memory:ZJ")
	ipctest.NoErr(t, samepage.Remove("ZJ", nil))
	ipctest.WantErr(t, samepage.Remove("ZJ", nil), fs.ErrNotExist)
	wantNames(t)

	// A user that outlives the creator keeps the name.
	server = startAgent(t)
	server.Want("ok 4096", "create ZJ 4096")
	m = must(samepage.Open("ZJ", nil))(t)
	server.Kill()
	closeMem(t, must(samepage.Open("ZJ", nil))(t))
	closeMem(t, m)
	_, err := samepage.Open("ZJ", nil)
	ipctest.WantErr(t, err, fs.ErrNotExist)
}

func wantAlone(t *testing.T, m *samepage.Memory, want bool, when string) {
	t.Helper()
	if alone, err := m.Alone(); alone != want || err != nil {
		t.Errorf("%s: alone is %v, %v, want %v", when, alone, err, want)
	}
}

func TestAlone(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	for _, exact := range []bool{false, true} {
		if exact && runtime.GOOS != "windows" {
			continue
		}
		opts, word := &samepage.Options{Exact: exact}, ""
		if exact {
			word = " exact"
		}
		m := create(t, "alone", 4096, opts)
		wantAlone(t, m, true, "made")

		// Another Memory of this process, with the same access and another.
		for _, access := range []samepage.Access{samepage.ReadWrite, samepage.ReadOnly} {
			o := *opts
			o.Access = access
			other := must(samepage.Open("alone", &o))(t)
			wantAlone(t, m, false, "opened again")
			wantAlone(t, other, false, "the other one")
			ipctest.NoErr(t, other.Close())
			wantAlone(t, m, true, "closed again")
		}

		// Another process that closes, and one that is killed.
		c := startAgent(t)
		c.Want("ok 4096", "open alone%s", word)
		wantAlone(t, m, false, "opened by another process")
		c.Want("ok", "close")
		wantAlone(t, m, true, "closed by it")
		c.Want("ok 4096", "open alone%s", word)
		c.Want("ok 4096", "view rw 0 0")
		wantAlone(t, m, false, "opened by it again")
		c.Kill()
		wantAlone(t, m, true, "after its death")

		// Who asks is still present.
		c = startAgent(t)
		c.Want("ok 4096", "open alone%s", word)
		c.Want("ok", "close")
		c.Want("ok 4096", "open alone%s", word)
		wantAlone(t, m, false, "opened once more")
		closeMem(t, m)
		_, err := m.Alone()
		ipctest.WantErr(t, err, samepage.ErrClosed)
		c.Kill()
	}
}

// Several processes call Alone at the same time. They do not count each other as users, and keep
// their own presence.
func TestAloneTogether(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	m := create(t, "alone", 4096, nil)
	c := startAgent(t)
	for _, want := range []bool{true, false} {
		if !want {
			c.Want("ok 4096", "open alone")
		}
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for range 50 {
					if alone, err := m.Alone(); alone != want || err != nil {
						t.Errorf("alone is %v, %v, want %v", alone, err, want)
						return
					}
				}
			})
		}
		wg.Wait()
	}
}

func TestAloneUnsupported(t *testing.T) {
	path := filepath.Join(ipctest.Dir(t), "file")
	file := must(samepage.MapFile(path, 4096, nil))(t)
	defer file.Close()
	all := []*samepage.Memory{file}
	if runtime.GOOS == "linux" || runtime.GOOS == "windows" {
		all = append(all, unnamed(t, 4096, nil))
	}
	if runtime.GOOS == "linux" {
		name := "samepage-alone-" + filepath.Base(filepath.Dir(path))
		all = append(all, create(t, name, 4096, &samepage.Options{Exact: true}))
		t.Cleanup(func() { ipctest.NoErr(t, samepage.Remove(name, &samepage.Options{Exact: true})) })
	}
	for _, m := range all {
		_, err := m.Alone()
		ipctest.WantErr(t, err, errors.ErrUnsupported)
	}
}

// Many goroutines take views, read and close at the same time. The only error is ErrBusy, and
// nothing stays mapped.
func TestManyOpenAndClose(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	var wg sync.WaitGroup
	var errs ipctest.ErrCount
	rounds := ipctest.Repeat(t, 150, 30, "")
	before := mappedNow()
	for range 4 {
		wg.Go(func() {
			for range rounds {
				m, _, err := samepage.OpenOrCreate("x", 8192, nil)
				if err != nil {
					errs.Add(err, "")
					continue
				}
				v, err := m.View(0, 0, samepage.ReadWrite)
				if err != nil {
					errs.Add(err, "")
				}
				var both sync.WaitGroup
				both.Go(func() { _ = v.Close() })
				if _, err := m.ReadAt(make([]byte, 8), 0); err != nil {
					errs.Add(err, "")
				}
				for {
					err := m.Close()
					if err == nil {
						break
					}
					if !errors.Is(err, samepage.ErrBusy) {
						errs.Add(err, "")
						break
					}
				}
				both.Wait()
			}
		})
	}
	wg.Wait()
	errs.Report(t)
	if now := mappedNow(); now != before {
		t.Errorf("%d bytes stay mapped", now-before)
	}
	wantNames(t)
}

// ErrBusy has two cases that programs treat in another way.
func TestBusyCases(t *testing.T) {
	for _, err := range []error{samepage.ErrUnreleased, samepage.ErrTooManyPublishers} {
		if wrapped := fmt.Errorf("close: %w", err); !errors.Is(wrapped, samepage.ErrBusy) || !errors.Is(wrapped, err) {
			t.Errorf("%v does not match ErrBusy and itself", err)
		}
	}
	if errors.Is(samepage.ErrUnreleased, samepage.ErrTooManyPublishers) || errors.Is(samepage.ErrBusy, samepage.ErrUnreleased) {
		t.Error("two cases match each other")
	}
}

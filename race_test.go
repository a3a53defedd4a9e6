package samepage_test

import (
	"bytes"
	"encoding/json"
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

	"samepage"
	"samepage/internal/ipctest"
	"samepage/internal/sys"
	"samepage/layout"
)

// Several at once: goroutines and processes that make, open and close the same
// things.

// errCount counts what goes wrong in goroutines, by text.
type errCount struct {
	mu  sync.Mutex
	all map[string]int
}

func (c *errCount) add(err error, hide string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[string]int{}
	}
	text := err.Error()
	if hide != "" {
		text = strings.ReplaceAll(text, hide, "F")
	}
	c.all[text]++
}

func (c *errCount) report(t *testing.T) {
	t.Helper()
	for text, n := range c.all {
		t.Errorf("%d times: %s", n, text)
	}
}

// Creators over one missing file: one makes it, and it stays below them all.
func TestManyOverOneMissingFile(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	dir := ipctest.Dir(t)
	var errs errCount
	for i := range 60 {
		path := filepath.Join(dir, fmt.Sprint("f", i))
		var wg sync.WaitGroup
		ms := make([]*samepage.Memory, 4)
		for k := range ms {
			wg.Go(func() {
				var err error
				if k%2 == 0 {
					ms[k], _, err = samepage.OpenOrCreate("x", 4096, &samepage.Options{File: path})
				} else {
					ms[k], err = samepage.MapFile(path, 4096, nil)
				}
				if err != nil {
					errs.add(err, path)
				}
			})
		}
		wg.Wait()
		if _, err := os.Stat(path); err != nil {
			errs.add(err, path)
		}
		for _, m := range ms {
			if m != nil {
				closeMem(t, m)
			}
		}
	}
	errs.report(t)
}

// Views, reads and closing in many goroutines at once: no error but ErrBusy, and
// nothing stays mapped.
func TestManyOpenAndClose(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	var wg sync.WaitGroup
	var errs errCount
	rounds := ipctest.Repeat(t, 150, 30, "")
	before := samepage.MappedNow()
	for range 4 {
		wg.Go(func() {
			for range rounds {
				m, _, err := samepage.OpenOrCreate("x", 8192, nil)
				if err != nil {
					errs.add(err, "")
					continue
				}
				v, err := m.View(0, 0, samepage.ReadWrite)
				if err != nil {
					errs.add(err, "")
				}
				var both sync.WaitGroup
				both.Go(func() { _ = v.Close() })
				if _, err := m.ReadAt(make([]byte, 8), 0); err != nil {
					errs.add(err, "")
				}
				for {
					err := m.Close()
					if err == nil {
						break
					}
					if !errors.Is(err, samepage.ErrBusy) {
						errs.add(err, "")
						break
					}
				}
				both.Wait()
			}
		})
	}
	wg.Wait()
	errs.report(t)
	if now := samepage.MappedNow(); now != before {
		t.Errorf("%d bytes stay mapped", now-before)
	}
	wantNames(t)
}

// Closing a view while the memory is closed, after a read-only grant, gives back
// only what is its own.
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

// Writing goes on while somebody is granted the memory read-only; who has it for
// both can read on.
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

// What is inherited can be taken once, however many ask at a time, and nothing
// else is closed by that.
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

// The giver cannot take its child's token, and a token that was made up does not
// close what this process has open.
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
		forged := &layout.Token{Access: samepage.ReadOnly, Number: number, ID: n.ID(), Size: 100}
		_, err := samepage.Attach(forged.String())
		ipctest.WantErr(t, err, samepage.ErrBadToken)
	}
	must(samepage.Stat("n", nil))(t)
	view(t, n, 0, 0, samepage.ReadWrite)
}

// A pair that another process left in the environment does not hide the new one.
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
	h0, _, err := sys.Usage()
	ipctest.NoErr(t, err)
	for range 200 {
		must(samepage.Inherit(ipctest.Command(t, "agent"), "x", m, samepage.ReadOnly))(t)
	}
	h1, _, err := sys.Usage()
	ipctest.NoErr(t, err)
	if h1 > h0+100 { // threads of the runtime have some of their own
		t.Errorf("200 preparations leave %d handles", h1-h0)
	}
}

// The receiver of a file is one of its users: nobody else gets it alone.
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

// A name over a file that is gone stays a name.
func TestFileBelowIsGone(t *testing.T) {
	ipctest.NeedNames(t)
	if !onLinux() {
		t.Skip("a file that is mapped cannot be removed here")
	}
	ipctest.Store(t)
	file := filepath.Join(ipctest.Dir(t), "file")
	o := &samepage.Options{File: file}
	create(t, "x", 1000, o)
	ipctest.NoErr(t, os.Remove(file))
	_, _, err := samepage.OpenOrCreate("x", 1000, o)
	ipctest.WantErr(t, err, samepage.ErrCorrupt, "gone")
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file was made anew: %v", err)
	}
}

// What List tells can be written as JSON and read back.
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

// A name that all make, open and close comes to all of them in turn.
func TestOneNameForAll(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	var wg sync.WaitGroup
	var errs errCount
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
					errs.add(err, "")
					return
				}
				mine++
				rounds.Add(1)
			}
		})
	}
	wg.Wait()
	errs.report(t)
	t.Logf("%d rounds", rounds.Load())
	wantNames(t)
}

//go:build samepagedebug && (linux || windows)

package forgotten

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/internal/ipctest/memtest"
	"samepage/ipcsync"
	"samepage/legacy/baseimage"
	"samepage/legacy/sharememory"
)

// The debug build: go test -tags samepagedebug -run Debug.

func TestDebugLateUseFaults(t *testing.T) {
	m := memtest.Unnamed(t, 1<<16, nil)
	v := must(m.View(0, 0, samepage.ReadWrite))(t)
	b := v.Bytes()
	b[0] = 1
	ipctest.NoErr(t, v.Close())
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() == nil {
			t.Error("a closed view can be written")
		}
	}()
	// Another mapping must not have taken the place of the closed one.
	memtest.View(t, m, 0, 0, samepage.ReadWrite)
	b[0] = 2
}

// Everything that is dropped without Close is told, with where it was opened; what is
// closed is not.
func TestDebugForgotten(t *testing.T) {
	ipctest.Store(t)
	cmd := ipctest.Command(t, "forget", ipctest.Dir(t))
	r, w, err := os.Pipe()
	ipctest.NoErr(t, err)
	defer r.Close()
	cmd.Stderr = w
	c := ipctest.StartCmd(t, cmd)
	ipctest.NoErr(t, w.Close())
	late := time.AfterFunc(ipctest.Patience, c.Kill)
	defer late.Stop()
	if l := c.Line(); l != "forgotten" {
		t.Fatal(l)
	}
	want := map[string]forgettable{}
	for i, f := range debugForgettables() {
		want[forgottenName(i)] = f
	}
	// A line that says what it is, and one for each call on the stack that opened it.
	var name string
	var places []string
	told := func() {
		f, ok := want[name]
		if !ok {
			return
		}
		if n := len(slices.DeleteFunc(places, func(p string) bool { return !strings.Contains(p, "_test.go:") })); n == 0 {
			t.Errorf("%s: the stack does not lead to a test", f.kind)
		}
		delete(want, name)
	}
	in := bufio.NewScanner(r)
	for len(want) > 0 && in.Scan() {
		line := strings.TrimRight(in.Text(), "\r")
		if place, ok := strings.CutPrefix(line, "\t"); ok {
			if places = append(places, place); strings.Contains(place, "runtime/asm_") { // where all goroutines begin
				told()
			}
			continue
		}
		name, places = "", nil
		for at, f := range want {
			n := at
			if f.unnamed {
				n = "unnamed"
			}
			if strings.HasPrefix(line, "samepage: not closed: "+f.told+` "`) && strings.Contains(line, n) &&
				strings.HasSuffix(line, `"`+f.locked+"; opened at") {
				name = at
			}
		}
		if strings.Contains(line, "closed in time") {
			t.Errorf("told of what was closed: %s", line)
		}
	}
	for n, f := range want {
		t.Errorf("%s, %s: not told", n, f.kind)
	}
	c.Wait()
}

func forgottenName(i int) string { return fmt.Sprintf("forgotten-%d-", i) }

const staysLocked = ", which is locked and stays so until this process ends"

// debugForgettables are forgettables and those that need no descriptor of their own.
func debugForgettables() []forgettable {
	return append(slices.Clone(forgettables),
		forgettable{kind: "mutex that is locked", told: "mutex", locked: staysLocked, open: func(name, _ string) error {
			m, err := ipcsync.CreateMutex(name, nil)
			if err != nil {
				return err
			}
			return m.Lock(context.Background())
		}},
		forgettable{kind: "file lock", told: "file lock", open: func(name, dir string) error {
			_, err := sharememory.NewFileLock(name, &sharememory.FileLockOptions{Dir: dir})
			return err
		}},
		forgettable{kind: "file lock that is held", told: "file lock", locked: staysLocked, open: func(name, dir string) error {
			l, err := sharememory.NewFileLock(name, &sharememory.FileLockOptions{Dir: dir})
			if err != nil {
				return err
			}
			return l.RLock(context.Background())
		}},
		forgettable{kind: "sender", told: "sender of BaseImage", open: func(name, _ string) error {
			_, err := baseimage.CreateSender(&baseimage.SenderOptions{Name: name, Event: name + "event", Size: 4096})
			return err
		}},
	)
}

func init() {
	helpers["forget"] = func(args []string) {
		for i, f := range debugForgettables() {
			if err := f.open(forgottenName(i), args[0]); err != nil {
				fmt.Println(f.kind, err)
			}
		}
		if m, err := samepage.Create("closed in time", 100, nil); err == nil {
			_ = m.Close()
		}
		fmt.Println("forgotten")
		var over atomic.Bool // the input ends when what was forgotten has been told
		go func() {
			_, _ = os.Stdin.Read(make([]byte, 1))
			over.Store(true)
		}()
		for n := 0; n < 20 || !over.Load(); n++ {
			runtime.GC()
			time.Sleep(10 * time.Millisecond)
		}
	}
}

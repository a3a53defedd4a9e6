//go:build interop

package interop

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/legacy/sharememory"
)

// ShareMemory with C++ programs as writers and readers, in both layouts.

func eachShare(t *testing.T, f func(t *testing.T, o *sharememory.Options)) {
	for _, l := range []sharememory.Layout{sharememory.Seed, sharememory.Head} {
		t.Run(l.String(), func(t *testing.T) {
			t.Setenv("TMP", ipctest.Dir(t)) // for GetTempPath, of both sides
			f(t, &sharememory.Options{Layout: l})
		})
	}
}

// shareProgram starts the C++ writer or reader on the block v.
func shareProgram(t *testing.T, role string, o *sharememory.Options) *ipctest.Child {
	t.Helper()
	c := start(t, "sharememory_"+role)
	c.Want("ok", "%v v", o.Layout)
	return c
}

func shareWriter(t *testing.T, size int, o *sharememory.Options) *sharememory.Writer {
	t.Helper()
	w, _, err := sharememory.OpenOrCreateWriter(t.Context(), "v", size, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close() })
	return w
}

func shareReader(t *testing.T, o *sharememory.Options) *sharememory.Reader {
	t.Helper()
	r, err := sharememory.OpenReader("v", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

func shareWrite(t *testing.T, w *sharememory.Writer, s string) {
	t.Helper()
	if n, err := w.Write(t.Context(), []byte(s)); n != len(s) || err != nil {
		t.Fatalf("wrote %d bytes, %v", n, err)
	}
}

func wantShare(t *testing.T, r *sharememory.Reader, want string) {
	t.Helper()
	if b, err := r.Append(t.Context(), nil); string(b) != want || err != nil {
		t.Errorf("value %.80q, %v, want %q", b, err, want)
	}
}

func wantShareErr(t *testing.T, r *sharememory.Reader, want error) {
	t.Helper()
	b, err := r.Append(t.Context(), nil)
	if len(b) > 0 || !errors.Is(err, want) {
		t.Errorf("value %.80q, %v, want %v", b, err, want)
	}
}

// goUntil reads until value number goal comes, and fails the test for any that is not
// whole.
func goUntil(t *testing.T, r *sharememory.Reader, goal uint32) {
	t.Helper()
	reads, different, last := 0, 0, uint32(1<<31)
	for begun := time.Now(); ; reads++ {
		b, err := r.Append(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) == 0 {
			continue
		}
		n := uint32(1 << 31)
		if len(b) >= 8 {
			n = binary.LittleEndian.Uint32(b)
		}
		if string(b) != string(ipctest.Numbered(n)) {
			t.Fatalf("a torn value of %d bytes", len(b))
		}
		if n != last {
			different, last = different+1, n
		}
		if n == goal {
			t.Logf("%d reads, %d different values, none torn, in %v", reads+1, different, time.Since(begun))
			return
		}
	}
}

// 002-03, 002-29, 002-37: values from C++ to Go, to C++ beside it, and back, none wrong.
func TestMission002_37_ShareMemoryValues(t *testing.T) {
	eachShare(t, func(t *testing.T, o *sharememory.Options) {
		n := ipctest.Exchanges(t)
		// C++ writes, both read.
		writer := shareProgram(t, "writer", o)
		writer.Want("ok", "create 300")
		r := shareReader(t, o)
		wantShare(t, r, "") // none yet
		reader := shareProgram(t, "reader", o)
		reader.Want("ok", "open")
		reader.Want("ok good", "read")
		writer.Want("ok 11", "write hello world")
		wantShare(t, r, "hello world")
		reader.Want("ok good hello world", "read")
		writer.Want("ok 1", "loop 1")
		reader.Send("until %d", n-1)
		writer.Send("loop %d", n)
		goUntil(t, r, uint32(n-1))
		if l := writer.Line(); l != fmt.Sprint("ok ", n) {
			t.Error(l)
		}
		if l := reader.Line(); !strings.HasPrefix(l, "ok 0 0 ") {
			t.Errorf("torn, older and different values: %s", l)
		}

		// One by one, each way.
		w := shareWriter(t, 0, o)
		for i := range n {
			v := ipctest.Numbered(uint32(i))
			writer.Want(fmt.Sprint("ok ", len(v)), "number %d", i)
			wantShare(t, r, string(v))
			reader.Want(fmt.Sprint("ok ", i), "number")
			shareWrite(t, w, string(ipctest.Numbered(uint32(n+i))))
			wantShare(t, r, string(ipctest.Numbered(uint32(n+i))))
			reader.Want(fmt.Sprint("ok ", n+i), "number")
			if t.Failed() {
				t.Fatalf("at value %d", i)
			}
		}

		reader.Want("ok 0 0 1", "verify 100")

		// Go writes beside the C++ writer, C++ reads.
		if w.Cap() != 300 {
			t.Errorf("a C++ block has room for %d, want 300", w.Cap())
		}
		shareWrite(t, w, "by Go")
		reader.Want("ok good by Go", "read")
		shareWrite(t, w, "")
		reader.Want("ok good", "read")
		reader.Send("until %d", n-1)
		for i := range n {
			if _, err := w.Write(t.Context(), ipctest.Numbered(uint32(i))); err != nil {
				t.Fatal(err)
			}
		}
		if l := reader.Line(); !strings.HasPrefix(l, "ok 0 0 ") {
			t.Errorf("torn, older and different values: %s", l)
		}
		goUntil(t, r, uint32(n-1)) // Go to Go
	})
}

// A block that Go made is C++ programs' in every field, and lives as long as anybody has
// it.
func TestMission002_37_ShareMemoryMadeByGo(t *testing.T) {
	eachShare(t, func(t *testing.T, o *sharememory.Options) {
		w, err := sharememory.CreateWriter(t.Context(), "v", 100, o)
		if err != nil {
			t.Fatal(err)
		}
		reader := shareProgram(t, "reader", o)
		reader.Want("ok", "open")
		shareWrite(t, w, "made by Go")
		reader.Want("ok good made by Go", "read")
		reader.Want(map[string]string{"seed": "ok 133 32 10 1", "head": "ok 132 32 10 0"}[o.Layout.String()], "sizes")
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		r := shareReader(t, o) // by a name that only a C++ reader keeps
		wantShare(t, r, "made by Go")
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		reader.Wait()
		if _, err := sharememory.OpenReader("v", o); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("it is still there: %v", err)
		}
	})
}

// The lock excludes C++ and Go from each other as it does each from its own.
func TestMission002_37_ShareMemoryLock(t *testing.T) {
	eachShare(t, func(t *testing.T, o *sharememory.Options) {
		l, err := sharememory.NewLock("v", o)
		if err != nil {
			t.Fatal(err)
		}
		want := func(writing, reading bool) {
			t.Helper()
			w, err := l.TryLock()
			if w {
				err = errors.Join(err, l.Unlock())
			}
			r, rerr := l.TryRLock()
			if r {
				rerr = errors.Join(rerr, l.RUnlock())
			}
			if w != writing || r != reading || err != nil || rerr != nil {
				t.Errorf("available for writing %v, for reading %v, want %v, %v; %v, %v", w, r, writing, reading, err, rerr)
			}
		}
		c := shareProgram(t, "reader", o)
		want(true, true)
		c.Want("ok", "hold read")
		want(false, true)
		c.Want("ok", "release")
		c.Want("ok", "hold write")
		want(false, false)
		c.Want("ok", "release")
		want(true, true)

		// Go holds, C++ waits, and comes in.
		for _, held := range []struct{ lock, unlock func() error }{
			{func() error { return l.Lock(t.Context()) }, l.Unlock},
			{func() error { return l.RLock(t.Context()) }, l.RUnlock},
		} {
			if err := held.lock(); err != nil {
				t.Fatal(err)
			}
			c.Send("hold write")
			time.Sleep(50 * time.Millisecond)
			if err := held.unlock(); err != nil {
				t.Error(err)
			}
			if l := c.Line(); l != "ok" {
				t.Error(l)
			}
			want(false, false)
			c.Want("ok", "release")
		}
		if err := l.RLock(t.Context()); err != nil { // readers share
			t.Fatal(err)
		}
		c.Want("ok", "hold read")
		// A C++ writer that waits keeps Go's readers out, as a Go writer does C++ readers.
		writer := shareProgram(t, "writer", o)
		writer.Send("hold write")
		for begun := time.Now(); ; time.Sleep(time.Millisecond) {
			ok, err := l.TryRLock()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			_ = l.RUnlock()
			if time.Since(begun) > ipctest.Patience {
				t.Fatal("readers come in beside a writer that waits")
			}
		}
		want(false, false)
		_ = l.RUnlock()
		c.Want("ok", "release")
		if l := writer.Line(); l != "ok" {
			t.Error(l)
		}
		writer.Want("ok", "release")
		want(true, true)
	})
}

// The holder is killed, on either side, and the other one comes in.
func TestMission002_20_ShareMemoryKilledAcross(t *testing.T) {
	eachShare(t, func(t *testing.T, o *sharememory.Options) {
		l, err := sharememory.NewLock("v", o)
		if err != nil {
			t.Fatal(err)
		}
		tell := func(who string, took time.Duration) { t.Logf("%s came in %v after kill -9", who, took) }
		for _, held := range []string{"read", "write"} {
			c := shareProgram(t, "writer", o)
			c.Want("ok", "hold %s", held)
			locked := make(chan time.Time, 1)
			go func() {
				if err := l.Lock(t.Context()); err != nil {
					t.Error(err)
				}
				locked <- time.Now()
			}()
			time.Sleep(100 * time.Millisecond)
			killed := time.Now()
			c.Kill()
			select {
			case at := <-locked:
				tell("Go", at.Sub(killed))
			case <-time.After(ipctest.Patience):
				t.Fatal("Go never came in")
			}
			if err := l.Unlock(); err != nil {
				t.Error(err)
			}

			// And the other way round: a Go process holds.
			g := ipctest.Start(t, "sharelock", o.Layout.String(), held)
			if l := g.Line(); l != "ok" {
				t.Fatal(l)
			}
			w := shareProgram(t, "reader", o)
			w.Send("hold write")
			time.Sleep(100 * time.Millisecond)
			killed = time.Now()
			g.Kill()
			if l := w.Line(); l != "ok" {
				t.Error(l)
			}
			tell("C++", time.Since(killed))
			w.Want("ok", "release")
		}
	})
}

func init() {
	helpers["sharelock"] = func(args []string) {
		o := &sharememory.Options{}
		if args[0] == sharememory.Head.String() {
			o.Layout = sharememory.Head
		}
		l, err := sharememory.NewLock("v", o)
		if err == nil && args[1] == "read" {
			err = l.RLock(context.Background())
		} else if err == nil {
			err = l.Lock(context.Background())
		}
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println("ok")
		time.Sleep(2 * ipctest.Patience) // longer than the other one is waited for
	}
}

// What C++ programs do wrong is told, and healed by Go's next value.
func TestMission002_37_ShareMemoryMisbehaving(t *testing.T) {
	eachShare(t, func(t *testing.T, o *sharememory.Options) {
		c := shareProgram(t, "writer", o)
		c.Want("ok", "create 100")
		r := shareReader(t, o)
		w := shareWriter(t, 0, o)
		versions := []string{"header head 40", "garbage 165"}
		corrupts := []string{
			"header content 101", "header content -1", "header content 2147483647", "header content -2147483648",
			"header memory 0", "header memory 100000000", "header memory -5", "garbage 0",
		}
		if o.Layout == sharememory.Seed {
			versions = append(versions, "header tail 0", "header tail 7")
			corrupts = append(corrupts, "poke 5 7") // the byte behind the content
		}
		for want, all := range map[error][]string{
			samepage.ErrVersion: versions, samepage.ErrCorrupt: corrupts,
			samepage.ErrChecksum: {"poke 0 0", "header content 4"},
		} {
			for _, bad := range all {
				shareWrite(t, w, "value")
				c.Want("ok", "%s", bad)
				if bad == "header content 4" && o.Layout == sharememory.Seed {
					c.Want("ok", "poke 4 0") // so that only the checksum can tell
				}
				wantShareErr(t, r, want)
				st, err := r.Stat(t.Context())
				if err != nil || !errors.Is(st.Problem, want) {
					t.Errorf("after %s: %v, %v", bad, st.Problem, err)
				}
			}
		}
		shareWrite(t, w, "value")
		c.Want("ok", "header reserved 99") // which nobody reads
		wantShare(t, r, "value")

		// A second writer comes and clears the header: the value is gone, and the first one's
		// room is what it is, whatever the second says.
		second := shareProgram(t, "writer", o)
		second.Want("ok", "create 100000")
		wantShareErr(t, r, samepage.ErrCorrupt)
		if w.Cap() != 100 {
			t.Errorf("there is room for %d", w.Cap())
		}
		if _, err := w.Write(t.Context(), make([]byte, 101)); !errors.Is(err, samepage.ErrTooLarge) {
			t.Errorf("101 bytes are written: %v", err)
		}
		shareWrite(t, w, "healed")
		wantShare(t, r, "healed")
		second.Want("ok", "create 100")
		wantShare(t, r, "")
		second.Want("ok 3", "write new")
		wantShare(t, r, "new")
	})
}

// A C++ writer that ends in the middle of a value, with the lock.
func TestMission002_20_ShareMemoryDiesInMidWrite(t *testing.T) {
	eachShare(t, func(t *testing.T, o *sharememory.Options) {
		w := shareWriter(t, 100, o)
		r := shareReader(t, o)
		reader := shareProgram(t, "reader", o)
		reader.Want("ok", "open")
		shareWrite(t, w, "before it all")
		c := shareProgram(t, "writer", o)
		c.Want("ok", "create 100") // which clears the header
		c.Send("die AFTER THAT")
		if code := c.Wait().ExitCode(); code != 9 {
			t.Errorf("it ended with %d", code)
		}
		wantShareErr(t, r, samepage.ErrChecksum)
		if seed := o.Layout == sharememory.Seed; seed {
			reader.Want("ok bad AFTERe it ", "read") // as these programs do
		} else {
			reader.Want("err read -1", "read")
		}
		shareWrite(t, w, "after")
		wantShare(t, r, "after")
		reader.Want("ok good after", "read")
	})
}

// A lock file that cannot be opened: C++ programs go on as if they had the lock, Go's do
// not.
func TestMission002_36_ShareMemoryUnopenable(t *testing.T) {
	eachShare(t, func(t *testing.T, o *sharememory.Options) {
		c := shareProgram(t, "writer", o)
		c.Want("ok", "create 100")
		r := shareReader(t, o)
		w := shareWriter(t, 0, o)
		shareWrite(t, w, "value")
		st, err := r.Stat(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range []string{st.LockFile + ".wlc", st.LockFile + ".rlc"} {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(file, 0o700); err != nil {
				t.Fatal(err)
			}
			c.Want("ok", "hold write") // it has nothing
			c.Want("ok", "release")
			_, werr := w.Write(t.Context(), []byte("unlocked"))
			_, rerr := r.Append(t.Context(), nil)
			for _, err := range []error{werr, rerr} {
				if err == nil || errors.Is(err, samepage.ErrBusy) || !strings.Contains(err.Error(), filepath.Base(file)) {
					t.Errorf("without a lock: %v", err)
				}
			}
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			wantShare(t, r, "value")
		}
	})
}

// The command in both roles.
func TestCommandWithShareMemory(t *testing.T) {
	eachShare(t, func(t *testing.T, o *sharememory.Options) {
		layout := o.Layout.String()
		writer := shareProgram(t, "writer", o)
		writer.Want("ok", "create 100")
		writer.Want("ok 12", "write by a program")
		if got := samepageRun(t, "", "legacy", "sharememory", "read", "v", "--layout", layout); got != "by a program" {
			t.Errorf("read prints %q", got)
		}
		if got := samepageRun(t, "", "legacy", "sharememory", "stat", "v", "--layout", layout); !strings.Contains(got, "state      good") {
			t.Errorf("stat prints %s", got)
		}
		writer.Wait()

		cmd := exec.Command(program(t, "samepage"), "legacy", "sharememory", "write", "v", "--layout", layout, "--json")
		cmd.Stdin, cmd.Stderr = strings.NewReader("by the command"), os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}()
		var told struct{ Size, Capacity int }
		if err := json.NewDecoder(out).Decode(&told); err != nil || told.Size != 14 || told.Capacity != 14 {
			t.Fatalf("write prints %+v, %v", told, err)
		}
		reader := shareProgram(t, "reader", o)
		reader.Want("ok", "open")
		reader.Want("ok good by the command", "read")
	})
}

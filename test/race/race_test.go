//go:build race

// Package race tests what the race detector says of programs that use the objects of this
// project: nothing of those that are right, and what is wrong with the others. The
// goroutines are of one process, and so is the variable that they touch.
package race

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
)

func TestMain(m *testing.M) { ipctest.Main(m, map[string]func([]string){"program": runProgram}) }

var bg = context.Background()

// program is what two goroutines do with the variable.
type program struct {
	name string
	// make opens objects, and returns what the two do.
	make func(w *world) (first, second func())
	// waits: the second one waits for the first by what the program uses. Else it begins
	// when the first one has ended, and the detector is not told of that.
	waits bool
	// calls: on Windows the two make system calls between their touches, which Go itself
	// takes for an order of all goroutines. So nothing is reported there.
	calls bool
}

// world is what the goroutines of one program share.
type world struct {
	tb       testing.TB
	dir      string
	variable int
	order    *atomic.Uint32
}

// newWorld takes the word for the order from mapped memory, where the detector sees nothing.
func newWorld(tb testing.TB) *world {
	m := must(samepage.CreateUnnamed(4096, nil))(tb)
	v := must(m.View(0, 0, samepage.ReadWrite))(tb)
	tb.Cleanup(func() {
		no(tb, v.Close())
		no(tb, m.Close())
	})
	return &world{tb: tb, dir: ipctest.Dir(tb), order: must(v.Uint32(0))(tb)}
}

func (w *world) touch() { w.variable++ }

// reach and await have one goroutine wait for another in a way that proves nothing to the
// detector.
func (w *world) reach(step uint32) { w.order.Store(step) }

func (w *world) await(step uint32) {
	for w.order.Load() < step {
		runtime.Gosched()
	}
}

const ended = 1 << 20

func (p *program) run(tb testing.TB) {
	w := newWorld(tb)
	first, second := p.make(w)
	var both sync.WaitGroup
	both.Go(func() {
		first()
		w.reach(ended)
	})
	both.Go(func() {
		if !p.waits {
			w.await(ended)
		}
		second()
	})
	both.Wait()
}

// TestRightPrograms: the detector has nothing to say.
func TestRightPrograms(t *testing.T) {
	test(t, slices.Concat(right, rightMessages, rightCalls, rightBusy), func(t *testing.T, code int, out []byte) {
		if code != 0 {
			t.Errorf("exit code %d, want 0: %s", code, out)
		}
	})
}

// TestWrongPrograms: the detector reports the race, and nothing else.
func TestWrongPrograms(t *testing.T) {
	test(t, slices.Concat(wrong, wrongCalls), func(t *testing.T, code int, out []byte) {
		const raced = 66 // the detector's
		if code != raced || bytes.Count(out, []byte("WARNING: DATA RACE")) != 1 || !bytes.Contains(out, []byte("(*world).touch")) {
			t.Errorf("exit code %d, want %d and a report of one race, in touch: %s", code, raced, out)
		}
	})
}

// test runs each program in a process of its own: the detector tells the same but once.
func test(t *testing.T, programs []program, check func(t *testing.T, code int, out []byte)) {
	ipctest.NeedNames(t)
	for _, p := range programs {
		t.Run(p.name, func(t *testing.T) {
			if p.calls && runtime.GOOS == "windows" {
				t.Skip("here the detector takes each system call for an order")
			}
			t.Parallel()
			cmd := ipctest.Command(t, "program", p.name)
			cmd.Env = append(cmd.Env, "SAMEPAGE_DIR="+ipctest.Dir(t))
			out, err := cmd.CombinedOutput()
			if cmd.ProcessState == nil {
				t.Fatal(err)
			}
			check(t, cmd.ProcessState.ExitCode(), out)
		})
	}
}

// runProgram is the child.
func runProgram(args []string) {
	for _, p := range slices.Concat(right, rightMessages, rightCalls, rightBusy, wrong, wrongCalls) {
		if p.name == args[0] {
			c := &child{}
			p.run(c)
			for _, f := range slices.Backward(c.cleanups) {
				f()
			}
			return
		}
	}
	os.Exit(3)
}

// child is the testing.TB of a child.
type child struct {
	testing.TB
	cleanups []func()
}

func (*child) Helper()                      {}
func (*child) Errorf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }
func (*child) Fatalf(f string, args ...any) { panic(fmt.Sprintf(f, args...)) }
func (*child) Fatal(args ...any)            { panic(fmt.Sprint(args...)) }
func (c *child) Cleanup(f func())           { c.cleanups = append(c.cleanups, f) }

func no(tb testing.TB, err error) {
	if err != nil {
		tb.Helper()
		tb.Fatal(err)
	}
}

func must[T any](v T, err error) func(testing.TB) T {
	return func(tb testing.TB) T {
		tb.Helper()
		no(tb, err)
		return v
	}
}

package soak

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"runtime"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
)

// churn makes, maps, writes and closes objects until it is killed: some of its
// own, and one that all of them want. It tells when it has begun.
func churn(args []string) {
	own := args[0]
	for i := 0; ; i++ {
		m, err := samepage.Create(fmt.Sprintf("%s-%d", own, i%3), 1<<18, nil)
		if err == nil {
			err = use(m)
		}
		if err != nil {
			fmt.Println("own:", err)
			os.Exit(1)
		}
		m, existed, err := samepage.OpenOrCreate("common", 1<<18, nil)
		if err == nil && existed && m.Size() != 1<<18 {
			err = fmt.Errorf("it has %d bytes", m.Size())
		}
		if err == nil {
			err = use(m)
		}
		// Busy is one that is being taken away by a process killed, or
		// stopped, while it holds the name.
		if err != nil && !errors.Is(err, samepage.ErrBusy) {
			fmt.Println("common:", err)
			os.Exit(1)
		}
		if i == 0 {
			fmt.Println("ready")
		}
	}
}

func use(m *samepage.Memory) error {
	v, err := m.View(0, 0, samepage.ReadWrite)
	if err != nil {
		return err
	}
	v.Bytes()[0]++
	return errors.Join(v.Close(), m.Close())
}

// Killed at any moment, a process leaves nothing that List shows, nothing that
// is in the way of the next, and, once somebody has looked, no file.
func TestKilledUsersLeaveNothing(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	kills := ipctest.Repeat(t, 200, 40, "")
	const together = 4
	for k := 0; k < kills; k += together {
		var cs []*ipctest.Child
		for i := range together {
			cs = append(cs, ipctest.Start(t, "churn", fmt.Sprintf("churn%d", i)))
		}
		for _, c := range cs {
			if l := c.Line(); l != "ready" {
				t.Fatal(l)
			}
		}
		for _, c := range cs {
			time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
			c.Kill()
			if code := c.Cmd.ProcessState.ExitCode(); code == 1 && runtime.GOOS == "linux" {
				t.Error("a child ended before it was killed")
			}
		}
		wantNames(t)
		for i := range together {
			for j := range 3 {
				_, err := samepage.Open(fmt.Sprintf("churn%d-%d", i, j), nil)
				ipctest.WantErr(t, err, fs.ErrNotExist)
			}
		}
		m, err := samepage.Create("common", 4096, nil)
		ipctest.NoErr(t, err)
		var b [1]byte
		if _, err := m.ReadAt(b[:], 0); err != nil || b[0] != 0 {
			t.Errorf("a new object has %d, %v in it", b[0], err)
		}
		closeMem(t, m)
	}
	left := must(samepage.Leftovers())(t)
	if len(left) != 0 {
		t.Errorf("left over: %+v", left)
	}
}

// What a stopped process uses is not taken for dead, nor removed.
func TestCleanLeavesTheLiving(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	alive, dead := startAgent(t), startAgent(t)
	alive.Want("ok 100", "create alive 100")
	dead.Want("ok 100", "create dead 100")
	closeMem(t, must(samepage.Create("idle", 100, &samepage.Options{Lifetime: samepage.Persist}))(t))
	dead.Kill()
	tell := must(samepage.Leftovers())(t)
	if len(tell) != 1 || tell[0].Name != "dead" || tell[0].Removed || tell[0].Reason == "" {
		t.Errorf("a dry run tells %+v, want dead alone", tell)
	}
	did := must(samepage.Clean())(t)
	if len(did) != 1 || did[0].Name != "dead" || !did[0].Removed {
		t.Errorf("Clean tells %+v, want dead alone", did)
	}
	if again := must(samepage.Clean())(t); len(again) != 0 {
		t.Errorf("Clean finds %+v again", again)
	}
	wantNames(t, "memory:alive", "memory:idle")
	alive.Want("ok", "write 0 x")
	ipctest.NoErr(t, samepage.Remove("idle", nil))
}

package ipcsync_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/ipcsync"
)

// An owner that is stopped is alive: nobody gets its lock, however long it is stopped. Then it
// goes on and still holds the lock.
func TestStoppedOwnerIsAlive(t *testing.T) {
	ipctest.Store(t)
	m := newMutex(t, "m", nil)
	c := ipctest.Start(t, "mutex", "m", "hold")
	if l := c.Line(); l != "held" {
		t.Fatal(l)
	}
	c.Stop()
	got := make(chan error, 1)
	go func() { got <- m.Lock(bg) }()
	select { // several looks of the death watch
	case err := <-got:
		t.Fatalf("the lock of a stopped owner was taken: %v", err)
	case <-time.After(300 * time.Millisecond):
	}
	if ok, err := m.TryLock(); ok || err != nil {
		t.Errorf("TryLock of a stopped owner's lock is %v, %v", ok, err)
	}
	if left, err := samepage.Clean(); err != nil || len(left) != 0 {
		t.Errorf("Clean takes %v, %v", left, err)
	}
	c.Kill() // stopped, and killed so
	ipctest.WantErr(t, <-got, samepage.ErrOwnerDied)
	ipctest.NoErr(t, m.Consistent())
	ipctest.NoErr(t, m.Unlock())
}

// Process ids do not matter: a member in another pid namespace lives and dies like any other
// member.
func TestOtherPIDNamespace(t *testing.T) {
	apart := ipctest.PIDNamespace(t)
	ipctest.Store(t)
	m := newMutex(t, "m", nil)
	cmd := ipctest.Command(t, "mutex", "m", "hold")
	cmd.SysProcAttr = apart
	c := ipctest.StartCmd(t, cmd)
	if l := c.Line(); l != "held" {
		t.Fatal(l)
	}
	st, err := ipcsync.InspectMutex("m", nil)
	ipctest.NoErr(t, err)
	if len(st.Members) != 2 || !st.Members[1].Owner || !st.Members[1].Alive {
		t.Errorf("the mutex is %+v", st)
	}
	if a, b := st.Members[0], st.Members[1]; a.Foreign || a.Ended || !b.Foreign || b.Ended || b.PID != 1 {
		t.Errorf("the mutex is %+v", st)
	}
	if ok, err := m.TryLock(); ok || err != nil {
		t.Errorf("the lock of an owner in another pid namespace is free: %v, %v", ok, err)
	}
	c.Kill()
	err = m.Lock(bg)
	ipctest.WantErr(t, err, samepage.ErrOwnerDied, "process 1 of another pid namespace (")
	var died *ipcsync.OwnerDiedError
	if !errors.As(err, &died) || !died.Foreign || died.PID != 1 {
		t.Errorf("%+v died", died)
	}
	ipctest.NoErr(t, m.Consistent())
	ipctest.NoErr(t, m.Unlock())
}

// A child process inherits the descriptors of its parent. When the parent dies, its locks stay
// held. Inspect says that the holder has ended.
func TestDescriptorOutlivesItsProcess(t *testing.T) {
	store := ipctest.Store(t)
	m := newMutex(t, "m", nil)
	c := ipctest.Start(t, "mutex", "m", "hold")
	if l := c.Line(); l != "held" {
		t.Fatal(l)
	}
	giveBack := copyDescriptors(t, c.PID(), store)
	c.Kill()
	look := func() ipcsync.Member {
		t.Helper()
		st, err := ipcsync.InspectMutex("m", nil)
		ipctest.NoErr(t, err)
		if len(st.Members) != 2 || st.Members[0].Ended || st.Members[0].Foreign {
			t.Fatalf("the mutex is %+v", st)
		}
		return st.Members[1]
	}
	if h := look(); !h.Owner || !h.Alive || !h.Ended || h.Foreign || h.PID != c.PID() {
		t.Errorf("its holder is %+v", h)
	}
	giveBack()
	if h := look(); !h.Owner || h.Alive || h.Ended || h.Foreign {
		t.Errorf("its holder is %+v", h)
	}
	ipctest.WantErr(t, m.Lock(bg), samepage.ErrOwnerDied)
	ipctest.NoErr(t, errors.Join(m.Consistent(), m.Unlock()))
}

// copyDescriptors gives this process copies of those of another one that lie in dir.
func copyDescriptors(t *testing.T, pid int, dir string) (giveBack func()) {
	t.Helper()
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Skipf("no pidfd: %v", err)
	}
	defer unix.Close(fd)
	var copies []int
	all := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(all)
	ipctest.NoErr(t, err)
	for _, e := range entries {
		if to, err := os.Readlink(filepath.Join(all, e.Name())); err != nil || !strings.HasPrefix(to, dir) {
			continue
		}
		n, err := strconv.Atoi(e.Name())
		ipctest.NoErr(t, err)
		c, err := unix.PidfdGetfd(fd, n, 0)
		if err != nil {
			t.Skipf("no copy of a descriptor: %v", err)
		}
		copies = append(copies, c)
	}
	if len(copies) == 0 {
		t.Fatal("it has no descriptor of the store")
	}
	return func() {
		for _, c := range copies {
			_ = unix.Close(c)
		}
	}
}

// Hundreds of users are stopped or killed. Clean removes what the killed ones left, and nothing
// else.
func TestCleanAmongMany(t *testing.T) {
	ipctest.Store(t)
	n := 200
	if testing.Short() {
		n = 20
	}
	var makers, stopped []*ipctest.Child
	for i := range n {
		name := "m" + string(rune('a'+i%26)) + string(rune('a'+i/26))
		c := ipctest.Start(t, "maker", name)
		if l := c.Line(); l != "made" {
			t.Fatal(l)
		}
		makers = append(makers, c)
	}
	// Only now, for each that makes something takes away what those left who died before.
	for i, c := range makers {
		if i%2 == 0 {
			c.Kill()
			continue
		}
		c.Stop()
		stopped = append(stopped, c)
	}
	tell, err := samepage.Leftovers()
	ipctest.NoErr(t, err)
	did, err := samepage.Clean()
	ipctest.NoErr(t, err)
	if len(tell) != n/2 || len(did) != n/2 {
		t.Errorf("Clean tells of %d and takes %d, want %d", len(tell), len(did), n/2)
	}
	all, err := samepage.List()
	ipctest.NoErr(t, err)
	if len(all) != len(stopped) {
		t.Errorf("List shows %d, want %d", len(all), len(stopped))
	}
	for _, i := range all {
		if !i.InUse {
			t.Errorf("%s is not in use", i.Name)
		}
	}
}

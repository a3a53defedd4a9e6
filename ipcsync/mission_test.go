package ipcsync_test

import (
	"context"
	"errors"
	"fmt"
	"hash/crc64"
	"io/fs"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/ipcsync"
)

// Tests by the rows of docs/mission.md, for rows of which no other test of the
// package is.

// 002-20: the owner dies within a write, or behind it: the heir is told that it died,
// and judges by the checksum of the data which of the two it was.
func TestMission002_20_DataIsJudged(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	m := newMutex(t, "m", nil)
	data, err := samepage.Create("data", recordSize, nil)
	ipctest.NoErr(t, err)
	defer data.Close()
	v, err := data.View(0, 0, samepage.ReadWrite)
	ipctest.NoErr(t, err)
	defer v.Close()
	writeRecord(v.Bytes(), 1)
	for i, dies := range []string{"within", "behind", "within"} {
		c := ipctest.Start(t, "record", fmt.Sprint(i+2), dies)
		if l := c.Line(); l != "held" {
			t.Fatal(l)
		}
		c.Kill()
		ipctest.WantErr(t, m.Lock(bg), samepage.ErrOwnerDied)
		if n, whole := readRecord(v.Bytes()); whole != (dies == "behind") || whole && n != uint64(i+2) {
			t.Errorf("after a death %s the write the record is whole: %v, of write %d", dies, whole, n)
		}
		writeRecord(v.Bytes(), 1)
		ipctest.NoErr(t, m.Consistent())
		ipctest.NoErr(t, m.Unlock())
		ipctest.NoErr(t, m.Lock(bg))
		ipctest.NoErr(t, m.Unlock())
	}
}

var crcTable = crc64.MakeTable(crc64.ECMA)

// A record has the number of its write in all words but the last, which is the
// checksum of the others.
func writeRecord(b []byte, n uint64) {
	for i := 0; i < recordSize-8; i += 8 {
		setWord(b, i, n)
	}
	setWord(b, recordSize-8, crc64.Checksum(b[:recordSize-8], crcTable))
}

func readRecord(b []byte) (n uint64, whole bool) {
	return word(b, 0), word(b, recordSize-8) == crc64.Checksum(b[:recordSize-8], crcTable)
}

func recordWriter(args []string) {
	m, err := ipcsync.OpenMutex("m", nil)
	if err == nil {
		err = m.Lock(bg)
	}
	data, derr := samepage.Open("data", nil)
	if err = errors.Join(err, derr); err != nil {
		fmt.Println(err)
		return
	}
	v, err := data.View(0, 0, samepage.ReadWrite)
	if err != nil {
		fmt.Println(err)
		return
	}
	var n uint64
	_, _ = fmt.Sscan(args[0], &n)
	if args[1] == "within" {
		for i := 0; i < recordSize/2; i += 8 {
			setWord(v.Bytes(), i, n)
		}
	} else {
		writeRecord(v.Bytes(), n)
	}
	fmt.Println("held")
	time.Sleep(ipctest.Patience)
}

// 002-22: who asks a second time for what it has waits, as anybody else would, and
// spoils nothing by it. Read locks are counted.
func TestMission002_22_LockTwice(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	m := newMutex(t, "m", nil)
	rw, other := newRW(t, "m", nil), openRW(t, "m")
	ended, cancel := context.WithTimeout(bg, 0)
	defer cancel()
	waits := func(lock func(context.Context) error, try func() (bool, error)) {
		t.Helper()
		ok, err := try()
		ipctest.NoErr(t, err)
		if ok {
			t.Error("what it has is to be had once more")
		}
		ipctest.WantErr(t, lock(ended), os.ErrDeadlineExceeded)
	}
	ipctest.NoErr(t, m.Lock(bg))
	waits(m.Lock, m.TryLock)
	ipctest.NoErr(t, m.Unlock())
	ipctest.WantErr(t, m.Unlock(), samepage.ErrNotLocked)

	ipctest.NoErr(t, rw.Lock(bg))
	waits(rw.Lock, rw.TryLock)
	waits(rw.RLock, rw.TryRLock)
	ipctest.NoErr(t, rw.Unlock())
	ipctest.WantErr(t, rw.Unlock(), samepage.ErrNotLocked)

	ipctest.NoErr(t, rw.RLock(bg))
	ipctest.NoErr(t, rw.RLock(bg))
	waits(rw.Lock, rw.TryLock)
	ipctest.NoErr(t, rw.RUnlock())
	waits(other.Lock, other.TryLock) // one of the two is left
	ipctest.NoErr(t, rw.RUnlock())
	ipctest.WantErr(t, rw.RUnlock(), samepage.ErrNotLocked)
	ipctest.NoErr(t, other.Lock(bg))
	ipctest.NoErr(t, other.Unlock())
}

// 002-31: an event by name wakes another process, and is none of the system's of that
// name.
func TestMission002_31_NamedEvent(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	name := fmt.Sprintf("samepage-test-%d", os.Getpid())
	e := newEvent(t, name, nil)
	systems := newEvent(t, name, &ipcsync.EventOptions{Exact: true})
	if runtime.GOOS == "linux" {
		defer func() { _ = samepage.Remove(name, &samepage.Options{Exact: true}) }()
	}
	ipctest.NoErr(t, systems.Set())
	if try(t, e) {
		t.Error("ours is the system's")
	}
	c := ipctest.Start(t, "agent")
	c.Want("ok", "event open %s", name)
	c.Send("wait %s %v", name, ipctest.Patience)
	ipctest.NoErr(t, e.Set())
	if l := c.Line(); l != "ok" {
		t.Errorf("the other process's wait ends with %q", l)
	}
	woken := make(chan error, 1)
	go func() { woken <- e.Wait(bg) }()
	c.Want("ok", "set %s", name)
	ipctest.NoErr(t, <-woken)
	if !try(t, systems) {
		t.Error("the system's was ours")
	}
}

// 002-32: auto-reset: either process sets and resets, and one of them passes.
func TestMission002_32_SetResetWait(t *testing.T) {
	each(t, func(t *testing.T, name string, exact bool) {
		e := newEvent(t, name, &ipcsync.EventOptions{Exact: exact})
		c := ipctest.Start(t, "agent")
		c.Want("ok", "event open %s %s", name, map[bool]string{true: "exact"}[exact])
		ipctest.NoErr(t, e.Set())
		c.Want("ok true", "trywait %s", name)
		if try(t, e) {
			t.Error("both processes pass one set")
		}
		c.Want("ok", "set %s", name)
		ipctest.NoErr(t, e.Reset())
		c.Want("ok false", "trywait %s", name)
		ipctest.NoErr(t, e.Set())
		c.Want("ok", "reset %s", name)
		if try(t, e) {
			t.Error("the other process's reset leaves the event set")
		}
		c.Want("ok", "set %s", name)
		ipctest.NoErr(t, e.Wait(bg))
	})
}

// 003-16: rights to wait, set and reset are enough for an event to do all that, and
// less is an error of the opening, not of a later reset.
func TestMission003_16_LeastRights(t *testing.T) {
	ipctest.NeedNames(t)
	if runtime.GOOS == "linux" && os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
	for _, c := range []struct {
		name string
		sddl string // SYNCHRONIZE is 0x100000, EVENT_MODIFY_STATE 2
		perm fs.FileMode
		ok   bool
	}{
		{"enough", "D:(A;;0x100002;;;WD)", 0o666, true},
		{"only waiting", "D:(A;;0x100000;;;WD)", 0o444, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			ipctest.Store(t)
			name := fmt.Sprintf("samepage-test-%d", os.Getpid())
			newEvent(t, name, &ipcsync.EventOptions{Exact: true, SecurityDescriptor: c.sddl, Perm: c.perm})
			if runtime.GOOS == "linux" {
				defer func() { _ = samepage.Remove(name, &samepage.Options{Exact: true}) }()
			}
			a := ipctest.Start(t, "agent")
			if runtime.GOOS == "linux" {
				a.Want("ok", "user 65534")
			}
			got := a.Ask("event open %s exact owner=*", name)
			if !c.ok {
				if !strings.HasPrefix(got, "err ErrPermission") {
					t.Errorf("opening says %q, want ErrPermission", got)
				}
				return
			}
			if got != "ok" {
				t.Fatalf("opening says %q", got)
			}
			a.Want("ok", "set %s", name)
			a.Want("ok", "wait %s 1s", name)
			a.Want("ok", "set %s", name)
			a.Want("ok", "reset %s", name)
			a.Want("ok false", "trywait %s", name)
		})
	}
}

// 003-14: a wait ends with its context; and a consumer that also waits for a mutex
// that its producer holds for as long as it lives is told of the producer's death.
func TestMission003_14_ProducerDies(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	frame := newEvent(t, "frame", nil)
	ctx, cancel := context.WithTimeout(bg, time.Millisecond)
	defer cancel()
	ipctest.WantErr(t, frame.Wait(ctx), os.ErrDeadlineExceeded)

	alive := newMutex(t, "alive", nil)
	producer := ipctest.Start(t, "mutex", "alive", "hold")
	if l := producer.Line(); l != "held" {
		t.Fatal(l)
	}
	ipctest.NoErr(t, frame.Set())
	if i, err := ipcsync.WaitAny(bg, frame, alive); i != 0 || err != nil {
		t.Errorf("with a frame there WaitAny is %d, %v", i, err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := ipcsync.WaitAny(bg, frame, alive)
		ended <- err
	}()
	producer.Kill()
	select {
	case err := <-ended:
		ipctest.WantErr(t, err, samepage.ErrOwnerDied)
		ipctest.NoErr(t, alive.Unlock())
	case <-time.After(ipctest.Patience):
		t.Fatal("the consumer waits for a dead producer")
	}
}

// 003-21: the base process and the algorithm process are killed at any moment, in
// turn, and started again: the other one goes on, no frame is torn, and when both
// have ended there is nothing left.
func TestMission003_21_KillEitherSide(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	kills := ipctest.Repeat(t, 30, 6, "")
	sides := [2]*ipctest.Child{}
	start := func(i int) {
		sides[i] = ipctest.Start(t, [...]string{"base", "algorithm"}[i])
		if l := sides[i].Line(); l != "ready" {
			t.Fatal(l)
		}
	}
	count := func(c *ipctest.Child) (n int) {
		t.Helper()
		if l := c.Ask("count"); l == "" {
			t.Fatal("it says nothing")
		} else if _, err := fmt.Sscan(l, &n); err != nil {
			t.Fatal(l)
		}
		return n
	}
	start(0)
	start(1)
	for k := range kills {
		time.Sleep(time.Duration(rand.IntN(3000)) * time.Microsecond)
		sides[k%2].Kill()
		start(k % 2)
		for _, c := range sides {
			begun := time.Now()
			for first := count(c); count(c) < first+2; {
				if time.Since(begun) > ipctest.Patience {
					t.Fatalf("after kill %d one side stands still", k)
				}
				time.Sleep(100 * time.Microsecond)
			}
		}
	}
	for i, c := range sides {
		c.Send("end")
		if l := c.Line(); l != "ended" {
			t.Errorf("side %d: %s", i, l)
		}
		c.Wait()
	}
	left, err := samepage.List()
	ipctest.NoErr(t, err)
	if len(left) != 0 {
		t.Errorf("when both have ended there is %+v", left)
	}
}

// side is the base process, which makes frames, or the algorithm process, which takes
// them. Each makes what it does not find.
func side(step func(context.Context, *ipcsync.RWMutex, *ipcsync.Event, []byte) error) {
	fail := func(err error) {
		if err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
	}
	lock, _, err := ipcsync.OpenOrCreateRWMutex("image", nil)
	fail(err)
	event, _, err := ipcsync.OpenOrCreateEvent("image", nil)
	fail(err)
	mem, _, err := samepage.OpenOrCreate("image", 4*recordSize, nil)
	fail(err)
	v, err := mem.View(0, 0, samepage.ReadWrite)
	fail(err)
	fmt.Println("ready")
	ctx, cancel := context.WithCancel(bg)
	n := untilEnd(cancel)
	for ctx.Err() == nil {
		if err := step(ctx, lock, event, v.Bytes()); err != nil && !errors.Is(err, context.Canceled) {
			fail(err)
		}
		n.Add(1)
	}
	fail(errors.Join(v.Close(), mem.Close(), event.Close(), lock.Close()))
	fmt.Println("ended")
}

// base writes a frame of which each record is the same.
func base([]string) {
	n := uint64(0)
	side(func(ctx context.Context, lock *ipcsync.RWMutex, event *ipcsync.Event, b []byte) error {
		err := lock.Lock(ctx)
		if errors.Is(err, samepage.ErrOwnerDied) {
			err = lock.Consistent() // a whole frame is written now
		}
		if err != nil {
			return err
		}
		n++
		for i := range 4 {
			writeRecord(b[i*recordSize:], n)
			time.Sleep(50 * time.Microsecond) // most kills come within a frame
		}
		return errors.Join(lock.Unlock(), event.Set())
	})
}

// algorithm waits for a frame, but not long, and reads what is there.
func algorithm([]string) {
	side(func(ctx context.Context, lock *ipcsync.RWMutex, event *ipcsync.Event, b []byte) error {
		short, cancel := context.WithTimeout(ctx, time.Millisecond)
		defer cancel()
		if err := event.Wait(short); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		err := lock.RLock(ctx)
		died := errors.Is(err, samepage.ErrOwnerDied)
		if err != nil && !died {
			return err
		}
		first, _ := readRecord(b)
		for i := range 4 {
			n, whole := readRecord(b[i*recordSize:])
			if (!whole || n != first) && !died && first != 0 { // 0: there is no frame yet
				err = fmt.Errorf("torn: record %d is of frame %d, the first of %d", i, n, first)
			}
		}
		if died {
			err = nil // the base process writes it anew
		}
		return errors.Join(err, lock.RUnlock())
	})
}

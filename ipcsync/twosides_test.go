package ipcsync_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/ipcsync"
)

// 003-14: a wait ends with its context. The producer holds a mutex while it lives; a consumer that
// also waits for this mutex learns of the producer's death.
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

// 003-21: the base process and the algorithm process are killed in turn, at any moment, and
// started again. The other one goes on, no frame is torn, and after both have ended nothing is
// left.
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

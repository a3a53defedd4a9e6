package inspect_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"samepage"
	"samepage/cell"
	"samepage/inspect"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// A snapshot tells what members keep, the command lines of their processes, the bytes of messages,
// and what named readers have acknowledged.
func TestSnapshotFacts(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := must(pubsub.CreatePublisher("t", &pubsub.Options{MaxSize: 100, Holds: 3, NamedReaders: 2}))
	s := must(pubsub.OpenSubscriber("t", &pubsub.SubscriberOptions{Reader: "logger"}))
	for i := range 4 {
		ipctest.NoErr(t, p.Send(bg, make([]byte, 10*(i+1))))
	}
	var held []*pubsub.Held
	for range 2 {
		m := must(s.Take(bg))
		held = append(held, must(m.Hold()))
	}
	ipctest.NoErr(t, s.Acknowledge())
	w := must(cell.CreateWriter("c", 8, &cell.Options{Holds: 1}))
	ipctest.NoErr(t, w.Set(bg, []byte("value")))
	r := must(cell.OpenReader("c", nil))
	v, ok, err := r.Load()
	ipctest.NoErr(t, err)
	if !ok {
		t.Fatal("no value")
	}
	kept := must(v.Hold())

	for _, o := range must(inspect.Snapshot(nil)).Objects {
		holds := 0
		for _, m := range o.Detail.Members {
			holds += m.Holds
			// Older versions of Wine tell only the program.
			alone := runtime.GOOS == "windows" && len(m.Command) == 1 && filepath.Base(m.Command[0]) == filepath.Base(os.Args[0])
			if !slices.Equal(m.Command, os.Args) && !alone {
				t.Errorf("%s: the command line is %q, want %q", o.Name, m.Command, os.Args)
			}
		}
		if want := map[string]int{"t": 2, "c": 1}[o.Name]; holds != want {
			t.Errorf("%s: %d are held, want %d", o.Name, holds, want)
		}
		st, ok := o.Detail.Of.(*pubsub.State)
		if !ok {
			continue
		}
		if st.Lanes[0].Bytes != 100 {
			t.Errorf("%d bytes, want 100", st.Lanes[0].Bytes)
		}
		if len(st.Readers) != 1 || st.Readers[0].Key != pubsub.KeyOf("logger") || st.Readers[0].Reader == nil || !slices.Equal(st.Readers[0].Next, []uint64{3}) {
			t.Errorf("named readers: %+v", st.Readers)
		}
	}
	for _, h := range held {
		h.Release()
	}
	kept.Release()
	ipctest.NoErr(t, r.Close())
	ipctest.NoErr(t, w.Close())
	ipctest.NoErr(t, s.Close())
	p2 := must(pubsub.Inspect("t", nil))
	if p2.Readers[0].Reader != nil || p2.Readers[0].Next[0] != 3 {
		t.Errorf("nobody reads now: %+v", p2.Readers)
	}
	ipctest.NoErr(t, p.Close())
}

// Each page is counted once: two processes that have mapped the same bytes have half of them each.
func TestShares(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	const size = 4 << 20
	m := must(samepage.Create("m", size, nil))
	v := must(m.View(0, 0, samepage.ReadWrite))
	for i := range v.Bytes() {
		v.Bytes()[i] = 1
	}
	other := ipctest.Start(t, "touches", "m")
	other.Line()
	all := must(inspect.Snapshot(&inspect.Options{Shares: true})).Objects[0].Shares
	one, err := inspect.SharesOf(must(samepage.Stat("m", nil)))
	if runtime.GOOS != "linux" {
		if all != nil || one != nil || err == nil {
			t.Errorf("shares: %v, %v, %v", all, one, err)
		}
	} else {
		ipctest.NoErr(t, err)
		if fmt.Sprint(all) != fmt.Sprint(one) {
			t.Errorf("%v, and alone %v", all, one)
		}
		pids := []int{os.Getpid(), other.PID()}
		for _, s := range all {
			if !slices.Contains(pids, s.PID) || s.Name == "" || s.Resident != size || s.Proportional != size/2 {
				t.Errorf("a share: %+v", s)
			}
		}
		if len(all) != 2 {
			t.Errorf("%d processes have mapped it, want 2", len(all))
		}
	}
	other.Kill()
	ipctest.NoErr(t, v.Close())
	ipctest.NoErr(t, m.Close())
}

// touches maps a memory, and reads all its pages.
func touches(args []string) {
	m := must(samepage.Open(args[0], nil))
	v := must(m.View(0, 0, samepage.ReadOnly))
	sum := 0
	for _, b := range v.Bytes() {
		sum += int(b)
	}
	fmt.Println(sum)
	_, _ = io.Copy(io.Discard, os.Stdin)
}

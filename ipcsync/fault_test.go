package ipcsync_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"samepage"
	"samepage/internal/fault"
	"samepage/internal/ipctest"
	"samepage/ipcsync"
)

// The kill tests: workers go through all that the package has, with counters that
// can be held against each other, and die at every crash point (built with -tags
// samepagefault), or at any moment.

const (
	groupSize = 1024 // bytes of the counters that one lock guards
	workers   = 100  // that have a counter of their own
)

// group are the counters that a lock guards: how often anybody has had it, and how
// often each worker has. They are equal, unless somebody died between.
type group []byte

func (g group) total() uint64    { return word(g, 0) }
func (g group) own(i int) uint64 { return word(g, 8+8*i) }
func (g group) count(worker int) { setWord(g, 8+8*worker, g.own(worker)+1); setWord(g, 0, g.total()+1) }
func (g group) repair()          { setWord(g, 0, g.sum()) }
func (g group) whole() (ok bool) { return g.total() == g.sum() }
func (g group) sum() (sum uint64) {
	for i := range workers {
		sum += g.own(i)
	}
	return sum
}

// gear is what a worker works with.
type gear struct {
	m    *ipcsync.Mutex
	rw   *ipcsync.RWMutex
	sem  *ipcsync.Semaphore
	ev   *ipcsync.Event
	view *samepage.View
	mem  *samepage.Memory
}

func (g *gear) group(i int) group { return group(g.view.Bytes()[i*groupSize:][:groupSize]) }

func makeGear(t testing.TB) *gear {
	t.Helper()
	opts := &ipcsync.Options{Members: 16}
	m, err := ipcsync.CreateMutex("m", opts)
	ipctest.NoErr(t, err)
	rw, err := ipcsync.CreateRWMutex("m", opts)
	ipctest.NoErr(t, err)
	sem, err := ipcsync.CreateSemaphore("m", 1<<20, 1<<21, opts)
	ipctest.NoErr(t, err)
	ev, err := ipcsync.CreateEvent("m", &ipcsync.EventOptions{Members: 16})
	ipctest.NoErr(t, err)
	mem, err := samepage.Create("m", 2*groupSize, nil)
	ipctest.NoErr(t, err)
	g, err := openGear()
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, errors.Join(m.Close(), rw.Close(), sem.Close(), ev.Close(), mem.Close()))
	t.Cleanup(func() { _ = g.close() })
	return g
}

func openGear() (g *gear, err error) {
	g = &gear{}
	if g.m, err = ipcsync.OpenMutex("m", nil); err != nil {
		return nil, err
	}
	if g.rw, err = ipcsync.OpenRWMutex("m", nil); err != nil {
		return nil, err
	}
	if g.sem, err = ipcsync.OpenSemaphore("m", nil); err != nil {
		return nil, err
	}
	if g.ev, err = ipcsync.OpenEvent("m", nil); err != nil {
		return nil, err
	}
	if g.mem, err = samepage.Open("m", nil); err != nil {
		return nil, err
	}
	g.view, err = g.mem.View(0, 0, samepage.ReadWrite)
	return g, err
}

func (g *gear) close() error {
	return errors.Join(g.m.Close(), g.rw.Close(), g.sem.Close(), g.ev.Close(), g.view.Close(), g.mem.Close())
}

// mended passes what a Lock returns, and repairs the counters if an owner died.
func mended(err error, g group, consistent func() error) error {
	if errors.Is(err, samepage.ErrOwnerDied) {
		g.repair()
		return consistent()
	}
	if err == nil && !g.whole() {
		return fmt.Errorf("the counters do not add up, and nobody died: %d, %d", g.total(), g.sum())
	}
	return err
}

// joins says whether a worker joins and leaves in its i-th cycle. Wine keeps a file that
// was closed open for as long as anybody has a lock on it, so there it ends some time.
func joins(worker, i int) bool {
	return i%8 == worker%8 && (runtime.GOOS != "windows" || i < 800)
}

// cycle goes through everything once.
func (g *gear) cycle(ctx context.Context, worker, i int) error {
	a, b := g.group(0), g.group(1)
	if err := mended(g.m.Lock(ctx), a, g.m.Consistent); err != nil {
		return err
	}
	a.count(worker)
	if err := g.m.Unlock(); err != nil {
		return err
	}
	if err := mended(g.rw.Lock(ctx), b, g.rw.Consistent); err != nil {
		return err
	}
	b.count(worker)
	if err := g.rw.Unlock(); err != nil {
		return err
	}
	err := g.rw.RLock(ctx)
	if err == nil && !b.whole() {
		return errors.New("a reader sees counters that do not add up, and nobody died")
	}
	if err != nil && !errors.Is(err, samepage.ErrOwnerDied) {
		return err
	}
	if err := g.rw.RUnlock(); err != nil {
		return err
	}
	if err := errors.Join(g.sem.Acquire(ctx), g.sem.Release(1), g.ev.Set()); err != nil {
		return err
	}
	if joins(worker, i) {
		short, cancel := context.WithTimeout(ctx, 200*time.Microsecond)
		defer cancel()
		if err := g.ev.Wait(short); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		m, err := ipcsync.OpenMutex("m", nil) // joins and leaves
		if err != nil {
			return err
		}
		return m.Close()
	}
	return nil
}

// worker cycles until a line comes, then tells how often it has; each line "count"
// has it tell how often so far.
func worker(args []string) {
	id, _ := strconv.Atoi(args[0])
	fail := func(err error) {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
	g, err := openGear()
	if err != nil {
		fail(err)
	}
	fmt.Println("ready")
	var stop atomic.Bool
	n := untilEnd(func() { stop.Store(true) })
	for i := 0; !stop.Load(); i++ {
		if err := g.cycle(bg, id, i); err != nil {
			fail(err)
		}
		n.Add(1)
	}
	if err := g.close(); err != nil {
		fail(err)
	}
	fmt.Println("cycles", n.Load())
}

// untilEnd gives a counter and tells it at each line "count". At another one, and at
// the end of the input, it calls end.
func untilEnd(end func()) *atomic.Uint64 {
	var n atomic.Uint64
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan() && in.Text() == "count"; {
			fmt.Println(n.Load())
		}
		end()
	}()
	return &n
}

func startWorker(t *testing.T, id int, crash string) *ipctest.Child {
	t.Helper()
	cmd := ipctest.Command(t, "worker", strconv.Itoa(id))
	cmd.Env = append(cmd.Env, "SAMEPAGE_FAULT="+crash)
	return ipctest.StartCmd(t, cmd)
}

// survivors are workers that do not die.
type survivors struct {
	t  *testing.T
	g  *gear
	cs []*ipctest.Child
}

func startSurvivors(t *testing.T) *survivors {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	s := &survivors{t: t, g: makeGear(t)}
	for id := range 2 {
		c := startWorker(t, id, "")
		if l := c.Line(); l != "ready" {
			t.Fatal(l)
		}
		s.cs = append(s.cs, c)
	}
	return s
}

// goOn sees that each survivor begins and ends a cycle, and tells how long that
// took.
func (s *survivors) goOn() time.Duration {
	s.t.Helper()
	begun := time.Now()
	for _, c := range s.cs {
		for first := s.count(c); s.count(c) < first+2; { // the next to end had begun before
			if time.Since(begun) > ipctest.Patience/2 {
				s.t.Fatalf("a survivor stands still at cycle %d", first)
			}
			time.Sleep(100 * time.Microsecond)
		}
	}
	return time.Since(begun)
}

func (s *survivors) count(c *ipctest.Child) (n uint64) {
	s.t.Helper()
	if l := c.Ask("count"); l == "" {
		s.t.Fatal("a survivor says nothing")
	} else if _, err := fmt.Sscan(l, &n); err != nil {
		s.t.Fatal(l)
	}
	return n
}

// finish ends the survivors and holds all counters against each other.
func (s *survivors) finish() {
	t := s.t
	t.Helper()
	for id, c := range s.cs {
		c.Send("end")
		var n uint64
		if l := c.Line(); l == "" {
			t.Error("a survivor says nothing")
		} else if _, err := fmt.Sscanf(l, "cycles %d", &n); err != nil {
			t.Fatal(l)
		}
		for k := range 2 {
			if own := s.g.group(k).own(id); own != n {
				t.Errorf("survivor %d has cycled %d times, and had lock %d %d times", id, n, k, own)
			}
		}
		c.Wait()
	}
	ipctest.NoErr(t, mended(s.g.m.Lock(bg), s.g.group(0), s.g.m.Consistent))
	ipctest.NoErr(t, mended(s.g.rw.Lock(bg), s.g.group(1), s.g.rw.Consistent))
	for k := range 2 {
		if g := s.g.group(k); !g.whole() {
			t.Errorf("lock %d: counters say %d and %d", k, g.total(), g.sum())
		}
	}
	ipctest.NoErr(t, s.g.m.Unlock())
	ipctest.NoErr(t, s.g.rw.Unlock())
	// No slot is lost: all 16 are available, except the one of this process.
	var ms []*ipcsync.Mutex
	for range 15 {
		m, err := ipcsync.OpenMutex("m", nil)
		if err != nil {
			t.Errorf("after %d handles: %v", len(ms), err)
			break
		}
		ms = append(ms, m)
	}
	for _, m := range ms {
		ipctest.NoErr(t, m.Close())
	}
}

// 002-20 and 003-21: a process dies at every crash point. The survivors go on, the counters are
// exact except those of the victims, and no slot is lost.
func TestFaultEveryPoint(t *testing.T) {
	if !fault.Enabled {
		t.Skip("needs -tags samepagefault")
	}
	deaths := ipctest.Repeat(t, 5, 1, "")
	var all []time.Duration
	for _, p := range fault.Locks() {
		t.Run(p.String(), func(t *testing.T) {
			s := startSurvivors(t)
			var took []time.Duration
			for range deaths {
				if d, ok := s.oneDies(t, p); ok {
					took = append(took, d)
				}
			}
			s.finish()
			logTimes(t, took)
			all = append(all, took...)
		})
	}
	logTimes(t, all)
}

// logTimes tells how long the survivors took after deaths, and decides nothing.
func logTimes(t *testing.T, took []time.Duration) {
	if len(took) == 0 {
		t.Log("no release of the kernel's was seen")
		return
	}
	slices.Sort(took)
	t.Logf("from the kernel's release of the victim's lock byte until both survivors have had everything: p50 %v, worst %v of %d",
		took[len(took)/2], took[len(took)-1], len(took))
}

// oneDies has a worker die at p, and sees that the survivors go on. It is false
// when the victim died before anybody saw it alive.
func (s *survivors) oneDies(t *testing.T, p fault.Point) (took time.Duration, seen bool) {
	passes := 20 // at most, before it dies there
	if p >= fault.RepairTaken && p <= fault.RepairUnrung || p == fault.ConsistentDone {
		passes = 3 // for it comes there only when it is the first of three to find a dead one
	}
	victim := startWorker(t, 2, fmt.Sprintf("%v:%d", p, rand.IntN(passes)))
	recovery := s.recoveryFrom(victim.PID())
	// Others die holding the locks, so that there is something to repair.
	begun := time.Now()
	for n := 0; !victim.EndsWithin(10*time.Millisecond) && !t.Failed(); n++ {
		if n >= workers && time.Since(begun) > ipctest.Patience {
			t.Errorf("nobody has come to %v", p)
		}
		id := 3 + n%(workers-3)
		other := []fault.Point{fault.LockTaken, fault.WriteHeld}[n%2]
		if c := startWorker(t, id, fmt.Sprintf("%v:%d", other, rand.IntN(10))); !c.EndsWithin(ipctest.Patience) {
			t.Fatalf("nobody has come to %v", other)
		}
	}
	s.goOn()
	return recovery()
}

// recoveryFrom measures the time from the moment when the kernel has released what a
// process held, as seen from outside, until both survivors have had the mutex
// twice, and so everything else between.
func (s *survivors) recoveryFrom(pid int) (result func() (time.Duration, bool)) {
	had := func(id int) uint64 {
		w, err := s.g.view.Uint64(8 + 8*id)
		if err != nil {
			panic(err)
		}
		return w.Load() // low bytes are written first, so it is never too high
	}
	alive := func() bool {
		st, err := ipcsync.InspectMutex("m", nil)
		return err == nil && slices.ContainsFunc(st.Members, func(m ipcsync.Member) bool { return m.PID == pid && m.Alive })
	}
	ended, took := make(chan struct{}), make(chan time.Duration, 1)
	go func() {
		defer close(took)
		for seen := false; ; time.Sleep(200 * time.Microsecond) {
			now := alive()
			if seen && !now {
				break
			}
			seen = seen || now
			select {
			case <-ended:
				return
			default:
			}
		}
		begun, base := time.Now(), [...]uint64{had(0), had(1)}
		for had(0) < base[0]+2 || had(1) < base[1]+2 {
			if time.Since(begun) > ipctest.Patience {
				return
			}
			time.Sleep(50 * time.Microsecond)
		}
		took <- time.Since(begun)
	}()
	return func() (time.Duration, bool) {
		close(ended)
		d, ok := <-took
		return d, ok
	}
}

// SAMEPAGE_KILLS workers (make soak: 10000) are killed at random moments.
func TestSoakRandomKills(t *testing.T) {
	kills := ipctest.Repeat(t, 60, 12, "SAMEPAGE_KILLS")
	s := startSurvivors(t)
	var worst time.Duration
	for k := 0; k < kills; k += 2 {
		var cs []*ipctest.Child
		for i := range 2 {
			c := startWorker(t, 2+(k+i)%(workers-2), "")
			if l := c.Line(); l != "ready" {
				t.Fatal(l)
			}
			cs = append(cs, c)
		}
		for _, c := range cs {
			time.Sleep(time.Duration(rand.IntN(5000)) * time.Microsecond)
			c.Kill()
		}
		worst = max(worst, s.goOn())
	}
	s.finish()
	t.Logf("%d kills; the longest time in which both survivors had everything: %v", kills, worst)
	runtime.KeepAlive(s)
}

// 002-19: idle waiters of every kind do not poll.
func TestIdleWaitersDoNotPoll(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 11 s")
	}
	ipctest.NeedNames(t)
	ipctest.Store(t)
	g := makeGear(t)
	ipctest.NoErr(t, g.m.Lock(bg))
	ipctest.NoErr(t, g.rw.Lock(bg))
	for {
		if ok, err := g.sem.TryAcquire(); err != nil || !ok {
			ipctest.NoErr(t, err)
			break
		}
	}
	ipctest.WantIdle(t, ipctest.Start(t, "idler"))
	ipctest.NoErr(t, g.m.Unlock())
	ipctest.NoErr(t, g.rw.Unlock())
}

func idler([]string) {
	g, err := openGear()
	if err != nil {
		fmt.Println(err)
		return
	}
	var failed error
	used := ipctest.RestCost(func(ctx context.Context) {
		errs := make(chan error)
		waits := []func(context.Context) error{g.m.Lock, g.rw.Lock, g.rw.RLock, g.sem.Acquire, g.ev.Wait}
		for _, wait := range waits {
			go func() { errs <- wait(ctx) }()
		}
		for range waits {
			if err := <-errs; !errors.Is(err, context.Canceled) {
				failed = fmt.Errorf("waited: %v", err)
			}
		}
	})
	if failed != nil {
		fmt.Println(failed)
		return
	}
	fmt.Println("ok", used)
}

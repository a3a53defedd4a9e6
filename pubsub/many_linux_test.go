package pubsub_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

func init() { roles["viewer"] = viewer }

const (
	viewBytes = 256 << 10
	viewDepth = 16
)

func viewOptions(members int) *pubsub.Options {
	return &pubsub.Options{MaxSize: viewBytes, Depth: viewDepth, Members: members, Holds: 0}
}

// viewer reads all bytes of all messages. For each line of its input it prints their number.
func viewer(args []string) {
	s, err := pubsub.AwaitSubscriber(bg, args[0], &pubsub.SubscriberOptions{BestEffort: args[1] == "best-effort", From: pubsub.FromNow})
	if err != nil {
		fmt.Println(err)
		return
	}
	l := newLife()
	fmt.Println("ready")
	var last uint64
	for {
		m, err := s.Take(l.ctx)
		if err == io.EOF {
			break
		}
		if l.ctx.Err() != nil {
			return
		}
		if err != nil {
			fail("%v", err)
		}
		if last > 0 && m.Seq() != last+1+m.Missed() || m.Missed() > 0 && args[1] == "reliable" {
			fail("message %d after %d, %d missed", m.Seq(), last, m.Missed())
		}
		if err := ipctest.Check(m.Bytes(), m.Seq()); err != nil {
			fail("%v", err)
		}
		last = m.Seq()
		l.n.Add(1)
	}
	fmt.Println("had", l.n.Load())
	<-l.ctx.Done()
}

// Many subscribers share one copy of the messages. Half of them are killed at random moments. This
// does not disturb the publisher and the others, and every place becomes free again.
// SAMEPAGE_SUBSCRIBERS and SAMEPAGE_SECONDS set numbers (make soak: 64 and 300). The test is for
// Linux only, because Windows has no proportional set size. TestSoakRandomKills kills on both.
func TestSoakManySubscribers(t *testing.T) {
	ipctest.NeedNames(t)
	dir := ipctest.Store(t)
	n, seconds := 12, 2
	if testing.Short() {
		n, seconds = 6, 0
	}
	if v, err := strconv.Atoi(os.Getenv("SAMEPAGE_SUBSCRIBERS")); err == nil {
		n = v
	}
	if v, err := strconv.Atoi(os.Getenv("SAMEPAGE_SECONDS")); err == nil {
		seconds = v
	}
	p := newPub(t, "t", viewOptions(n+1))
	buf := make([]byte, viewBytes)
	publish := func() {
		ipctest.Fill(buf, p.Next())
		begun := time.Now()
		ipctest.NoErr(t, p.Send(bg, buf))
		if d := time.Since(begun); d > ipctest.Patience/2 {
			t.Fatalf("a message took %v", d)
		}
	}
	kind := func(i int) string { return []string{"reliable", "best-effort"}[i/2%2] }
	start := func(i int) *ipctest.Child {
		c := ipctest.Start(t, "viewer", "t", kind(i))
		if l := c.Line(); l != "ready" {
			t.Fatal(l)
		}
		return c
	}
	cs := make([]*ipctest.Child, n)
	for i := range cs {
		cs[i] = start(i)
	}
	for range 100 {
		publish()
	}
	oneCopy(t, dir, cs)

	var worst time.Duration
	kills := 0
	for begun := time.Now(); kills < n/2 || time.Since(begun) < time.Duration(seconds)*time.Second; kills++ {
		for range rand.IntN(20) {
			at := time.Now()
			publish()
			worst = max(worst, time.Since(at))
		}
		i := rand.IntN(n/2) * 2 // the others stay
		cs[i].Kill()
		cs[i] = start(i)
	}
	oneCopy(t, dir, cs)
	ipctest.NoErr(t, p.Close())
	for i, c := range cs {
		if l := c.Line(); !strings.HasPrefix(l, "had ") || l == "had 0" && i%2 == 1 {
			t.Errorf("%s subscriber %d: %s", kind(i), i, l)
		}
	}
	t.Logf("%d subscribers, %d kills, %d messages of %d bytes; the longest that the publisher waited: %v", n, kills, p.Next()-1, viewBytes, worst)
	for _, c := range cs {
		c.Kill()
	}
	all, err := samepage.List()
	ipctest.NoErr(t, err)
	if len(all) != 0 {
		t.Errorf("left behind: %v", all)
	}
}

// oneCopy compares the shared memory of all subscribers together with the size of the topic. It
// looks at one subscriber after the other. If one of them maps more meanwhile, because it begins to
// read, the sum is wrong, and oneCopy looks again.
func oneCopy(t *testing.T, dir string, cs []*ipctest.Child) {
	t.Helper()
	for begun := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		topic, pss, rss := shares(t, dir, cs)
		good := pss <= topic+topic/10+1<<20 && pss > 0
		if !good && time.Since(begun) < ipctest.Patience {
			continue
		}
		t.Logf("the topic takes %d KiB; %d subscribers have %d KiB of it mapped, and %d KiB together", topic>>10, len(cs), rss>>10, pss>>10)
		if !good {
			t.Errorf("%d subscribers take %d bytes together, the topic %d", len(cs), pss, topic)
		}
		return
	}
}

// shares returns the bytes of the topic, of all subscribers together, and of each one.
func shares(t *testing.T, dir string, cs []*ipctest.Child) (topic, pss, rss int64) {
	t.Helper()
	ipctest.NoErr(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		var st syscall.Stat_t
		if err == nil && d.Type().IsRegular() && syscall.Stat(path, &st) == nil {
			topic += st.Blocks * 512
		}
		return nil
	}))
	for _, c := range cs {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", c.PID()))
		if err != nil {
			t.Skip("this system tells no proportional set size: ", err)
		}
		var kb int64
		for line := range strings.Lines(string(b)) {
			if k, _ := fmt.Sscanf(line, "Pss_Shmem: %d kB", &kb); k == 1 {
				pss += kb << 10
			}
		}
		b, err = os.ReadFile(fmt.Sprintf("/proc/%d/status", c.PID()))
		ipctest.NoErr(t, err)
		for line := range strings.Lines(string(b)) {
			if k, _ := fmt.Sscanf(line, "RssShmem: %d kB", &kb); k == 1 {
				rss += kb << 10
			}
		}
	}
	return topic, pss, rss
}

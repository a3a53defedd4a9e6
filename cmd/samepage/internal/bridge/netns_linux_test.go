package bridge

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// networks makes two network namespaces with a line between them that loses a share of all packets,
// in percent, and delays each by 20 ms. That is the work of netem if the kernel has it, and else of
// test/line. TCP of both sides has that congestion control: each kernel has reno and lets
// namespaces use it; it slows down at each loss, as cubic does. bbr does not.
func networks(t *testing.T, loss float64, control string) (near, far string) {
	if os.Geteuid() != 0 {
		t.Skip("only root makes network namespaces")
	}
	near, far = fmt.Sprintf("spa%d", os.Getpid()), fmt.Sprintf("spb%d", os.Getpid())
	sh := func(format string, args ...any) error {
		line := fmt.Sprintf(format, args...)
		out, err := exec.Command("sh", "-c", line).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%s: %w: %s", line, err, out)
		}
		return err
	}
	for _, ns := range []string{near, far} {
		t.Cleanup(func() { _ = sh("ip netns del %s", ns) })
		if err := sh("ip netns add %s && ip -n %s link set lo up", ns, ns); err != nil {
			t.Skip("network namespaces are not available: ", err)
		}
		if err := sh("ip netns exec %s sh -c 'echo %s > /proc/sys/net/ipv4/tcp_congestion_control'", ns, control); err != nil {
			t.Skip("the congestion control is not available: ", err)
		}
	}
	// Packets of the size that a cable carries: the kernel must cut before netem loses.
	err := sh("ip -n %s link add line mtu 1500 gso_max_segs 1 type veth peer name line mtu 1500 gso_max_segs 1 netns %s", near, far)
	for i, ns := range []string{near, far} {
		if err == nil {
			err = sh("ip -n %s addr add 10.93.0.%d/24 dev line && ip -n %s link set line up && ip netns exec %s tc qdisc add dev line root netem loss %g%% delay 20ms limit 1000", ns, i+1, ns, ns, loss)
		}
	}
	if err == nil {
		t.Logf("netem loses %g %% of all packets", loss)
		return near, far
	}
	_ = sh("ip -n %s link del line", near)
	t.Logf("test/line loses %g %% of all packets, because netem cannot: %v", loss, err)
	program := filepath.Join(ipctest.Dir(t), "line")
	if out, err := exec.Command("go", "build", "-o", program, "samepage/test/line").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c := exec.Command(program, "-loss", fmt.Sprint(loss), "-delay", "20ms", near, "10.93.0.1/24", far, "10.93.0.2/24")
	c.Stderr = os.Stderr
	in, err := c.StdinPipe()
	ipctest.NoErr(t, err)
	out, err := c.StdoutPipe()
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, c.Start())
	lines := bufio.NewScanner(out)
	t.Cleanup(func() {
		_ = in.Close()
		for lines.Scan() {
			t.Log("the line: ", lines.Text())
		}
		_ = c.Wait()
	})
	if !lines.Scan() {
		t.Skip("interfaces in network namespaces are not available")
	}
	return near, far
}

// in starts a helper in a network namespace, with these words in its environment.
func in(t *testing.T, ns string, env []string, helper string, args ...string) *ipctest.Child {
	c := ipctest.Command(t, helper, args...)
	ip, err := exec.LookPath("ip")
	ipctest.NoErr(t, err)
	c.Args = append([]string{ip, "netns", "exec", ns, c.Path}, c.Args[1:]...)
	c.Path, c.Env = ip, append(c.Env, env...)
	return ipctest.StartCmd(t, c)
}

// numberedTopic are the messages that cross in one policy.
type numberedTopic struct {
	name   string
	policy Policy
	n      int           // messages, without the first and the last
	size   int           // of the largest
	pause  time.Duration // between two messages
	every  int           // so many messages have no pause
	sub    *pubsub.Subscriber
	far    *side
	pub    *pubsub.Publisher
	first  uint64        // the number of the first of the n messages
	begin  uint64        // the number that has arrived first
	seen   atomic.Uint64 // the last number that has arrived
}

// mark is the size of the messages at the begin and at the end: they are small, because it must be
// known that one of them has arrived.
const mark = 24

// meet sends messages until one has arrived. With the policy newest some may be lost before the
// bridges know of each other.
func (p *numberedTopic) meet(t *testing.T, pub *pubsub.Publisher) {
	var m pubsub.Message
	err := context.DeadlineExceeded
	for errors.Is(err, context.DeadlineExceeded) {
		ipctest.NoErr(t, p.send(t, pub))
		if p.sub == nil {
			p.sub = await(t, "far."+p.name)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		m, err = p.sub.Take(ctx)
		cancel()
	}
	ipctest.NoErr(t, err)
	p.begin, p.first = m.Seq(), pub.Next()
}

// follow takes the messages after the one that has arrived first until the stream ends, and checks
// their numbers and their contents: each word of a message has its number.
func (p *numberedTopic) follow(t *testing.T) (got, missed uint64, err error) {
	last := p.begin
	for {
		m, err := p.sub.Take(t.Context())
		if err == io.EOF {
			return got, missed, nil
		}
		if err != nil {
			return got, missed, err
		}
		if m.Seq() != last+m.Missed()+1 {
			return got, missed, fmt.Errorf("message %d after %d, %d missed", m.Seq(), last, m.Missed())
		}
		if err := ipctest.Check(m.Bytes(), m.Seq()); err != nil || len(m.Bytes()) != p.length(m.Seq()) {
			return got, missed, fmt.Errorf("message %d of %d bytes: %w", m.Seq(), len(m.Bytes()), err)
		}
		got, missed, last = got+1, missed+m.Missed(), m.Seq()
		p.seen.Store(last)
	}
}

func (p *numberedTopic) length(seq uint64) int {
	if p.first > 0 && seq >= p.first && seq < p.first+uint64(p.n) {
		return length(seq, p.size)
	}
	return mark
}

// send sends a message.
func (p *numberedTopic) send(t *testing.T, pub *pubsub.Publisher) error {
	seq := pub.Next()
	l, err := pub.Loan(p.length(seq))
	if err != nil {
		return err
	}
	ipctest.Fill(l.Bytes(), seq)
	return l.Publish(t.Context())
}

// Over a line that loses 5 % of all packets, and delays each by 20 ms, the server is killed in the
// middle and started again: numbered messages with each policy, and pictures. Nothing is torn or
// out of order, what is missed is counted to the message, and with the policies wait and stored
// nothing is missed.
//
// SAMEPAGE_MESSAGES is the number of messages of each policy. With 100000 there are 300 pictures of
// 33 MB, also over lines that are better; that takes 10 minutes.
func TestTwoNetworks(t *testing.T) {
	ipctest.NeedNames(t)
	n := ipctest.Repeat(t, 2000, 2000, "SAMEPAGE_MESSAGES")
	if n < 100000 {
		crossBadLine(t, 5, "reno", n, 20, 40<<10, 60*time.Millisecond, 16<<10)
		return
	}
	for _, line := range []struct {
		loss    float64
		control string
	}{{5, "reno"}, {5, "bbr"}, {0.1, "reno"}, {0, "reno"}} {
		t.Run(fmt.Sprintf("%g-%s", line.loss, line.control), func(t *testing.T) {
			crossBadLine(t, line.loss, line.control, n, 300, 33<<20, 300*time.Millisecond, maxPayload)
		})
	}
}

func crossBadLine(t *testing.T, loss float64, control string, n, pictures, pictureSize int, pause time.Duration, payload int) {
	near, far := networks(t, loss, control)
	ipctest.Store(t)
	dir := ipctest.Dir(t)
	serve := func() *ipctest.Child {
		hub := in(t, near, nil, "server", "10.93.0.1:4222", dir, fmt.Sprint(payload))
		if got := hub.Line(); got != "true" {
			t.Fatal(got)
		}
		return hub
	}
	hub := serve()
	url := "nats://10.93.0.1:4222"
	topics := []*numberedTopic{
		{name: "newest", policy: Newest, n: n, size: 64, pause: time.Millisecond, every: 10},
		{name: "wait", policy: Wait, n: n, size: 64},
		{name: "stored", policy: Stored, n: n, size: 64},
		{name: "pictures", policy: Newest, n: pictures, size: pictureSize, pause: pause, every: 1},
	}
	results := make(chan error, 2*len(topics))
	middle, dies := make(chan bool), make(chan bool)
	for _, p := range topics {
		events := []string{"EVENTS=" + filepath.Join(dir, p.name)}
		p.far = &side{in(t, far, events, "bridge", "subscribe", url, string(p.policy), p.name), t}
		// As much as --window has without the flag, or less, so that the test ends soon.
		events = append(events, fmt.Sprint("WINDOW=", min(4<<20, 16*payload)))
		in(t, near, events, "bridge", "publish", url, string(p.policy), p.name)
		var err error
		p.pub, err = pubsub.CreatePublisher(p.name, &pubsub.Options{MaxSize: p.size, Times: true, Depth: max(3, min(1024, 1<<20/p.size))})
		ipctest.NoErr(t, err)
	}
	for _, p := range topics {
		pub := p.pub
		p.meet(t, pub)
		begin := time.Now()
		go func() {
			got, missed, err := p.follow(t)
			c, last := p.far.counts(), p.seen.Load()
			switch {
			case err != nil:
			case last != pub.Next()-1 || p.begin+got+missed != last || c.Messages+c.Lost != last || got >= c.Messages || missed > c.Lost || c.Lost-missed >= p.begin:
				err = fmt.Errorf("%d arrived and %d missed after %d; the last is %d of %d; the bridge: %+v", got, missed, p.begin, last, pub.Next()-1, c)
			case p.policy != Newest && missed > 0:
				err = errors.New("messages are missing")
			}
			t.Logf("%s: %d messages of %d bytes, %d arrived, %d missed, in %v", p.name, last-p.begin, p.size, got, missed, time.Since(begin).Round(time.Millisecond))
			t.Logf("%s: the far bridge: %+v; events of both: %v", p.name, c, tellings(t, filepath.Join(dir, p.name)))
			if err != nil {
				err = fmt.Errorf("%s: %w", p.name, err)
			}
			results <- err
		}()
		go func() {
			var err error
			for i := 0; i < p.n && err == nil; i++ {
				if i == p.n/2 {
					middle <- true
					<-dies
				}
				if err = p.send(t, pub); p.pause > 0 && i%p.every == 0 {
					time.Sleep(p.pause) // as a sensor does
				}
			}
			// The end must get through. So small messages are sent until one has arrived.
			for err == nil && p.seen.Load() < p.first+uint64(p.n) {
				err = p.send(t, pub)
				for !p.far.knows(pub.Next() - 1) {
					time.Sleep(20 * time.Millisecond)
				}
				for i := 0; i < 20 && p.seen.Load() < p.first+uint64(p.n); i++ {
					time.Sleep(20 * time.Millisecond)
				}
			}
			results <- errors.Join(err, pub.Close())
		}()
	}
	for range topics {
		<-middle
	}
	close(dies) // all publish again while the server dies
	hub.Kill()
	serve()
	for range 2 * len(topics) {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

// knows says whether all messages up to the last one have arrived, or are known to be lost.
func (s *side) knows(last uint64) bool {
	c := s.counts()
	return c.Messages+c.Lost >= last
}

// tellings says how often each event is in a file.
func tellings(t *testing.T, file string) map[string]int {
	t.Helper()
	text, err := os.ReadFile(file)
	ipctest.NoErr(t, err)
	all := map[string]int{}
	for line := range strings.Lines(string(text)) {
		var e Event
		ipctest.NoErr(t, json.Unmarshal([]byte(line), &e))
		all[e.What]++
	}
	return all
}

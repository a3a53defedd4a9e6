package bridge

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// networks makes two network namespaces with a cable between them. It loses 5 % of all packets, and
// delays them by 20 ms, if the kernel has netem.
func networks(t *testing.T) (near, far string) {
	if os.Geteuid() != 0 {
		t.Skip("only root makes network namespaces")
	}
	near, far = fmt.Sprintf("spa%d", os.Getpid()), fmt.Sprintf("spb%d", os.Getpid())
	ip := func(args string) error {
		out, err := exec.Command("sh", "-c", args).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%s: %w: %s", args, err, out)
		}
		return err
	}
	t.Cleanup(func() {
		_ = ip("ip netns del " + near)
		_ = ip("ip netns del " + far)
	})
	for _, c := range []string{
		"ip netns add " + near, "ip netns add " + far, "ip -n " + near + " link add v0 mtu 65000 type veth peer name v1 mtu 65000 netns " + far,
		"ip -n " + near + " addr add 10.93.0.1/24 dev v0", "ip -n " + far + " addr add 10.93.0.2/24 dev v1",
		"ip -n " + near + " link set lo up", "ip -n " + near + " link set v0 up", "ip -n " + far + " link set v1 up",
	} {
		if err := ip(c); err != nil {
			t.Skip("network namespaces are not available: ", err)
		}
	}
	for _, c := range []string{"ip netns exec " + near + " tc qdisc add dev v0 root netem loss 5% delay 20ms", "ip netns exec " + far + " tc qdisc add dev v1 root netem loss 5% delay 20ms"} {
		if err := ip(c); err != nil {
			t.Log("the network loses nothing: ", err)
		}
	}
	return near, far
}

// in starts a helper in a network namespace.
func in(t *testing.T, ns, helper string, args ...string) *ipctest.Child {
	c := ipctest.Command(t, helper, args...)
	ip, err := exec.LookPath("ip")
	ipctest.NoErr(t, err)
	c.Args = append([]string{ip, "netns", "exec", ns, c.Path}, c.Args[1:]...)
	c.Path = ip
	return ipctest.StartCmd(t, c)
}

// tally is what a subscriber got.
type tally struct {
	got, missed, last uint64
	err               error
}

// follow takes the messages after the first until the stream ends, and checks their order and
// contents.
func follow(t *testing.T, sub *pubsub.Subscriber, size int) (r tally) {
	r.last = 1
	for {
		m, err := sub.Take(t.Context())
		if err != nil {
			if err != io.EOF {
				r.err = err
			}
			return r
		}
		if m.Seq() != r.last+m.Missed()+1 {
			r.err = fmt.Errorf("message %d after %d, %d missed", m.Seq(), r.last, m.Missed())
			return r
		}
		if err := ipctest.Check(m.Bytes(), m.Seq()); err != nil || len(m.Bytes()) != length(m.Seq(), size) {
			r.err = fmt.Errorf("message %d of %d bytes: %w", m.Seq(), len(m.Bytes()), err)
			return r
		}
		r.got, r.missed, r.last = r.got+1, r.missed+m.Missed(), m.Seq()
	}
}

// Between two networks that lose packets, the server is killed in the middle and started again:
// numbered messages with each policy, and pictures. Nothing is torn or out of order, what is missed
// is counted to the message, and with the policies wait and stored nothing is missed.
// SAMEPAGE_MESSAGES is the number of messages of each policy; with 100000 there are 300 pictures of
// 33 MB.
func TestTwoNetworks(t *testing.T) {
	ipctest.NeedNames(t)
	near, far := networks(t)
	ipctest.Store(t)
	dir := ipctest.Dir(t)
	n := ipctest.Repeat(t, 3000, 3000, "SAMEPAGE_MESSAGES")
	pictures, pictureSize := 5, 3<<20
	if n >= 100000 {
		pictures, pictureSize = 300, 33<<20
	}
	hub := in(t, near, "server", "10.93.0.1", dir)
	if got := hub.Line(); got != "true" {
		t.Fatal(got)
	}
	url := "nats://10.93.0.1:4222"
	sides := map[string]*side{}
	type topic struct {
		name   string
		policy Policy
		n, sz  int
	}
	topics := []topic{{"newest", Newest, n, 64}, {"wait", Wait, n, 64}, {"stored", Stored, n, 64}, {"pictures", Newest, pictures, pictureSize}}
	results := make(chan string, 2*len(topics))
	middle, dies := make(chan bool), make(chan bool)
	for _, p := range topics {
		sides[p.name] = &side{in(t, far, "bridge", "subscribe", url, string(p.policy), p.name), t}
		in(t, near, "bridge", "publish", url, string(p.policy), p.name)
		pub, err := pubsub.CreatePublisher(p.name, &pubsub.Options{MaxSize: p.sz, Times: true, Depth: max(3, min(1024, 1<<20/p.sz))})
		ipctest.NoErr(t, err)
		ipctest.NoErr(t, pub.Send(t.Context(), content(1, p.sz)))
		sub := await(t, "far."+p.name)
		_, err = sub.Take(t.Context())
		ipctest.NoErr(t, err)
		go func() {
			begin := time.Now()
			r := follow(t, sub, p.sz)
			text := ""
			switch {
			case r.err != nil:
				text = r.err.Error()
			case r.got+r.missed != r.last-1:
				text = "the counts do not fit"
			case p.policy != Newest && (r.missed > 0 || r.last < uint64(p.n)):
				text = "messages are missing"
			}
			t.Logf("%s: %d messages of %d bytes arrived, %d missed, the last is %d, in %v", p.name, r.got, p.sz, r.missed, r.last, time.Since(begin).Round(time.Millisecond))
			results <- text
		}()
		go func() {
			var err error
			for seq := uint64(2); seq <= uint64(p.n) && err == nil; seq++ {
				if seq == uint64(p.n)/2 {
					middle <- true
					<-dies
				}
				var l pubsub.Loan
				if l, err = pub.Loan(length(seq, p.sz)); err == nil {
					ipctest.Fill(l.Bytes(), seq)
					err = l.Publish(t.Context())
				}
				if p.policy == Newest { // as a sensor does
					if p.sz > 1<<16 {
						time.Sleep(50 * time.Millisecond)
					} else if seq%10 == 0 {
						time.Sleep(time.Millisecond)
					}
				}
			}
			// The end must get through: it is sent when the server is there again, and all is
			// known.
			for arrived := false; err == nil && !arrived; {
				if err = pub.Send(t.Context(), content(pub.Next(), p.sz)); err != nil {
					break
				}
				for i := 0; i < 20 && !arrived; i++ {
					time.Sleep(50 * time.Millisecond)
					arrived = sides[p.name].caughtUp(pub.Next() - 1)
				}
			}
			results <- fmt.Sprint(errors.Join(err, pub.Close()))
		}()
	}
	for range topics {
		<-middle
	}
	close(dies) // all publish again while the server dies
	hub.Kill()
	hub = in(t, near, "server", "10.93.0.1", dir)
	if got := hub.Line(); got != "true" {
		t.Fatal(got)
	}
	for range 2 * len(topics) {
		if text := <-results; text != "" && text != "<nil>" {
			t.Error(text)
		}
	}
	for _, p := range topics {
		t.Logf("%s: the bridge: %+v", p.name, sides[p.name].counts())
	}
}

// caughtUp says whether all messages up to the last one have arrived, or are known to be lost.
func (s *side) caughtUp(last uint64) bool {
	c := s.counts()
	return c.Messages+c.Lost >= last
}

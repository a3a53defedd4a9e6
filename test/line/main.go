//go:build linux

// Line joins two network namespaces by a line that loses packets and delays them:
//
//	line [-loss 5] [-delay 20ms] [-queue 1500000] [-seed 1] NETNS ADDRESS/BITS NETNS ADDRESS/BITS
//
// Each namespace, of ip netns, gets the interface "line" with its address. All that is sent there
// comes as IP packets of up to 1500 bytes, as on a cable: the interface does not let the system
// leave the cutting and the checksums to it. Both directions lose -loss percent of all packets,
// independently of each other. They deliver the others in order, -delay later. If -queue bytes are
// on their way, a direction drops what comes, as a router does. The line has no other limit of its
// speed.
//
// Line prints "ready" when packets can pass. It ends when its standard input does, and prints what
// it carried. Only root can use it. It is for kernels that lack netem (tc qdisc), and for tests
// that repeat the same losses.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	loss := flag.Float64("loss", 5, "how many `percent` of all packets are lost")
	delay := flag.Duration("delay", 20*time.Millisecond, "how long each packet is on its way")
	queue := flag.Int64("queue", 1500000, "how many `bytes` may be on their way in each direction")
	seed := flag.Uint64("seed", 1, "of the random numbers that choose the packets that are lost")
	flag.Parse()
	if flag.NArg() != 4 || *loss < 0 || *loss > 100 || *delay < 0 {
		flag.Usage()
		os.Exit(2)
	}
	var ends [2]*os.File
	for i := range ends {
		var err error
		if ends[i], err = end(flag.Arg(2*i), flag.Arg(2*i+1)); err != nil {
			fmt.Fprintln(os.Stderr, "line:", err)
			os.Exit(1)
		}
	}
	var wg sync.WaitGroup
	var ways [2]*way
	for i := range ways {
		w := &way{from: ends[i], to: ends[1-i], delay: *delay, room: *queue, loss: *loss / 100, random: rand.New(rand.NewPCG(*seed, uint64(i)))}
		ways[i] = w
		wg.Go(w.run)
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin)
	for _, f := range ends {
		_ = f.Close()
	}
	wg.Wait()
	for i, w := range ways {
		fmt.Printf("from %s: %d packets, %d bytes carried, %d packets lost, %d dropped because the queue was full\n",
			flag.Arg(2*i), w.carried, w.bytes, w.lost, w.full)
	}
}

const name = "line"

// end makes the interface in a namespace. A read of the file is a packet that was sent there, and a
// write one that arrives there.
func end(netns, address string) (*os.File, error) {
	f, err := tun(netns)
	if err != nil {
		return nil, fmt.Errorf("make an interface in %s: %w", netns, err)
	}
	for _, args := range [][]string{{"addr", "add", address, "dev", name}, {"link", "set", "lo", "up"}, {"link", "set", name, "mtu", "1500", "up"}} {
		c := exec.Command("ip", append([]string{"-n", netns}, args...)...)
		if out, err := c.CombinedOutput(); err != nil {
			return nil, errors.Join(fmt.Errorf("%v: %w: %s", c.Args, err, out), f.Close())
		}
	}
	return f, nil
}

// tun makes a TUN interface in a namespace.
func tun(netns string) (f *os.File, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: this thread, in another namespace, ends with the goroutine
		ns, e := os.Open("/var/run/netns/" + netns)
		if err = e; err != nil {
			return
		}
		defer func() { _ = ns.Close() }()
		if err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			return
		}
		fd, e := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
		if err = e; err != nil {
			return
		}
		request, _ := unix.NewIfreq(name) // the name is short enough
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		if err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request); err != nil {
			_ = unix.Close(fd)
			return
		}
		f = os.NewFile(uintptr(fd), "/dev/net/tun")
	}()
	<-done
	return f, err
}

// way is one direction.
type way struct {
	from, to                   *os.File
	delay                      time.Duration
	room                       int64   // bytes that may be on their way
	loss                       float64 // probability
	random                     *rand.Rand
	carried, bytes, lost, full int64 // counts, for the end
}

// packet is on its way until a time.
type packet struct {
	until time.Time
	b     []byte
}

// run carries packets until an end is closed.
func (w *way) run() {
	var onTheWay atomic.Int64
	queue := make(chan packet, w.room/20+1) // an IP packet has at least 20 bytes
	done := make(chan struct{})
	go func() {
		defer close(done)
		for p := range queue {
			time.Sleep(time.Until(p.until))
			if _, err := w.to.Write(p.b); err == nil {
				w.carried, w.bytes = w.carried+1, w.bytes+int64(len(p.b))
			}
			onTheWay.Add(-int64(len(p.b)))
		}
	}()
	buf := make([]byte, 1<<16)
	for {
		n, err := w.from.Read(buf)
		if err != nil {
			break
		}
		switch {
		case w.random.Float64() < w.loss:
			w.lost++
		case onTheWay.Load()+int64(n) > w.room:
			w.full++
		default:
			onTheWay.Add(int64(n))
			queue <- packet{time.Now().Add(w.delay), append([]byte(nil), buf[:n]...)}
		}
	}
	close(queue)
	<-done
}

package rpc_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/rpc"
)

// The processes of the kill tests. A caller calls, and a server is a worker. They open and close
// the service again and again: each time is a life. They end at a line of input, or when they are
// killed. For each line "count" they print the number of their calls.

func init() { helpers["caller"], helpers["server"] = caller, server }

// crowdOptions has few slots, so that clients wait for them.
var crowdOptions = &rpc.Options{Calls: 3, Members: 24, Request: 64, Response: 256, Parts: 2}

// The log is a memory that says how often each call was executed. Each caller has an id, which no
// other caller of the test has, and entries for its last calls.
const (
	logCallers = 1 << 14
	logEntries = 256 // of a caller
)

// callLog is the open log. An entry has the number of a call, and in the lower 8 bits how often it
// was executed.
type callLog struct {
	m *samepage.Memory
	v *samepage.View
}

func openLog() (l *callLog, err error) {
	l = &callLog{}
	if l.m, err = samepage.Open("log", nil); err == nil {
		l.v, err = l.m.View(0, 0, samepage.ReadWrite)
	}
	return l, err
}

func (l *callLog) entry(id, seq uint64) *atomic.Uint64 {
	w, err := l.v.Uint64(int(id*logEntries+seq%logEntries) * 8)
	if err != nil {
		fail("%v", err)
	}
	return w
}

// note notes that a call begins to be executed.
func (l *callLog) note(id, seq uint64) {
	e := l.entry(id, seq)
	for {
		was := e.Load()
		now := was + 1
		if was>>8 > seq {
			return // the caller has given it up, and has gone on
		}
		if was>>8 < seq {
			now = seq<<8 | 1
		}
		if e.CompareAndSwap(was, now) {
			return
		}
	}
}

// times says how often a call was executed. known is false if the entry is for a later call of the
// caller, which has two calls at a time.
func (l *callLog) times(id, seq uint64) (n uint64, known bool) {
	e := l.entry(id, seq).Load()
	if e>>8 == seq {
		n = e & 0xff
	}
	return n, e>>8 <= seq
}

func idempotent(seq uint64) bool { return seq%4 == 0 }

// life is the common part of callers and servers.
type life struct {
	ctx  context.Context
	stop context.CancelFunc
	log  *callLog
	n    atomic.Uint64
}

func newLife() *life {
	l := &life{}
	l.ctx, l.stop = context.WithCancel(bg)
	var err error
	if l.log, err = openLog(); err != nil {
		fail("%v", err)
	}
	go func() {
		for in := bufio.NewScanner(os.Stdin); in.Scan() && strings.TrimSpace(in.Text()) == "count"; {
			fmt.Println(l.n.Load())
		}
		l.stop()
	}()
	return l
}

func fail(format string, args ...any) {
	fmt.Printf("failed: "+strings.ReplaceAll(format, "\n", " ")+"\n", args...)
	os.Exit(1)
}

// caller calls. args: its id, the number of calls of a life (0: there is one life without an end),
// and words: cancels, streams.
func caller(args []string) {
	var id, seq uint64
	var span int
	_, _ = fmt.Sscan(args[0], &id)
	_, _ = fmt.Sscan(args[1], &span)
	l := newLife()
	fmt.Println("ready")
	var next atomic.Uint64
	next.Store(seq)
	for l.ctx.Err() == nil {
		c, err := rpc.OpenClient("s", nil)
		if err != nil {
			fail("%v", err)
		}
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for n := 0; l.ctx.Err() == nil && (span == 0 || n < span); n++ {
					if err := l.call(c, id, next.Add(1), args[2]); err != nil {
						fail("call: %v", err)
					}
					l.n.Add(1)
				}
			})
		}
		wg.Wait()
		if err := c.Close(); err != nil {
			fail("%v", err)
		}
	}
	fmt.Println("had", l.n.Load())
}

// call makes one call, and checks how it ends.
func (l *life) call(c *rpc.Client, id, seq uint64, words string) (err error) {
	ctx := bg
	cancels := strings.Contains(words, "cancels") && rand.IntN(3) == 0
	streams := strings.Contains(words, "streams") && rand.IntN(3) == 0
	if cancels {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Duration(rand.IntN(400))*time.Microsecond)
		defer cancel()
	}
	k, err := c.Begin(ctx)
	if err != nil {
		if cancels && errors.Is(err, context.DeadlineExceeded) {
			return nil
		}
		return err
	}
	defer k.Release()
	binary.LittleEndian.PutUint64(k.Request(), id)
	binary.LittleEndian.PutUint64(k.Request()[8:], seq)
	ipctest.Fill(k.Request()[16:64], seq)
	if idempotent(seq) {
		k.MarkIdempotent()
	}
	parts := 0
	if streams {
		for b, perr := range k.Stream(ctx, 64) {
			if err = perr; err != nil {
				break
			}
			if err := right(b, id, seq, parts); err != nil {
				return err
			}
			parts++
			if parts == 3 && seq%5 == 0 {
				return nil // gives the call up
			}
		}
		if err == nil && parts != 5 {
			return fmt.Errorf("%d parts, want 5", parts)
		}
	} else if err = k.Do(ctx, 64); err == nil {
		err = right(k.Response(), id, seq, 0)
	}
	var died *rpc.PeerDiedError
	var ended *rpc.Error
	switch n, known := l.log.times(id, seq); {
	case err == nil:
		if known && (n == 0 || n > 1 && !idempotent(seq)) {
			return fmt.Errorf("call %d has an answer, and was executed %d times", seq, n)
		}
		return nil
	case cancels && errors.Is(err, context.DeadlineExceeded):
		return nil
	case streams && errors.As(err, &ended):
		return nil // the worker stops, and does not wait until there is room
	case errors.As(err, &died) && errors.Is(err, samepage.ErrPeerDied):
		if died.PID == 0 || time.Since(died.Noticed) > ipctest.Patience {
			return fmt.Errorf("not said who has died, or when: %+v", died)
		}
		if idempotent(seq) && !streams {
			return fmt.Errorf("an idempotent call has failed: %w", err)
		}
		return nil
	}
	return err
}

// right checks part i of the response to a call.
func right(b []byte, id, seq uint64, i int) error {
	if len(b) != 64 || binary.LittleEndian.Uint64(b) != id || binary.LittleEndian.Uint64(b[8:]) != seq {
		return fmt.Errorf("part %d of call %d of %d has %d bytes: %x", i, seq, id, len(b), b)
	}
	return ipctest.Check(b[16:], seq+uint64(i))
}

// server is a worker. args: the milliseconds of a life, at most; 0: there is one life without an
// end.
func server(args []string) {
	var span int
	_, _ = fmt.Sscan(args[0], &span)
	l := newLife()
	for first := true; first || l.ctx.Err() == nil; first = false {
		w, err := rpc.OpenWorker("s", nil)
		if err != nil {
			fail("%v", err)
		}
		if first {
			fmt.Println("ready")
		}
		ctx, cancel := l.ctx, func() {}
		if span > 0 {
			ctx, cancel = context.WithTimeout(ctx, time.Duration(rand.IntN(1000*span))*time.Microsecond)
		}
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				if err := w.Serve(ctx, l.answer); ctx.Err() == nil {
					fail("serve: %v", err)
				}
			})
		}
		wg.Wait()
		cancel()
		if err := w.Close(); err != nil {
			fail("%v", err)
		}
	}
	fmt.Println("had", l.n.Load())
}

func (l *life) answer(j *rpc.Job) error {
	req := j.Request()
	if len(req) != 64 {
		fail("a request of %d bytes", len(req))
	}
	id, seq := binary.LittleEndian.Uint64(req), binary.LittleEndian.Uint64(req[8:])
	if j.Idempotent() != idempotent(seq) {
		fail("call %d: idempotent %t", seq, j.Idempotent())
	}
	l.log.note(id, seq)
	if rand.IntN(8) == 0 {
		time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond)
	}
	parts := 1
	if j.Streams() {
		parts = 5
	}
	for i := range parts {
		b, err := j.Response(64)
		if err != nil {
			return err // the client has given it up
		}
		copy(b, req[:16])
		ipctest.Fill(b[16:], seq+uint64(i))
		if i < parts-1 {
			if err := j.Send(); err != nil {
				return err
			}
		}
	}
	if err := ipctest.Check(req[16:], seq); err != nil {
		fail("the request of call %d: %v", seq, err)
	}
	l.n.Add(1)
	return nil
}

// crowd is a service with processes that stay while others die.
type crowd struct {
	t   *testing.T
	c   *rpc.Client
	log *callLog
	ids int
	cs  []*ipctest.Child
}

func newCrowd(t *testing.T) *crowd {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	c := &crowd{t: t}
	m, err := samepage.Create("log", logCallers*logEntries*8, &samepage.Options{Sparse: true})
	ipctest.NoErr(t, err)
	c.log, err = openLog()
	ipctest.NoErr(t, errors.Join(err, m.Close()))
	c.c, err = rpc.CreateClient("s", crowdOptions)
	ipctest.NoErr(t, err)
	for _, spec := range []string{"server", "caller", "caller cancels"} {
		child := c.start(spec, 0, "")
		c.ready(child) // the worker comes first
		c.cs = append(c.cs, child)
	}
	return c
}

// start starts "server" or "caller words".
func (c *crowd) start(spec string, span int, crash string) *ipctest.Child {
	c.t.Helper()
	role, words, _ := strings.Cut(spec, " ")
	args := []string{fmt.Sprint(span)}
	if role == "caller" {
		c.ids++
		args = []string{fmt.Sprint(c.ids % logCallers), fmt.Sprint(span), words}
	}
	cmd := ipctest.Command(c.t, role, args...)
	cmd.Env = append(cmd.Env, "SAMEPAGE_FAULT="+crash)
	return ipctest.StartCmd(c.t, cmd)
}

// ready waits until a child is ready.
func (c *crowd) ready(child *ipctest.Child) {
	c.t.Helper()
	if l := child.Line(); l != "ready" {
		c.t.Fatal(l)
	}
}

func (c *crowd) count(i int) (n uint64) {
	c.t.Helper()
	l := c.cs[i].Ask("count")
	if _, err := fmt.Sscan(l, &n); err != nil {
		c.t.Fatal(l)
	}
	return n
}

// goOn checks that each process that stays goes on, and returns how long this took.
func (c *crowd) goOn() time.Duration {
	c.t.Helper()
	begun := time.Now()
	var first []uint64
	for i := range c.cs {
		first = append(first, c.count(i))
	}
	for i := range c.cs {
		for c.count(i) < first[i]+3 { // the calls of both goroutines have begun before
			if time.Since(begun) > ipctest.Patience/2 {
				st, err := rpc.Inspect("s", nil)
				c.t.Fatalf("survivor %d stands still: %+v, %v", i, st, err)
			}
			time.Sleep(100 * time.Microsecond)
		}
	}
	return time.Since(begun)
}

// finish ends the crowd. It checks that no call was executed twice, that no slot of a call or
// member is lost, and that nothing is left after the last process.
func (c *crowd) finish() {
	t := c.t
	t.Helper()
	for i := len(c.cs) - 1; i >= 0; i-- { // callers first
		c.cs[i].Send("end")
		var n uint64
		if l := c.cs[i].Line(); !strings.HasPrefix(l, "had ") {
			t.Error(l)
		} else if _, _ = fmt.Sscanf(l, "had %d", &n); n == 0 {
			t.Error("a survivor has had no call")
		}
		c.cs[i].Wait()
	}
	for id := range uint64(min(c.ids+1, logCallers)) {
		for k := range uint64(logEntries) {
			if e := c.log.entry(id, k).Load(); e&0xff > 1 && !idempotent(e>>8) {
				t.Errorf("call %d of caller %d was executed %d times", e>>8, id, e&0xff)
			}
		}
	}
	ctx, cancel := context.WithTimeout(bg, ipctest.Patience)
	defer cancel()
	var all []rpc.Call
	for range crowdOptions.Calls {
		k, err := c.c.Begin(ctx)
		ipctest.NoErr(t, err)
		all = append(all, k)
	}
	for i := range all {
		all[i].Release()
	}
	var keep []*rpc.Client
	for range crowdOptions.Members - 1 {
		m, err := rpc.OpenClient("s", nil)
		if err != nil {
			t.Fatalf("after %d members: %v", len(keep), err)
		}
		keep = append(keep, m)
	}
	for _, k := range append(keep, c.c) {
		ipctest.NoErr(t, k.Close())
	}
	ipctest.NoErr(t, errors.Join(c.log.v.Close(), c.log.m.Close()))
	left, err := samepage.List()
	ipctest.NoErr(t, err)
	if len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

package stream

import (
	"net"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"samepage"
	"samepage/internal/fault"
	"samepage/internal/forgotten"
	"samepage/internal/segment"
	"samepage/internal/sys/process"
	"samepage/layout"
)

// Conn is a connection. It is a net.Conn, an io.ReaderFrom and an io.WriterTo. Its methods may be
// called concurrently.
//
// If the process at the other end dies, Read returns what it had written, and then an error that
// matches samepage.ErrPeerDied and ECONNRESET. If the other end is closed, Read returns what it had
// written, and then io.EOF; Write returns an error that matches EPIPE. An operation that waits
// notices a death after 50 ms at the latest.
type Conn struct {
	*conn
	guard forgotten.Guard
}

func newConn(c *conn) *Conn {
	out := &Conn{conn: c}
	out.guard = forgotten.Watch(out, "connection", c.e.at.String(), func(c *conn) bool { _ = c.close(); return false }, c)
	return out
}

// conn is the part of a Conn to which other parts refer.
type conn struct {
	e *endpoint
	k int // its number, less than e.n
	// peer is the member at the other end. The dialer does not use it: State names the acceptor.
	peer     layout.Owner
	own, far end
	rd       reader
	wr       writer
	// users counts Close, and each operation that runs. The last one leaves the connection.
	users  atomic.Int32
	closed atomic.Bool
}

// end has the words of one end.
type end struct{ produced, consumed, readWaits, writeWaits, closed *uint64 }

func (e *endpoint) end(k int, off uintptr) end {
	t := e.table()
	return end{
		t.at(k, off), t.at(k, off+layout.EndConsumedOffset), t.at(k, off+layout.EndReadWaitsOffset),
		t.at(k, off+layout.EndWriteWaitsOffset), t.at(k, off+layout.EndClosedOffset),
	}
}

// conn makes this end of connection k. It takes over one use of e.
func (e *endpoint) conn(k int, peer layout.Owner) *conn {
	c := &conn{e: e, k: k, peer: peer}
	from, to := e.end(k, layout.ConnFromOffset), e.end(k, layout.ConnToOffset)
	up, down := e.mem[2*k*e.ring:][:e.ring], e.mem[(2*k+1)*e.ring:][:e.ring]
	c.own, c.far, c.wr.ring, c.rd.ring = to, from, down, up
	if e.dialer {
		c.own, c.far, c.wr.ring, c.rd.ring = from, to, up, down
	}
	c.users.Store(1)
	e.mine[k/64].Or(1 << (k % 64))
	return c
}

// clear makes the words of both ends zero.
//
// Preconditions:
//   - This member has claimed the connection.
func (c *conn) clear() {
	for _, e := range []end{c.own, c.far} {
		for _, word := range []*uint64{e.produced, e.consumed, e.readWaits, e.writeWaits, e.closed} {
			atomic.StoreUint64(word, 0)
		}
	}
}

// enter begins an operation, unless the connection is closed. exit ends it.
func (c *conn) enter() bool {
	for !c.closed.Load() {
		n := c.users.Load()
		if n == 0 {
			break
		}
		if c.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
	return false
}

func (c *conn) exit() (err error) {
	if c.users.Add(-1) > 0 {
		return nil
	}
	// A leader that looks at hints may be about to clear that of this connection. When the connection
	// is free, the hint belongs to another endpoint.
	c.e.h.BetweenLooks(func() { c.e.mine[c.k/64].And(^(uint64(1) << (c.k % 64))) })
	leave(c.e.h, int64(c.e.ring), c.k, c.e.h.Me())
	return c.e.release()
}

// Close closes the connection. Other calls that wait return net.ErrClosed. What was written can
// still be read at the other end. A second Close returns net.ErrClosed.
func (c *Conn) Close() error {
	c.guard.Done()
	return wrap("close", c.e.at, c.close())
}

func (c *conn) close() error {
	if c.closed.Swap(true) {
		return errClosed
	}
	c.shut(layout.ConnNoReads | layout.ConnNoWrites)
	c.e.h.Again(2 * c.k)
	c.e.h.Again(2*c.k + 1)
	c.rd.deadline.stop()
	c.wr.deadline.stop()
	return c.exit()
}

// shut says in Closed what this end does no more, and rings the other end.
func (c *conn) shut(bits uint64) {
	atomic.OrUint64(c.own.closed, bits)
	fault.At(fault.ConnClosed)
	c.ring()
}

// CloseWrite says that this end writes no more. The other end reads what was written, and then gets
// io.EOF. This end can still read. A Write or ReadFrom that runs returns an error that matches
// EPIPE. Errors: net.ErrClosed.
func (c *Conn) CloseWrite() error {
	defer runtime.KeepAlive(c)
	if !c.enter() {
		return wrap("close", c.e.at, errClosed)
	}
	c.wr.shut.Store(true) // before Closed: see over
	c.shut(layout.ConnNoWrites)
	c.e.h.Again(2*c.k + 1)
	return wrap("close", c.e.at, c.exit())
}

// ring makes the goroutines that wait at the other end look again (R2, R3).
func (c *conn) ring() {
	var peer layout.Owner
	hint := uintptr(layout.ListenerToDialerOffset)
	if c.e.dialer {
		s := c.e.table().load(c.k)
		if s.Phase() != layout.ConnOpen {
			return // nobody is there yet
		}
		peer, hint = s.Member(), layout.ListenerToAcceptorOffset
	} else {
		peer = c.peer
	}
	atomic.OrUint64(c.e.h.Live64(hint+uintptr(c.k/64)*8), 1<<(c.k%64))
	c.e.h.Ring(peer.Slot())
}

// other is the member on which this end depends.
func (c *conn) other() layout.Owner {
	if !c.e.dialer {
		return c.peer
	}
	switch s := c.e.table().load(c.k); s.Phase() {
	case layout.ConnAsked:
		return c.e.h.Owner()
	case layout.ConnOpen:
		return s.Member()
	}
	return 0
}

// lost says why nobody is at the other end, or returns nil.
func (c *conn) lost() error {
	s := c.e.table().load(c.k)
	switch s.Phase() {
	case layout.ConnAsked:
		if c.e.dialer && c.e.h.Owner() != 0 {
			return nil
		}
		return refused(" any more")
	case layout.ConnOpen:
		left, mine := layout.ConnAcceptorLeft, c.e.dialer || s.Member().Names(c.e.h.Me())
		if !c.e.dialer {
			left = layout.ConnDialerLeft
		}
		if s&left == 0 && mine {
			return nil
		}
		if mine {
			return c.died()
		}
	}
	return samepage.ErrCorrupt // this end has not left, so it has not ended
}

func (c *conn) died() error {
	w, ok := c.e.h.WhoIs(c.other())
	if !ok {
		return died("a process that has left")
	}
	return died(w.String())
}

// LocalAddr returns the address of the listener: an Addr. Both ends have it.
func (c *Conn) LocalAddr() net.Addr { return c.e.at }

// RemoteAddr is LocalAddr.
func (c *Conn) RemoteAddr() net.Addr { return c.e.at }

// Peer describes the process at the other end, as it has written it into the member table. For a
// connection that is not accepted yet, it is the process that listens. ok is false if there is none
// any more. The rights of the listener say who can be there at all.
func (c *Conn) Peer() (m samepage.Member, ok bool) {
	defer runtime.KeepAlive(c)
	if !c.enter() {
		return m, false
	}
	defer c.exit()
	w, ok := c.e.h.WhoIs(c.other())
	if !ok {
		return m, false
	}
	foreign, ended := process.Whereabouts(layout.Process{PID: w.PID, Start: w.Start}, w.Space)
	return samepage.Member{PID: int(w.PID), Name: w.Name, Joined: w.Joined, Alive: true, Foreign: foreign, Ended: ended}, true
}

// SetDeadline sets the deadlines of reads and writes, as net.Conn says.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline sets the deadline of Read and WriteTo, also of calls that wait already.
func (c *Conn) SetReadDeadline(t time.Time) error {
	defer runtime.KeepAlive(c)
	return wrap("set", c.e.at, c.setDeadline(&c.rd.deadline, 2*c.k, t))
}

// SetWriteDeadline sets the deadline of Write and ReadFrom, also of calls that wait already.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	defer runtime.KeepAlive(c)
	return wrap("set", c.e.at, c.setDeadline(&c.wr.deadline, 2*c.k+1, t))
}

func (c *conn) setDeadline(d *deadline, hint int, t time.Time) error {
	if !c.enter() {
		return errClosed
	}
	d.set(t, func() {
		// A goroutine that does not sleep yet looks at the deadline before it does.
		if d.asleep.Load() && c.enter() {
			c.e.h.Again(hint)
			_ = c.exit()
		}
	})
	return c.exit()
}

// deadline is the deadline of one direction.
type deadline struct {
	expired atomic.Bool
	asleep  atomic.Bool // a goroutine is in segment.Handle.Sleep, or just before it
	mu      sync.Mutex
	timer   *time.Timer
	number  int // of the last call of set
}

// set sets the deadline. again is called when it has expired.
func (d *deadline) set(t time.Time, again func()) {
	if d.change(t, again) {
		again()
	}
}

// change is the part of set that has the mutex. It reports whether the deadline has expired.
func (d *deadline) change(t time.Time, again func()) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.number++
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	left := time.Until(t)
	if t.IsZero() || left > 0 {
		d.expired.Store(false)
		if !t.IsZero() {
			number := d.number
			d.timer = time.AfterFunc(left, func() { d.expire(number, again) })
		}
		return false
	}
	d.expired.Store(true)
	return true
}

func (d *deadline) expire(number int, again func()) {
	d.mu.Lock()
	mine := number == d.number
	if mine {
		d.expired.Store(true)
	}
	d.mu.Unlock()
	if mine {
		again()
	}
}

func (d *deadline) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.number++
	if d.timer != nil {
		d.timer.Stop()
	}
}

// ready returns an error if an operation of this end cannot go on.
func (c *conn) ready(d *deadline) error {
	if c.closed.Load() {
		return errClosed
	}
	if d.expired.Load() {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// luck says whether looking in a loop is worth it: whether answers come soon. An end that waits
// long, such as that of an idle connection, does not spin.
type luck struct{ misses, backoff, skip int }

// After so many misses, an end does not spin the next few times: 4, and twice as many each time
// that it misses again. If one end of a large transfer sleeps, the other misses. So both must try
// again soon.
const (
	mostMisses = 4
	fewSkips   = 4
	mostSkips  = 16
)

// spinners counts the goroutines of this process that spin: at most one for each processor. If
// there were more, a goroutine with work to do would wait for all of them.
var spinners atomic.Int32

// spin looks until holds, if l says that it is worth it, and says whether it holds. It always lets
// other goroutines run first: what the other end waits for may be their work.
func (l *luck) spin(holds func() bool) bool {
	if segment.Yield(holds) {
		return true
	}
	if l.skip > 0 {
		l.skip--
		return false
	}
	if !segment.Spins() {
		return false
	}
	defer spinners.Add(-1)
	if int(spinners.Add(1)) > runtime.GOMAXPROCS(0) {
		return false
	}
	if spin(holds) {
		*l = luck{}
		return true
	}
	if l.misses++; l.misses >= mostMisses {
		l.backoff = min(max(fewSkips, 2*l.backoff), mostSkips)
		l.misses, l.skip = mostMisses-2, l.backoff
	}
	return false
}

// spinTime is longer than segment.SpinTime: before a server answers, several of its goroutines have
// work to do.
const spinTime = 100 * time.Microsecond

// spin looks until holds, for spinTime at the most. It gives way to goroutines of this process, and
// to threads of any process: in a loaded system the other end may need this very processor.
func spin(holds func() bool) bool {
	for begun := time.Now(); time.Since(begun) < spinTime; {
		for range 8 { // some microseconds
			segment.Pause(8)
			if holds() {
				return true
			}
		}
		if segment.Yield(holds) {
			return true
		}
		segment.GiveWay()
	}
	return false
}

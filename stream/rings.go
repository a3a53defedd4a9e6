package stream

import (
	"context"
	"io"
	"runtime"
	"sync"
	"sync/atomic"

	"samepage"
	"samepage/internal/fault"
	"samepage/internal/sys"
	"samepage/layout"
)

// reader is the reading side of an end. Its mutex is held by the one goroutine that reads.
type reader struct {
	sync.Mutex
	ring     []byte
	consumed uint64 // own.consumed, which only this end writes
	avail    uint64 // bytes in the ring when it was last looked at; only less than there are
	number   uint64 // own.readWaits
	rungFor  uint64 // the far.writeWaits for which the other end was rung
	eof      bool   // io.EOF was returned: nothing comes after it
	luck     luck
	deadline deadline
}

// writer is the writing side. Its mutex is held by the one goroutine that writes.
type writer struct {
	sync.Mutex
	ring     []byte
	produced uint64 // own.produced, which only this end writes
	free     uint64 // room in the ring when it was last looked at
	reserved int    // bytes of the ring, from its beginning, that the system has reserved
	want     uint64 // own.writeWaits
	rungFor  uint64 // the far.readWaits for which the other end was rung
	luck     luck
	shut     atomic.Bool // CloseWrite was called
	deadline deadline
}

// A reader takes bytes and gives back their space:
//
//	T1  load far.produced                      (acquire)
//	T2  copy
//	T3  own.consumed = the new number          (full fence)
//	T4  load far.writeWaits; if it is reached, ring

// look is T1. It returns the bytes that are in the ring. Errors: io.EOF, samepage.ErrPeerDied,
// ErrCorrupt.
func (c *conn) look() (uint64, error) {
	r := &c.rd
	if r.avail > 0 {
		return r.avail, nil
	}
	if r.eof {
		return 0, io.EOF
	}
	for ended := error(nil); ; {
		n := atomic.LoadUint64(c.far.produced) - r.consumed
		if n > uint64(len(r.ring)) {
			return 0, samepage.ErrCorrupt
		}
		if n > 0 || ended != nil {
			r.avail = n
			if n > 0 {
				ended = nil
			}
			r.eof = ended == io.EOF
			return n, ended
		}
		// An end sets Closed before it leaves, so State is loaded first. The other end may have
		// written before it ended: look once more.
		ended = c.lost()
		if atomic.LoadUint64(c.far.closed)&layout.ConnNoWrites != 0 {
			ended = io.EOF
		} else if ended == nil {
			return 0, nil
		}
	}
}

// part returns the bytes that can be read next in one piece.
func (r *reader) part(n uint64) []byte {
	at := r.consumed & uint64(len(r.ring)-1)
	return r.ring[at:min(at+n, uint64(len(r.ring)))]
}

// took is T3 and T4, for n bytes.
func (c *conn) took(n int) {
	r := &c.rd
	fault.At(fault.ConnRead)
	r.consumed += uint64(n)
	r.avail -= uint64(n)
	atomic.StoreUint64(c.own.consumed, r.consumed)
	fault.At(fault.ConnConsumed)
	if want := atomic.LoadUint64(c.far.writeWaits); want != 0 && want != r.rungFor && int64(r.consumed-want) >= 0 {
		r.rungFor = want
		c.ring()
	}
}

// Read reads up to len(b) bytes. It waits until there is at least one.
//
// Errors: io.EOF; os.ErrDeadlineExceeded; samepage.ErrPeerDied (it matches ECONNRESET, too),
// ErrClosed (it matches net.ErrClosed, too), ErrCorrupt.
func (c *Conn) Read(b []byte) (n int, err error) {
	n, err = c.read(b)
	runtime.KeepAlive(c)
	if err != nil && err != io.EOF {
		err = wrap("read", c.e.at, err)
	}
	return n, err
}

func (c *conn) read(b []byte) (n int, err error) {
	if !c.enter() {
		return 0, errClosed
	}
	defer c.exit()
	c.rd.Lock()
	defer c.rd.Unlock()
	have, err := c.await(len(b) == 0)
	if err != nil || len(b) == 0 {
		return 0, err
	}
	for n < len(b) && have > 0 {
		k := 0
		if !sys.Guard(c.rd.ring, func() { k = copy(b[n:], c.rd.part(min(have, piece))) }) {
			return n, samepage.ErrCorrupt
		}
		c.edgeAcquire()
		c.took(k)
		n += k
		if have, err = c.look(); err != nil {
			break // the next call returns it
		}
	}
	return n, nil
}

// await waits until there are bytes, unless look is set, and returns their number.
func (c *conn) await(look bool) (uint64, error) {
	for {
		if err := c.ready(&c.rd.deadline); err != nil {
			return 0, err
		}
		if n, err := c.look(); n > 0 || err != nil || look {
			return n, err
		}
		if err := c.waitToRead(); err != nil {
			return 0, err
		}
	}
}

func (c *conn) waitToRead() error {
	r := &c.rd
	w := (*readWait)(c)
	if r.luck.spin(w.Holds) {
		return nil
	}
	r.number++
	atomic.StoreUint64(c.own.readWaits, r.number)
	fault.At(fault.ConnWaits)
	r.deadline.asleep.Store(true)
	err := c.e.h.Sleep(context.Background(), w)
	r.deadline.asleep.Store(false)
	r.number++
	atomic.StoreUint64(c.own.readWaits, r.number)
	return err
}

// readWait is the segment.Condition of a goroutine that reads.
type readWait conn

func (w *readWait) Try() (bool, error) { return w.Holds(), nil }
func (w *readWait) Holds() bool {
	c := (*conn)(w)
	return atomic.LoadUint64(c.far.produced) != c.rd.consumed || atomic.LoadUint64(c.far.closed)&layout.ConnNoWrites != 0 ||
		c.ready(&c.rd.deadline) != nil || c.lost() != nil
}
func (w *readWait) DependsOn(k int) layout.Owner { return (*conn)(w).dependsOn(k) }
func (*readWait) NeedsName() bool                { return false }
func (w *readWait) Hint() int                    { return 2 * w.k }

func (c *conn) dependsOn(k int) layout.Owner {
	if k > 0 {
		return 0
	}
	return c.other()
}

// WriteTo writes what comes to w, until io.EOF. It gives w the bytes where they lie in shared
// memory, so it saves a copy. The process at the other end could change them while w reads them:
// a w that checks what it gets must copy it first.
func (c *Conn) WriteTo(w io.Writer) (n int64, err error) {
	n, err = c.writeTo(w)
	runtime.KeepAlive(c)
	return n, err
}

func (c *conn) writeTo(w io.Writer) (n int64, err error) {
	if !c.enter() {
		return 0, wrap("read", c.e.at, errClosed)
	}
	defer c.exit()
	c.rd.Lock()
	defer c.rd.Unlock()
	for {
		have, err := c.await(false)
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, wrap("read", c.e.at, err)
		}
		c.edgeAcquire()
		b := c.rd.part(min(have, piece))
		k, err := w.Write(b)
		if k < 0 || k > len(b) {
			k, err = 0, io.ErrShortWrite
		}
		c.took(k)
		n += int64(k)
		if err == nil && k < len(b) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return n, err
		}
	}
}

// A writer copies bytes and publishes them:
//
//	P1  load far.consumed                      (acquire)
//	P2  copy
//	P3  own.produced = the new number          (full fence)
//	P4  load far.readWaits, then far.consumed; if the first is odd and there are bytes, ring

// piece is the number of bytes that are published, or given back, at a time. So the reader copies
// one piece while the writer copies the next. The system reserves a ring in such pieces, too.
const piece = 64 << 10

// room is P1. It returns the room in the ring. Errors: those of Write.
func (c *conn) roomIn() (uint64, error) {
	w := &c.wr
	if w.shut.Load() {
		return 0, errNoWrites
	}
	lost := c.lost() // before Closed, as in look
	if atomic.LoadUint64(c.far.closed)&layout.ConnNoReads != 0 {
		return 0, errPeerGone
	}
	if lost != nil {
		return 0, lost
	}
	if w.free == 0 {
		used := w.produced - atomic.LoadUint64(c.far.consumed)
		if used > uint64(len(w.ring)) {
			return 0, samepage.ErrCorrupt
		}
		w.free = uint64(len(w.ring)) - used
	}
	return w.free, nil
}

// space waits until there is room, and returns where the next bytes go: up to most, in one piece.
func (c *conn) space(most int) ([]byte, error) {
	w := &c.wr
	for {
		if err := c.ready(&w.deadline); err != nil {
			return nil, err
		}
		free, err := c.roomIn()
		if err != nil {
			return nil, err
		}
		if free == 0 {
			if err := c.waitToWrite(most); err != nil {
				return nil, err
			}
			continue
		}
		at := int(w.produced & uint64(len(w.ring)-1))
		end := min(at+int(min(free, uint64(most), piece)), len(w.ring))
		return w.ring[at:end], c.reserve(end)
	}
}

// reserve reserves the ring up to end.
func (c *conn) reserve(end int) error {
	w := &c.wr
	if end <= w.reserved {
		return nil
	}
	to := min((end+piece-1)&^(piece-1), len(w.ring))
	first := 2 * c.k
	if !c.e.dialer {
		first++
	}
	n := int64(to - w.reserved)
	if err := c.e.h.Reserve(int64(first)*int64(len(w.ring))+int64(w.reserved), n, n); err != nil {
		return err
	}
	w.reserved = to
	return nil
}

// put is P3, for n bytes, and P4 if half of the ring is full. The caller calls wake before it
// returns or waits for anything but room: a reader that is woken late finds more.
func (c *conn) put(n int) {
	w := &c.wr
	fault.At(fault.ConnWritten)
	w.produced += uint64(n)
	w.free -= uint64(n)
	c.edgeRelease()
	atomic.StoreUint64(c.own.produced, w.produced)
	fault.At(fault.ConnPublished)
	if w.produced-atomic.LoadUint64(c.far.consumed) >= uint64(len(w.ring)/2) {
		c.wake()
	}
}

// wake is P4. A reader that has read everything already and waits for more is not rung: it would
// sleep on with the same number in ReadWaits, and would not be rung again for that number.
func (c *conn) wake() {
	w := &c.wr
	waits := atomic.LoadUint64(c.far.readWaits)
	if waits&1 != 0 && waits != w.rungFor && atomic.LoadUint64(c.far.consumed) != w.produced {
		w.rungFor = waits
		c.ring()
	}
}

// Write writes b. It waits while the ring is full.
//
// Errors: os.ErrDeadlineExceeded; an error that matches EPIPE (the other end is closed, or
// CloseWrite was called); samepage.ErrPeerDied (it matches ECONNRESET, too), ErrClosed (it matches
// net.ErrClosed, too), ErrNoSpace, ErrCorrupt.
func (c *Conn) Write(b []byte) (n int, err error) {
	n, err = c.write(b)
	runtime.KeepAlive(c)
	return n, wrap("write", c.e.at, err)
}

func (c *conn) write(b []byte) (n int, err error) {
	if !c.enter() {
		return 0, errClosed
	}
	defer c.exit()
	c.wr.Lock()
	defer c.wr.Unlock()
	if len(b) == 0 {
		return 0, c.ready(&c.wr.deadline)
	}
	defer c.wake()
	for n < len(b) {
		to, err := c.space(len(b) - n)
		if err != nil {
			return n, err
		}
		k := 0
		if !sys.Guard(c.wr.ring, func() { k = copy(to, b[n:]) }) {
			return n, samepage.ErrCorrupt
		}
		c.put(k)
		if err := c.over(); err != nil {
			return n, err
		}
		n += k
	}
	return n, nil
}

// over returns an error if the writing was ended meanwhile: the other end may have had io.EOF
// before it could see the bytes that were put last.
func (c *conn) over() error {
	switch {
	case c.closed.Load():
		return errClosed
	case c.wr.shut.Load():
		return errNoWrites
	}
	return nil
}

func (c *conn) waitToWrite(most int) error {
	w := &c.wr
	// Less room is not worth a wake.
	w.want = w.produced - uint64(len(w.ring)) + uint64(min(most, len(w.ring)/4))
	wait := (*writeWait)(c)
	if w.luck.spin(wait.Holds) {
		return nil
	}
	atomic.StoreUint64(c.own.writeWaits, w.want)
	fault.At(fault.ConnWaits)
	w.deadline.asleep.Store(true)
	err := c.e.h.Sleep(context.Background(), wait)
	w.deadline.asleep.Store(false)
	atomic.StoreUint64(c.own.writeWaits, 0)
	return err
}

// writeWait is the segment.Condition of a goroutine that writes.
type writeWait conn

func (w *writeWait) Try() (bool, error) { return w.Holds(), nil }
func (w *writeWait) Holds() bool {
	c := (*conn)(w)
	return int64(atomic.LoadUint64(c.far.consumed)-c.wr.want) >= 0 || atomic.LoadUint64(c.far.closed)&layout.ConnNoReads != 0 ||
		c.wr.shut.Load() || c.ready(&c.wr.deadline) != nil || c.lost() != nil
}
func (w *writeWait) DependsOn(k int) layout.Owner { return (*conn)(w).dependsOn(k) }
func (*writeWait) NeedsName() bool                { return false }
func (w *writeWait) Hint() int                    { return 2*w.k + 1 }

// ReadFrom writes what r gives, until io.EOF. r writes the bytes where the other end reads them, so
// it saves a copy. Other calls of Write wait until ReadFrom returns.
func (c *Conn) ReadFrom(r io.Reader) (n int64, err error) {
	n, err = c.readFrom(r)
	runtime.KeepAlive(c)
	return n, err
}

func (c *conn) readFrom(r io.Reader) (n int64, err error) {
	if !c.enter() {
		return 0, wrap("write", c.e.at, errClosed)
	}
	defer c.exit()
	c.wr.Lock()
	defer c.wr.Unlock()
	for {
		to, err := c.space(piece)
		if err != nil {
			return n, wrap("write", c.e.at, err)
		}
		k, err := r.Read(to)
		if k < 0 || k > len(to) {
			return n, io.ErrShortBuffer
		}
		if k > 0 {
			c.put(k)
			c.wake() // r may take long for the next bytes
			if err := c.over(); err != nil {
				return n, wrap("write", c.e.at, err)
			}
			n += int64(k)
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// edgeRelease and edgeAcquire tell the race detector that what was done before a Write comes before
// what is done after the Read that got its bytes.
func (c *conn) edgeRelease() { c.e.h.Edges.Release(c.edge(c.e.dialer)) }
func (c *conn) edgeAcquire() { c.e.h.Edges.Acquire(c.edge(!c.e.dialer)) }

func (c *conn) edge(up bool) uint64 {
	n := uint64(2 * c.k)
	if up {
		n++
	}
	return n
}

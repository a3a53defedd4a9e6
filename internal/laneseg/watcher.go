package laneseg

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync/atomic"
	"time"

	"samepage/internal/lane"
	"samepage/internal/object"
	"samepage/internal/segment"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// Watcher copies the messages of a topic, or the values of a cell, without joining it. Nobody waits
// for it, so it misses what is overwritten before it was copied. docs/protocol/lane.md, Watching,
// has the protocol.
//
// Only one goroutine at a time may call the methods.
type Watcher struct {
	spec   object.Spec
	m      *segment.Mapped
	set    *lane.Set
	typ    segment.Type
	most   int // bytes that are copied of each message; negative: all
	sum    bool
	times  bool
	lanes  []*lane.Watcher
	cell   *lane.CellWatcher // instead of lanes
	want   []uint64          // of each lane: the number that comes next; 0: not known
	ends   []uint64          // of each lane, when the Watcher began
	owners bool              // somebody has published since then
	at     int               // the lane that comes next
	closed bool

	// The rest of a pack, for Next.
	pack  []byte
	from  Copy // the lane and time of all its messages
	parts []piece
}

// piece is a message in a pack.
type piece struct {
	seq    uint64
	off, n uint32
}

// Copy is a message or a value that a Watcher has copied.
type Copy struct {
	Seq    uint64 // number of the message in its lane, or generation of the value
	Missed uint64 // messages of this lane, or values, before this one that were not copied
	Lane   int
	Time   time.Time // zero: the segment has no times
	Size   int       // bytes of the message
	Data   []byte    // the message, or its first bytes
}

// Watch begins to watch the segment of o. from is lane.Oldest, Newest or Now. most is how many
// bytes it copies of each message; if it is negative it copies all.
//
// Errors: those of object.Open and segment.MapOnly.
func Watch(o *object.Spec, from uint64, most int) (*Watcher, error) {
	obj, err := object.Open(o)
	if err != nil {
		return nil, err
	}
	m, err := segment.MapOnly(obj, o.Kind, layout.LaneWordsOffset)
	if err != nil {
		return nil, err
	}
	w := &Watcher{spec: *o, m: m, most: most}
	bad := m.Guard(func() { err = w.begin(from) })
	if err = errors.Join(obj.Damaged(err), bad); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return w, nil
}

func (w *Watcher) begin(from uint64) (err error) {
	if w.set, err = open(w.m.Handle(), w.m.Payload(), w.spec.Kind); err != nil {
		return err
	}
	if w.typ, err = w.m.Handle().Type(); err != nil {
		return err
	}
	// Slots have space up to Used. A wrong Used leads to a fault, which Guard stops.
	w.set.Later(func(_, _, _ uint64) error { return nil })
	w.sum = w.set.C.Flags&layout.LaneChecksum != 0
	w.times = w.set.C.Flags&layout.LaneTime != 0
	w.want = make([]uint64, max(w.set.C.Lanes, 1))
	if w.spec.Kind == layout.Cell {
		w.cell = lane.NewCellWatcher(w.set)
		if c, err := w.cell.Load(); err == nil && c != nil {
			w.want[0] = c.Seq
			if from == lane.Now {
				w.want[0]++
			} else {
				w.cell.Unpin() // so it counts as changed
			}
		}
		return nil
	}
	for l := range w.want {
		lw := lane.NewWatcher(w.set, l, from)
		w.lanes = append(w.lanes, lw)
		if w.set.C.Pack == 0 {
			w.want[l] = lw.Next()
		}
		w.ends = append(w.ends, atomic.LoadUint64(w.set.Ends(l)))
		w.owners = w.owners || atomic.LoadUint64(w.set.Owner(l)) != 0
	}
	return nil
}

// ID identifies the object. Type is the type of its messages.
func (w *Watcher) ID() layout.ID      { return w.m.ID() }
func (w *Watcher) Type() segment.Type { return w.typ }

// Close ends the watching.
func (w *Watcher) Close() error {
	if w.closed {
		return nil
	}
	w.closed = true
	return w.m.Close()
}

// tries is how often a Watcher copies again when what it copied was overwritten meanwhile.
const tries = 64

// Next copies the next message or value, if there is one. Data lies in buf if that has room.
//
// Errors: layout.ErrCorrupt; object.ErrChecksum, for one message; fs.ErrClosed.
func (w *Watcher) Next(buf []byte) (c Copy, ok bool, err error) {
	return w.guarded(func() (Copy, bool, error) {
		if w.cell != nil {
			if !w.cell.Changed() {
				return Copy{}, false, nil
			}
			return w.value(buf, true)
		}
		if len(w.parts) > 0 {
			return w.part(buf), true, nil
		}
		for range w.lanes {
			l := w.at
			w.at = (l + 1) % len(w.lanes)
			c, ok, err := w.message(l, buf)
			if len(w.parts) > 0 {
				c = w.part(buf)
			}
			if ok || err != nil {
				return c, ok, err
			}
		}
		return Copy{}, false, nil
	})
}

// Newest copies the newest message or value, also if it was copied before. The next Next begins
// after it. If there are several lanes, it is the message with the latest time. Without times it is
// the newest message of a lane that has one that was not copied yet, in turn. ok is false if there
// is no message yet, or if each was overwritten while it was copied.
//
// Errors: those of Next.
func (w *Watcher) Newest(buf []byte) (c Copy, ok bool, err error) {
	return w.guarded(func() (Copy, bool, error) {
		if w.cell != nil {
			return w.value(buf, false)
		}
		w.parts = w.parts[:0]
		for range tries {
			l, ok := w.newestLane()
			if !ok {
				return Copy{}, false, nil
			}
			w.lanes[l].SeekNewest()
			c, ok, err := w.message(l, buf)
			if !ok && err == nil {
				continue
			}
			if n := len(w.parts); n > 0 { // of a pack the last message is the newest
				w.parts = w.parts[n-1:]
				c = w.part(buf)
			}
			w.at = (l + 1) % len(w.lanes)
			return c, ok, err
		}
		return Copy{}, false, nil
	})
}

func (w *Watcher) guarded(f func() (Copy, bool, error)) (c Copy, ok bool, err error) {
	if w.closed {
		return c, false, fs.ErrClosed
	}
	if bad := w.m.Guard(func() { c, ok, err = f() }); bad != nil {
		return Copy{}, false, bad
	}
	return c, ok, err
}

// newestLane says which lane has the newest message.
func (w *Watcher) newestLane() (best int, found bool) {
	if len(w.lanes) == 1 {
		return 0, true
	}
	var latest int64
	for k := range w.lanes {
		l := (w.at + k) % len(w.lanes)
		lw := w.lanes[l]
		next := lw.Next()
		lw.SeekNewest()
		var m lane.Message
		ok, err := lw.Try(&m)
		if !ok || err != nil {
			continue
		}
		// Lanes with something new come before others. want does not count packs.
		fresh := int64(0)
		if m.Seq >= next {
			fresh = 1
		}
		if w.times {
			fresh = lw.Time(&m)
		}
		if !found || fresh > latest {
			best, found, latest = l, true, fresh
		}
	}
	return best, found
}

// message copies the next message of a lane. In a segment with packs it copies a pack, and sets
// parts.
func (w *Watcher) message(l int, buf []byte) (Copy, bool, error) {
	lw := w.lanes[l]
	var m lane.Message
	for range tries {
		ok, err := lw.Try(&m)
		if err != nil {
			return Copy{}, false, fmt.Errorf("lane %d: %w", l, err)
		}
		if !ok {
			if lw.Lost() {
				continue
			}
			return Copy{}, false, nil
		}
		n := w.part32(m.Len)
		if w.set.C.Pack > 0 {
			n, buf = m.Len, w.pack
		}
		buf = slices.Grow(buf[:0], int(n))[:n]
		got, ok := lw.Copy(&m, buf)
		if !ok {
			continue
		}
		c := Copy{Seq: m.Seq, Lane: l, Size: int(m.Len), Data: buf}
		if w.times {
			c.Time = time.Unix(0, got.Time)
		}
		if err := w.check("message", &m, got.Sum, buf); err != nil {
			w.want[l] = 0
			if w.set.C.Pack == 0 {
				w.want[l] = m.Seq + 1
			}
			return Copy{}, false, err
		}
		if w.set.C.Pack > 0 {
			w.pack = buf
			err := w.unpack(c)
			return c, err == nil, err
		}
		return w.counted(c), true, nil
	}
	return Copy{}, false, nil
}

// part32 is how many of n bytes are copied.
func (w *Watcher) part32(n uint32) uint32 {
	if w.most >= 0 && uint64(w.most) < uint64(n) {
		return uint32(w.most)
	}
	return n
}

// check compares a message with its checksum, if all of it was copied.
func (w *Watcher) check(what string, m *lane.Message, sum uint32, b []byte) error {
	if !w.sum || len(b) < int(m.Len) {
		return nil
	}
	return checkSum(what, b, sum, m)
}

// counted sets how many messages were missed before c.
func (w *Watcher) counted(c Copy) Copy {
	if want := w.want[c.Lane]; want > 0 && c.Seq > want {
		c.Missed = c.Seq - want
	}
	w.want[c.Lane] = max(w.want[c.Lane], c.Seq+1)
	return c
}

// unpack finds the messages in a pack that was copied.
func (w *Watcher) unpack(c Copy) error {
	largest := uint32(w.set.C.Largest())
	h, err := layout.ParsePack(c.Data, largest)
	if err != nil {
		w.want[c.Lane] = 0
		return fmt.Errorf("lane %d: %w", c.Lane, err)
	}
	w.from, w.parts = c, w.parts[:0]
	at := h.Begin()
	for i := range h.Count {
		n := h.Size
		if n == 0 {
			if n, err = layout.PackLength(c.Data, i, at, largest); err != nil {
				w.want[c.Lane] = 0
				w.parts = w.parts[:0]
				return fmt.Errorf("lane %d: %w", c.Lane, err)
			}
		}
		w.parts = append(w.parts, piece{h.First + uint64(i), at, n})
		at += layout.PackAligned(n)
	}
	return nil
}

// part takes the next message of the pack.
func (w *Watcher) part(buf []byte) Copy {
	p := w.parts[0]
	w.parts = w.parts[1:]
	c := w.from
	c.Seq, c.Size = p.seq, int(p.n)
	c.Data = append(buf[:0], w.pack[p.off:][:w.part32(p.n)]...)
	return w.counted(c)
}

// value copies the value of a cell. If news is set, it copies only one that was not copied before.
func (w *Watcher) value(buf []byte, news bool) (Copy, bool, error) {
	for range tries {
		m, err := w.cell.Load()
		if m == nil || err != nil {
			return Copy{}, false, err
		}
		if news && m.Seq < w.want[0] {
			return Copy{}, false, nil
		}
		v := *m
		n := w.part32(v.Len)
		buf = slices.Grow(buf[:0], int(n))[:n]
		got, ok := w.cell.Copy(&v, buf)
		if !ok {
			continue
		}
		c := Copy{Seq: v.Seq, Size: int(v.Len), Data: buf}
		if w.times {
			c.Time = time.Unix(0, got.Time)
		}
		if err := w.check("value", &v, got.Sum, buf); err != nil {
			return Copy{}, false, err
		}
		return w.counted(c), true, nil
	}
	return Copy{}, false, nil
}

// Writers returns the number of living writers, and nil if messages may still come.
//
// Errors: io.EOF (all writers that there were since Watch have ended their streams), ErrCut (the
// last one has died or has cut its stream), syserr.ErrNameGone (the name no longer leads to this
// segment), fs.ErrClosed.
func (w *Watcher) Writers() (living int, err error) {
	if w.closed {
		return 0, fs.ErrClosed
	}
	gone, err := w.peek(&living)
	if living > 0 || err != nil {
		w.owners = w.owners || living > 0
		return living, err
	}
	if w.cell != nil {
		return 0, gone
	}
	ended, cut := false, false
	err = w.m.Guard(func() {
		for l, was := range w.ends {
			now := atomic.LoadUint64(w.set.Ends(l))
			owner := atomic.LoadUint64(w.set.Owner(l)) != 0 // it is dead, and nobody has noticed
			cut = cut || owner || now>>32 != was>>32
			ended = ended || uint32(now) != uint32(was)
		}
	})
	switch {
	case err != nil:
		return 0, err
	case cut:
		return 0, ErrCut
	case ended:
		return 0, io.EOF
	case gone != nil && w.owners:
		return 0, ErrCut
	}
	return 0, gone
}

// peek counts the living writers. gone says that the name does not lead to this segment.
func (w *Watcher) peek(living *int) (gone, err error) {
	obj, err := object.Open(&w.spec)
	if errors.Is(err, fs.ErrNotExist) {
		return syserr.ErrNameGone, nil
	}
	if err != nil {
		return nil, err
	}
	if obj.Sys.ID != w.m.ID() {
		return syserr.ErrNameGone, obj.Release()
	}
	role := writerRole(w.spec.Kind)
	return nil, segment.Peek(obj, w.spec.Kind, layout.LaneWordsOffset, func(_ *segment.Handle, members []segment.Seen) {
		for _, m := range members {
			if m.Alive && m.Role == role {
				*living++
			}
		}
	})
}

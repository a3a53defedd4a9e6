// Package lane has two lock-free protocols. With one of them a writer hands messages to many
// readers, who read them in place. With the other a cell has one latest value. The package works
// on plain bytes, makes no system calls, and never waits. The packages above decide who is alive,
// who sleeps and who rings. docs/protocol/lane.md describes the protocols and names their steps.
package lane

import (
	"fmt"
	"math"
	"sync/atomic"

	"samepage/internal/edge"
	"samepage/internal/option"
	"samepage/layout"
)

// Set has the lanes of a topic, or the slots of a cell, in the bytes of a segment.
type Set struct {
	C layout.LaneConfig
	// Edges are for the race detector, see edges.go.
	Edges edge.Object
	o     layout.LaneOffsets

	live, payload []byte

	reserve func(off, n, more uint64) error // see Later; nil: all bytes have space
	// ready is the number of slots of each lane that this process may touch.
	ready []atomic.Uint32
}

// Settings describe a new Set.
type Settings struct {
	Lanes      int   // number of writers at a time
	Depth      int   // messages that a late joiner can still get
	MaxSize    int64 // bytes of the largest message
	Pack       int64 // bytes of the messages of a pack; 0: no packs
	Readers    int   // number of all members
	Holds      int   // messages that a reader may keep besides the one that it reads
	Loans      int   // slots that a writer may have on loan at a time
	EvictAfter int64 // nanoseconds; see layout.LaneConfig
	Named      int   // places of named readers
	Flags      uint32
}

// MaxSize is the largest payload, in bytes.
const MaxSize = 1<<32 - 1

// A lane has more slots than necessary, so that reclaiming is rare: the writer looks at the pins
// once in so many messages.
const (
	spareSlots = 65        // so many it has more
	spareBytes = 64 << 10  // but not more than have so many bytes
	packBytes  = 256 << 10 // the same for packs
	leastSpare = 3         // so many it has more, also if they have more than spareBytes,
	leastBytes = 4 << 20   // but not more than have so many bytes
	smallSlot  = 4096      // bytes; with larger slots the step is a quarter of the depth
)

// Config computes the layout of a new Set of lanes.
//
// Errors: fs.ErrInvalid, for settings out of range.
func (s *Settings) Config() (*layout.LaneConfig, *layout.LaneOffsets, error) {
	if err := s.check(); err != nil {
		return nil, nil, err
	}
	c := s.config()
	step := s.Depth
	if c.SlotSize > smallSlot {
		step = (s.Depth + 3) / 4
	}
	c.Lanes, c.Entries, c.Step = uint32(s.Lanes), uint32(s.Depth+step), uint32(step)
	return s.finish(c)
}

// K is the number of values of a cell that stay unchanged after a newer one was written: as many as
// have keptBytes, but from leastKept to mostKept. A reader must be interrupted for as long as so
// many values are written before it has to look again.
const (
	leastKept = 2
	mostKept  = 32
	keptBytes = 256 << 10
)

// CellConfig computes the layout of a new cell.
//
// Errors: fs.ErrInvalid, for settings out of range.
func (s *Settings) CellConfig() (*layout.LaneConfig, *layout.LaneOffsets, error) {
	t := *s
	t.Lanes, t.Depth, t.Loans, t.EvictAfter, t.Pack = 1, 1, 1, 0, 0
	if err := t.check(); err != nil {
		return nil, nil, err
	}
	c := t.config()
	c.Step = uint32(min(max(keptBytes/c.SlotSize, leastKept), mostKept))
	return t.finish(c)
}

func (s *Settings) check() error {
	for _, x := range []struct {
		what     string
		v, least int64
		most     int64
	}{
		{"Publishers", int64(s.Lanes), 1, layout.MaxLanes},
		{"Depth", int64(s.Depth), 1, layout.MaxEntries / 2},
		{"Members", int64(s.Readers), 1, layout.MaxMembers},
		{"Holds", int64(s.Holds), 0, layout.MaxPins - 1},
		{"Loans", int64(s.Loans), 1, layout.MaxLoans},
		{"EvictAfter", s.EvictAfter, 0, math.MaxInt64},
		{"NamedReaders", int64(s.Named), 0, layout.MaxNamed},
	} {
		if err := option.Range(x.what, x.v, x.least, x.most); err != nil {
			return err
		}
	}
	if err := option.SizeOption("MaxSize", s.MaxSize, MaxSize); err != nil || s.Pack == 0 {
		return err
	}
	if s.MaxSize > layout.MaxPack {
		return option.Range("MaxSize with Pack", s.MaxSize, 1, layout.MaxPack)
	}
	return option.Range("Pack", s.Pack, int64(layout.PackAligned(uint32(s.MaxSize))), layout.MaxPack)
}

func (s *Settings) config() *layout.LaneConfig {
	c := &layout.LaneConfig{
		MaxSize: uint64(s.MaxSize), Readers: uint32(s.Readers), Pins: uint32(s.Holds + 1), Loans: uint32(s.Loans),
		EvictAfter: s.EvictAfter, Flags: s.Flags, Named: uint32(s.Named),
	}
	if s.Pack > 0 {
		c.Pack, c.Message, c.MaxSize = uint32(s.Pack), uint32(s.MaxSize), uint64(layout.PackHeaderSize+s.Pack)
	}
	c.SlotSize = (layout.SlotHeaderSize + c.MaxSize + 127) &^ 127
	return c
}

func (s *Settings) finish(c *layout.LaneConfig) (*layout.LaneConfig, *layout.LaneOffsets, error) {
	n := c.LeastSlots()
	n += spare(c)
	// Each setting is in range, but together they may need too many slots.
	if err := option.Range("the number of slots that Depth, Members, Holds and Loans need", n, 1, layout.MaxSlots); err != nil {
		return nil, nil, err
	}
	c.Slots = uint32(n)
	o, err := c.Offsets()
	return c, o, err
}

// spare is the number of slots more than necessary.
//
// For small slots their number decides in which order slots are used: what is reclaimed together
// is used in reverse order. So with 64 slots at a time, which divide the number of entries, each
// two pages are used in turn from their begin and from their end, and the prefetchers of the
// reader's processor, which take lines away from the writer, do not run far. A stream of 64 B was
// measured with 5 to 2049 spare slots: 65 are the fastest, and all others that were tried have 0.5
// to 0.9 of that speed. Any order in which slots are far from one another has 0.6 of it.
//
// The least number is for slots of up to a few MiB: a slot that the reader has just read is still
// in its cache, and is dear to write. A stream of 1 MiB is faster by a fifth with 3 of them.
func spare(c *layout.LaneConfig) uint64 {
	bytes := uint64(spareBytes)
	if c.Pack > 0 {
		bytes = packBytes
	}
	n := min(spareSlots, bytes/c.SlotSize)
	if c.Lanes > 0 {
		n = max(n, min(leastSpare, leastBytes/c.SlotSize))
	}
	return n
}

// Live returns the live region of a new Set: all zeros except the settings.
func Live(c *layout.LaneConfig, o *layout.LaneOffsets) []byte {
	b := make([]byte, o.Live)
	copy(b[layout.LaneConfigOffset:], layout.EncodeLaneConfig(c))
	return b
}

// Open finds the lanes in the live region and the payload of a segment. The caller keeps both.
// They must be aligned to at least 8 bytes. members is the number of members of the segment. If
// payload is nil, the Set can be used only for Reap and to read words.
//
// Errors: layout.ErrCorrupt.
func Open(live, payload []byte, members int) (*Set, error) {
	if len(live) < layout.LaneWordsOffset {
		return nil, fmt.Errorf("live region of %d bytes, want at least %d for lanes: %w", len(live), layout.LaneWordsOffset, layout.ErrCorrupt)
	}
	// The check is made on a private copy, which is then used.
	head := append([]byte(nil), live[layout.LaneConfigOffset:layout.LaneWordsOffset]...)
	c, o, err := layout.ParseLaneConfig(head)
	if err != nil {
		return nil, err
	}
	short := payload != nil && o.Payload > uint64(len(payload))
	if short || o.Live > uint64(len(live)) || c.Readers != uint32(members) {
		return nil, fmt.Errorf("lanes are made for %d members, %d live bytes and a payload of %d, but the segment has %d, %d and %d: %w",
			c.Readers, o.Live, o.Payload, members, len(live), len(payload), layout.ErrCorrupt)
	}
	s := &Set{C: *c, o: *o, live: live, payload: payload, ready: make([]atomic.Uint32, max(c.Lanes, 1))}
	for i := range s.ready {
		s.ready[i].Store(c.Slots)
	}
	return s, nil
}

// noSlot means no slot.
const noSlot = ^uint32(0)

// number is the number of a slot, counted through all lanes.
func (s *Set) number(lane int, slot uint32) uint64 {
	return uint64(lane)*uint64(s.C.Slots) + uint64(slot)
}

func (s *Set) corrupt(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, layout.ErrCorrupt)...)
}

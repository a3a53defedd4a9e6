// Package pubsub has topics: messages of any size that are written once, in shared
// memory, and read in place by any number of processes.
//
// A [Publisher] takes a slot on loan, fills it, and publishes it. Each [Subscriber] sees
// the same bytes, read-only. A reliable subscriber, which is the default, misses
// nothing: a publisher waits for it. A best-effort one never keeps anybody waiting,
// and is told how many messages it has missed.
//
// A topic is there for as long as somebody has it open, or for longer if its
// Lifetime says so. Who dies holds nobody up: what it had is given back by those who
// live. docs/protocol/lane.md tells how.
//
// [Typed] topics have messages of one Go type.
package pubsub

import (
	"errors"
	"fmt"
	"sync/atomic"

	"samepage"
	"samepage/internal/lane"
	"samepage/internal/segment"
	"samepage/layout"
)

// Roles of members, in Member.Role.
const (
	rolePublisher  = 1
	roleReliable   = 2
	roleBestEffort = 3
)

// topic is what a publisher and a subscriber have in common: a member of the
// segment, and its lanes.
type topic struct {
	name string
	h    *segment.Handle
	set  *lane.Set
	me   layout.Owner
}

func (t *topic) wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("pubsub: %s topic %q: %w", op, t.name, segment.Deadline(err))
}

// Name is the name of the topic.
func (t *topic) Name() string { return t.name }

// Options are those that the topic was made with: MaxSize to Times.
func (t *topic) Options() Options { return optionsOf(&t.set.C) }

// join becomes a member of the topic in m, which it takes over.
func join(name string, m *samepage.Memory, payload layout.Access, ty *layout.Type, anyType bool) (t *topic, err error) {
	h, err := segment.Open(m, layout.Topic, layout.LaneWordsOffset, repair)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.Close())
		}
	}()
	if !anyType {
		if err := h.Header().CheckType(ty); err != nil {
			return nil, err
		}
	}
	b, err := h.MapPayload(payload)
	if err != nil {
		return nil, err
	}
	set, err := lane.Open(h.Live(), b, h.Members())
	if err != nil {
		return nil, err
	}
	if set.C.Lanes == 0 {
		return nil, fmt.Errorf("a topic without lanes: %w", samepage.ErrCorrupt)
	}
	set.Bury(h.Me().Slot()) // what lies in the own words is nobody's
	return &topic{name, h, set, h.Me()}, nil
}

// repair gives back what a dead member had of the topic. It is the segment.Repair
// of topics.
func repair(h *segment.Handle, dead layout.Owner, _ segment.Who) {
	set, err := lane.Open(h.Live(), nil, h.Members())
	if err != nil {
		return // whoever opens the topic is told
	}
	// Only while the slot is the dead one's or nobody's: it may have a new member
	// since, whose words these are.
	if _, o := h.HeldOf(dead.Slot()); o == dead || o.Free() {
		set.Bury(dead.Slot())
	}
	for l := range int(set.C.Lanes) {
		own := set.Owner(l)
		if v := atomic.LoadUint64(own); layout.Owner(v).Names(dead) {
			atomic.AddUint64(set.Ends(l), 1<<32)
			atomic.CompareAndSwapUint64(own, v, 0)
		}
	}
}

// ringWriter rings the publisher of a lane, which waits for room.
func (t *topic) ringWriter(l int) {
	t.h.Ring(layout.Owner(atomic.LoadUint64(t.set.Owner(l))).Slot())
}

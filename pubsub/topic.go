// Package pubsub has topics. A publisher writes each message once, into shared memory, and any
// number of processes read it in place. Messages may have different sizes.
//
// A [Publisher] takes a slot on loan, fills it, and publishes it. Each [Subscriber] sees the same
// bytes, read-only. A reliable subscriber, which is the default, misses no message: publishers
// wait for it. A best-effort subscriber never makes a publisher wait. It learns how many messages
// it has missed.
//
// A topic exists while at least one process has it open. With the Lifetime Persist it exists until
// it is removed. A process that dies blocks nobody: the others take back what it held. See
// docs/protocol/lane.md.
//
// If a program drops a Publisher or Subscriber without Close, the garbage collector closes it, and
// the other members see it as dead. This does not happen while one of its loans, messages or held
// messages is reachable. A reference to the bytes alone is not enough.
//
// Topics with [Options].Pack are for very many small messages. There messages travel in packs: see
// [Publisher.SendAll], [Publisher.LoanBatch] and [Subscriber.TakeAll].
//
// [PublisherOf] and [SubscriberOf] are for topics whose messages have one Go type.
//
// In the terms of the Go memory model:
//   - The publication of a message happens before each Take of this message returns.
//   - The release of a message by its subscribers happens before the Publish or Loan that waited
//     for this release returns.
//   - Close of the last publisher happens before a Take returns io.EOF.
//
// The race detector knows this for the goroutines of one process; see docs/race.md.
package pubsub

import (
	"fmt"

	"samepage"
	"samepage/internal/forgotten"
	"samepage/internal/lane"
	"samepage/internal/laneseg"
	"samepage/internal/segment"
	"samepage/layout"
)

// topic is the common part of a publisher and a subscriber: a member of the segment, and the lanes
// of the segment. Only publishers, subscribers, loans and messages refer to it. So it is collected
// together with the last of them.
type topic struct {
	name   string
	schema string
	h      *segment.Handle
	set    *lane.Set
	guard  forgotten.Guard
}

func newTopic(what, name string, h *segment.Handle, set *lane.Set) *topic {
	t := &topic{name: name, h: h, set: set}
	if ty, err := h.Type(); err == nil {
		t.schema = ty.Schema
	}
	t.guard = forgotten.Watch(t, what, name, giveBack, h)
	return t
}

// giveBack leaves the topic if the user has forgotten to close it. Others see a death and not the
// end of a stream, because nobody knows whether all was published (decision 0019).
func giveBack(h *segment.Handle) (kept bool) {
	_ = laneseg.Abandon(h)
	return false
}

// close closes the handle of the segment.
func (t *topic) close() error {
	t.guard.Done()
	return t.h.Close()
}

func (t *topic) wrap(op string, err error) error { return wrap(op, t.name, err) }

func wrap(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("pubsub: %s topic %q: %w", op, name, segment.Deadline(err))
}

// Name returns the name of the topic.
func (t *topic) Name() string { return t.name }

// ID returns an ID that no other existing object has. All members of the topic see the same ID.
func (t *topic) ID() samepage.ID { return samepage.ID(t.h.ID()) }

// Schema returns the description of the Go type of the messages, with which a program that does not
// have the type can read them: see docs/layout.md and layout.ParseSchema. It is empty for bytes.
func (t *topic) Schema() string { return t.schema }

// CheckName checks whether the name still leads to this topic, see [samepage.Memory.CheckName].
//
// Errors: samepage.ErrNameGone; samepage.ErrClosed; any other error means that the check failed.
func (t *topic) CheckName() error { return t.wrap("check the name of", t.h.CheckName()) }

// Options returns the options that the topic was created with: the fields MaxSize to NamedReaders.
func (t *topic) Options() Options { return optionsOf(&t.set.C) }

func (t *topic) times() bool { return t.set.C.Flags&layout.LaneTime != 0 }

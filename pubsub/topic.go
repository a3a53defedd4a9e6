// Package pubsub has topics: messages of any size that are written once, in shared
// memory, and read in place by any number of processes.
//
// A [Publisher] takes a slot on loan, fills it, and publishes it. Each [Subscriber] sees
// the same bytes, read-only. A reliable subscriber, which is the default, misses
// nothing: a publisher waits for it. A best-effort one never makes a publisher wait, and
// is told how many messages it has missed.
//
// A topic exists for as long as a process has it open, or for longer if its Lifetime says
// so. A process that dies blocks nobody: the others take back what it held.
// docs/protocol/lane.md tells how.
//
// A Publisher or Subscriber that is dropped without Close is taken back when the garbage
// collector finds it, and the other end sees it as one that died. It is not dropped while
// one of its loans, messages or held messages is reachable. A reference to their bytes alone
// does not keep it.
//
// [PublisherOf] and [SubscriberOf] are for topics whose messages are of one Go type.
//
// In the terms of the Go memory model the publication of a message happens before the
// return of each take of that message, the release of a message by its subscribers before
// the Publish or Loan that waits for it, and Close of the last publisher before
// io.EOF. The race detector knows that of the goroutines of one process; docs/race.md.
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

// topic is what a publisher and a subscriber have in common: a member of the segment, and
// its lanes. Publishers, subscribers, loans and messages refer to it, and nothing else
// does: so it is collected when the last of them is.
type topic struct {
	name  string
	h     *segment.Handle
	set   *lane.Set
	guard forgotten.Guard
}

func newTopic(what, name string, h *segment.Handle, set *lane.Set) *topic {
	t := &topic{name: name, h: h, set: set}
	t.guard = forgotten.Watch(t, what, name, giveBack, h)
	return t
}

// giveBack leaves for a user that has forgotten to: as if it had died, for nobody knows
// that all was published (decision 0019).
func giveBack(h *segment.Handle) (kept bool) {
	_ = laneseg.Abandon(h)
	return false
}

// close leaves.
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

// Name is the name of the topic.
func (t *topic) Name() string { return t.name }

// ID tells the topic from all others that exist: all members see the same ID.
func (t *topic) ID() samepage.ID { return samepage.ID(t.h.ID()) }

// CheckName looks whether the name still leads to this topic, as
// [samepage.Memory.CheckName] does.
//
// Errors: samepage.ErrNameGone, samepage.ErrClosed; any other error says that it is not
// known.
func (t *topic) CheckName() error { return t.wrap("look at the name of", t.h.CheckName()) }

// Options are the options, MaxSize to Times, that the topic was created with.
func (t *topic) Options() Options { return optionsOf(&t.set.C) }

func (t *topic) times() bool { return t.set.C.Flags&layout.LaneTime != 0 }

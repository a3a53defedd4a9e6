package pubsub

import (
	"context"
	"fmt"
	"iter"
	"runtime"

	"samepage"
	"samepage/internal/laneseg"
	"samepage/internal/segment"
	"samepage/layout"
)

// Pack is a pack of messages that was taken as one, see Subscriber.TakeAll. The messages have
// numbers that follow each other. They are read-only, and good until the Subscriber takes the next
// message or pack, or is closed; Hold keeps them longer.
type Pack struct{ pack }

// pack is the common part of a Pack and a PackOf. The message is the first one.
type pack struct {
	message
	m    laneseg.Message
	rest laneseg.Rest
}

// Len returns the number of messages, which is at least 1.
func (p *pack) Len() int { return p.rest.Len() }

// Bytes returns the bytes of message i, in place. It is nil if i is not 0 to Len() - 1, or if the
// messages are no longer good. If the messages have different sizes, it is fast only for one i
// after the other.
func (p *Pack) Bytes(i int) []byte { return p.bytes(i) }

func (p *pack) bytes(i int) []byte {
	if !p.good() {
		return nil
	}
	return p.rest.Bytes(&p.m, i)
}

// All gives each message with its number. It ends early if the messages are no longer good.
func (p *Pack) All() iter.Seq2[uint64, []byte] { return all(p.Seq(), p.Len(), p.bytes) }

func all(first uint64, n int, bytes func(int) []byte) iter.Seq2[uint64, []byte] {
	return func(yield func(uint64, []byte) bool) {
		for i := range n {
			if b := bytes(i); b == nil || !yield(first+uint64(i), b) {
				return
			}
		}
	}
}

// TryTakeAll takes the next message, if there is one, and all that come after it in the same pack.
// In a topic without Options.Pack it takes one message. If messages of a pack were taken before, it
// takes the others. The message before is no longer good.
//
// Errors: those of TryTake. samepage.ErrChecksum is for the whole pack.
func (s *Subscriber) TryTakeAll() (p Pack, ok bool, err error) {
	if ok, err = s.r.Take(); !ok {
		if ok, err = s.r.TrySlowly(err); !ok {
			return p, false, s.wrapTake(err)
		}
	}
	err = s.takeRest(&p.pack)
	return p, err == nil, err
}

// TakeAll takes the next message, and all that come after it in the same pack, like TryTakeAll. It
// waits only if there is no message. If the call does not have to wait, it ignores ctx.
//
// Errors: those of TryTakeAll, and those of Take.
func (s *Subscriber) TakeAll(ctx context.Context) (p Pack, err error) {
	ok, err := s.r.Take()
	if !ok {
		if err = s.r.WaitSlowly(ctx, err); err != nil {
			return p, s.wrapTake(err)
		}
	}
	err = s.takeRest(&p.pack)
	return p, err
}

// takeRest sets p to the message that was taken, and the others of its pack.
func (s *subscriber) takeRest(p *pack) error {
	p.mark = s.r.Mark()
	s.r.Message(&p.m)
	if err := s.r.TakeRest(&p.rest); err != nil {
		return s.wrapTake(err)
	}
	p.s = s
	return nil
}

// HeldPack is a Pack that stays good until its Release. It may be given to another goroutine. Only
// one goroutine at a time may call its methods.
type HeldPack struct{ heldPack }

// heldPack is the common part of a HeldPack and a HeldPackOf.
type heldPack struct {
	held
	rest laneseg.Rest
}

// Hold keeps the messages after the next ones are taken, like Message.Hold. The pack counts as one
// message of Options.Holds.
//
// Errors: those of Message.Hold.
func (p *Pack) Hold() (*HeldPack, error) {
	h := new(HeldPack)
	return segment.OrNil(h, h.hold(&p.pack))
}

func (h *heldPack) hold(p *pack) error {
	h.rest = p.rest
	return h.held.hold(&p.message)
}

// Len returns the number of messages.
func (h *heldPack) Len() int { return h.rest.Len() }

// Bytes returns the bytes of message i, in place. It is nil if i is not 0 to Len() - 1, and after
// Release.
func (h *HeldPack) Bytes(i int) []byte { return h.bytes(i) }

func (h *heldPack) bytes(i int) []byte {
	if h.k == 0 {
		return nil
	}
	return h.rest.Bytes(&h.m, i)
}

// All gives each message with its number. It ends early after Release.
func (h *HeldPack) All() iter.Seq2[uint64, []byte] { return all(h.Seq(), h.Len(), h.bytes) }

// PackOf is a pack of values that was taken as one; see Pack.
type PackOf[T any] struct{ pack }

// Value returns value i, in place and read-only. It is nil if i is not 0 to Len() - 1, or if the
// values are no longer good.
func (p *PackOf[T]) Value(i int) *T { return valueOf[T](p.bytes(i)) }

// valueOf returns the T in b, or nil.
func valueOf[T any](b []byte) *T {
	v, err := layout.As[T](b)
	if err != nil {
		return nil
	}
	return v
}

// All gives each value with its number. It ends early if the values are no longer good.
func (p *PackOf[T]) All() iter.Seq2[uint64, *T] { return allOf[T](p.Seq(), p.Len(), p.bytes) }

func allOf[T any](first uint64, n int, bytes func(int) []byte) iter.Seq2[uint64, *T] {
	return func(yield func(uint64, *T) bool) {
		for q, b := range all(first, n, bytes) {
			if v := valueOf[T](b); v == nil || !yield(q, v) {
				return
			}
		}
	}
}

// TryTakeAll is Subscriber.TryTakeAll for values.
//
// Errors: those of Subscriber.TryTakeAll.
func (s *SubscriberOf[T]) TryTakeAll() (p PackOf[T], ok bool, err error) {
	if ok, err = s.r.Take(); !ok {
		if ok, err = s.r.TrySlowly(err); !ok {
			return p, false, s.wrapTake(err)
		}
	}
	err = s.takeRest(&p.pack)
	return p, err == nil, err
}

// TakeAll is Subscriber.TakeAll for values. If the call does not have to wait, it ignores ctx.
//
// Errors: those of Subscriber.TakeAll.
func (s *SubscriberOf[T]) TakeAll(ctx context.Context) (p PackOf[T], err error) {
	ok, err := s.r.Take()
	if !ok {
		if err = s.r.WaitSlowly(ctx, err); err != nil {
			return p, s.wrapTake(err)
		}
	}
	err = s.takeRest(&p.pack)
	return p, err
}

// takeRest is subscriber.takeRest. All values must have the size of a T.
func (s *SubscriberOf[T]) takeRest(p *pack) error {
	var m message
	if err := s.message(&m); err != nil {
		return err
	}
	if err := s.subscriber.takeRest(p); err != nil {
		return err
	}
	if !p.rest.Even() {
		p.s = nil
		return s.wrap("take from", fmt.Errorf("a pack from message %d on has messages of different sizes, want %d: %w", m.Seq(), s.r.Len(), samepage.ErrCorrupt))
	}
	return nil
}

// HeldPackOf is a PackOf that stays good until its Release; see HeldPack.
type HeldPackOf[T any] struct{ heldPack }

// Hold keeps the values after the next ones are taken, like Pack.Hold.
//
// Errors: those of Message.Hold.
func (p *PackOf[T]) Hold() (*HeldPackOf[T], error) {
	h := new(HeldPackOf[T])
	return segment.OrNil(h, h.hold(&p.pack))
}

// Value returns value i, in place and read-only. It is nil if i is not 0 to Len() - 1, and after
// Release.
func (h *HeldPackOf[T]) Value(i int) *T {
	v := valueOf[T](h.bytes(i))
	runtime.KeepAlive(h.s)
	return v
}

// All gives each value with its number. It ends early after Release.
func (h *HeldPackOf[T]) All() iter.Seq2[uint64, *T] { return allOf[T](h.Seq(), h.Len(), h.bytes) }

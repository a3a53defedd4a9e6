package pubsub

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"runtime"
	"sync/atomic"
	"time"

	"samepage"
	"samepage/internal/fault"
	"samepage/internal/lane"
	"samepage/internal/segment"
	"samepage/layout"
)

// Publisher publishes to a topic. Its methods are for one goroutine at a time; several
// goroutines have a Publisher each. A Publish that waits is ended by its context.
type Publisher struct {
	*topic
	w       *lane.Writer
	room    roomWait
	sum     bool
	times   bool
	evicted int
	// blocked is since when there is no room for message blockedAt.
	blocked   time.Time
	blockedAt uint64
	rings     uint // how often somebody was asleep
	leaks     leaks
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// NewPublisher opens the topic of that name, or makes it, and becomes one of its
// publishers. The place of a publisher that died is taken over; its messages stay.
//
// Errors: samepage.ErrBusy (as many publishers live as there may be), ErrTooLarge (the
// topic's messages are smaller than opts want), ErrKindMismatch (it has messages of a
// type), ErrTooManyMembers, ErrNoSpace, fs.ErrInvalid (options out of range), and those
// of samepage.Open and Create.
func NewPublisher(name string, opts *Options) (*Publisher, error) {
	return newPublisher(name, opts, nil)
}

func newPublisher(name string, opts *Options, ty *layout.Type) (*Publisher, error) {
	if opts == nil {
		opts = &Options{}
	}
	p := &Publisher{}
	t, err := openTopic(name, opts, ty)
	if err == nil {
		p.topic = t
		if err = p.begin(opts); err != nil {
			err = errors.Join(err, t.close())
		}
	}
	if err != nil {
		return nil, (&topic{name: name}).wrap("publish to", err)
	}
	return p, nil
}

func openTopic(name string, opts *Options, ty *layout.Type) (*topic, error) {
	p, err := opts.plan(ty)
	if err != nil {
		return nil, err
	}
	h, set, _, err := p.OpenOrCreate(opts.spec(name))
	if err != nil {
		return nil, err
	}
	return newTopic("publisher of topic", name, h, set), nil
}

// begin becomes the writer of a lane.
func (p *Publisher) begin(opts *Options) error {
	if most := p.set.C.MaxSize; uint64(opts.MaxSize) > most {
		return fmt.Errorf("its messages have up to %d bytes, not %d: %w", most, opts.MaxSize, samepage.ErrTooLarge)
	}
	l, err := p.claimSoon()
	if err != nil {
		return err
	}
	p.h.SetRole(layout.RolePublisher)
	p.w = lane.NewWriter(p.set, l)
	p.sum, p.times = p.set.C.Flags&layout.LaneChecksum != 0, p.set.C.Flags&layout.LaneTime != 0
	p.room.p = p
	return nil
}

// claim finds a lane without a living writer (O1).
func (p *Publisher) claim() (int, error) {
	n := int(p.set.C.Lanes)
	for range 2 {
		for l := range n {
			if atomic.CompareAndSwapUint64(p.set.Owner(l), 0, uint64(p.me)) {
				p.set.EdgeAcquire(lane.EdgeWriters + uint64(l))
				return l, nil
			}
		}
		for l := range n {
			if o := layout.Owner(atomic.LoadUint64(p.set.Owner(l))); !o.Free() {
				if _, err := p.h.Bury(o); err != nil {
					return 0, err
				}
			}
		}
	}
	return 0, errNoLane
}

var errNoLane = errors.New("no lane")

// publishers are the members that have a lane.
func (p *Publisher) publishers() (all []segment.Who) {
	for l := range int(p.set.C.Lanes) {
		if w, ok := p.h.WhoIs(layout.Owner(atomic.LoadUint64(p.set.Owner(l)))); ok {
			all = append(all, w)
		}
	}
	return all
}

// claimSoon is claim, but gives a janitor of a dead publisher, who holds its byte for a
// moment, the time until the death watch has looked twice.
func (p *Publisher) claimSoon() (l int, err error) {
	looks := 0
	uerr := segment.Until(context.Background(), func() (bool, error) {
		l, err = p.claim()
		looks++
		return err != errNoLane || looks > 2, nil
	})
	if err == errNoLane {
		err = fmt.Errorf("it has as many publishers as it may have, %d: %s: %w", p.set.C.Lanes, segment.Names(p.publishers()), samepage.ErrBusy)
	}
	return l, errors.Join(err, uerr)
}

// Loan is a message that is being written, in shared memory. It is published or
// discarded once.
type Loan struct {
	p       *Publisher
	slot, n uint32
}

// Loan takes a slot for a message of n bytes on loan. What the slot holds is left over
// from a message before.
//
// Errors: samepage.ErrTooLarge, ErrNegativeSize, ErrTooManyHolds (as many are on loan as
// Options.Loans says), ErrClosed.
func (p *Publisher) Loan(n int) (Loan, error) {
	if uint64(n) > p.set.C.MaxSize {
		return Loan{}, p.wrap("write to", p.badSize(n))
	}
	if p.h.Closed() { // the slots may be another's by now
		return Loan{}, p.wrap("write to", samepage.ErrClosed)
	}
	slot, ok := p.w.Loan()
	if !ok {
		return Loan{}, p.wrap("write to", fmt.Errorf("messages on loan: %d: %w", p.w.Loans(), samepage.ErrTooManyHolds))
	}
	p.leaks.took(slot)
	return Loan{p, slot, uint32(n)}, nil
}

func (p *Publisher) badSize(n int) error {
	if n < 0 {
		return fmt.Errorf("message of %d bytes: %w", n, samepage.ErrNegativeSize)
	}
	return fmt.Errorf("message of %d bytes, it has room for %d: %w", n, p.set.C.MaxSize, samepage.ErrTooLarge)
}

// Bytes is where the message is written. It is nil once the loan is published or
// discarded.
func (l *Loan) Bytes() []byte {
	if l.p == nil {
		return nil
	}
	return l.p.w.Payload(l.slot)[:l.n]
}

// Truncate shortens the message to n bytes.
//
// Errors: samepage.ErrTooLarge.
func (l *Loan) Truncate(n int) error {
	if n < 0 || uint32(n) > l.n {
		return fmt.Errorf("pubsub: a loan of %d bytes truncated to %d: %w", l.n, n, samepage.ErrTooLarge)
	}
	l.n = uint32(n)
	return nil
}

// Discard gives the slot back unpublished.
func (l *Loan) Discard() {
	p := l.p
	l.p = nil
	if p != nil && !p.h.Closed() && p.w.TakeBack(l.slot) {
		p.leaks.gave(l.slot)
		p.w.Discard(l.slot)
		runtime.KeepAlive(p)
	}
}

// TryPublish publishes the message, unless a reliable subscriber lags as far
// behind as it may: then it is false, and the loan goes on.
//
// Errors: samepage.ErrClosed.
func (l *Loan) TryPublish() (bool, error) {
	p := l.p
	if p == nil || p.h.Closed() {
		return false, errNoLoan
	}
	if !p.w.Room() && !p.stillRoom() {
		return false, nil
	}
	return true, p.put(l)
}

var errNoLoan = fmt.Errorf("pubsub: the loan is published or discarded, or its publisher closed: %w", samepage.ErrClosed)

// Publish publishes the message, and waits for reliable subscribers that lag as far
// behind as they may. With an error the loan goes on.
// What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: samepage.ErrClosed, the error of ctx.
func (l *Loan) Publish(ctx context.Context) error {
	p := l.p
	if p == nil || p.h.Closed() {
		return errNoLoan
	}
	if !p.w.Room() {
		if err := p.waitRoom(ctx); err != nil {
			return p.wrap("publish to", err)
		}
	}
	return p.put(l)
}

// put is P2 to P6.
func (p *Publisher) put(l *Loan) error {
	if err := p.commit(l, true); err != nil {
		return err
	}
	p.ring()
	p.w.Ahead()
	runtime.KeepAlive(p)
	return nil
}

// commit is P2 to P5. There is room.
func (p *Publisher) commit(l *Loan, fence bool) error {
	l.p = nil
	if !p.w.TakeBack(l.slot) { // another copy of l was published
		return errNoLoan
	}
	if p.sum || p.times {
		p.describe(l)
	}
	p.leaks.gave(l.slot)
	p.w.Publish(l.slot, l.n, fence)
	return nil
}

func (p *Publisher) describe(l *Loan) {
	var sum uint32
	var now int64
	if p.sum {
		sum = crc32.Checksum(p.w.Payload(l.slot)[:l.n], castagnoli)
	}
	if p.times {
		now = time.Now().UnixNano()
	}
	p.w.Describe(l.slot, sum, now)
}

// ring is P6. A full fence came before.
func (p *Publisher) ring() {
	if p.h.Asleep() {
		p.wake()
	}
}

func (p *Publisher) wake() {
	p.h.WakeAll()
	if p.rings++; p.rings%1024 == 0 {
		// Who was killed asleep costs a ring each time. Nobody depends on it, so
		// nobody else would notice.
		_ = p.h.BuryAsleep()
	}
}

// Send publishes a copy of b.
// What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: those of Loan and Publish.
func (p *Publisher) Send(ctx context.Context, b []byte) error {
	l, err := p.Loan(len(b))
	if err != nil {
		return err
	}
	copy(p.w.Payload(l.slot), b)
	if err := l.Publish(ctx); err != nil {
		l.Discard()
		return err
	}
	return nil
}

// SendAll publishes a copy of each of all, in order, and looks once whether anybody is
// to be woken: for many small messages. Subscribers see them one by one. It returns how
// many were published.
// What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: those of Send.
func (p *Publisher) SendAll(ctx context.Context, all [][]byte) (int, error) {
	for i, b := range all {
		if err := p.sendUnrung(ctx, b); err != nil {
			p.flush(i)
			return i, err
		}
	}
	p.flush(len(all))
	return len(all), nil
}

func (p *Publisher) sendUnrung(ctx context.Context, b []byte) error {
	l, err := p.Loan(len(b))
	if err != nil {
		return err
	}
	copy(p.w.Payload(l.slot), b)
	return p.publishUnrung(ctx, &l)
}

func (p *Publisher) publishUnrung(ctx context.Context, l *Loan) error {
	if !p.w.Room() {
		p.flush(1) // nobody can make room for what they were not told of
		if err := p.waitRoom(ctx); err != nil {
			l.Discard()
			return p.wrap("publish to", err)
		}
	}
	return p.commit(l, false)
}

// PublishAll publishes loans of this publisher in order, as SendAll does. It returns
// how many were published; the others are discarded.
// What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: those of Loan.Publish.
func (p *Publisher) PublishAll(ctx context.Context, loans []Loan) (int, error) {
	for i := range loans {
		l := &loans[i]
		err := errNoLoan
		if l.p == p && !p.h.Closed() {
			err = p.publishUnrung(ctx, l)
		}
		if err != nil {
			for k := i; k < len(loans); k++ {
				if loans[k].p == p {
					loans[k].Discard()
				}
			}
			p.flush(i)
			return i, err
		}
	}
	p.flush(len(loans))
	return len(loans), nil
}

// flush rings those that sleep after n messages were published without a fence.
func (p *Publisher) flush(n int) {
	if n > 0 {
		p.w.Fence()
		p.ring()
		p.w.Ahead()
	}
	runtime.KeepAlive(p)
}

// stillRoom looks again for room when there is none, whether those in the way
// live.
func (p *Publisher) stillRoom() bool {
	p.buryHinderers()
	if p.w.Room() {
		return true
	}
	if p.set.C.EvictAfter == 0 {
		return false
	}
	if p.patience() > 0 {
		return false
	}
	p.evict()
	return p.w.Room()
}

// patience is for how much longer those in the way may be there, in a topic that
// evicts.
func (p *Publisher) patience() time.Duration {
	if p.blocked.IsZero() || p.blockedAt != p.w.Next() {
		p.blocked, p.blockedAt = time.Now(), p.w.Next()
	}
	return time.Duration(p.set.C.EvictAfter) - time.Since(p.blocked)
}

func (p *Publisher) evict() {
	p.evicted += p.w.Evict()
	p.h.WakeAll() // lest they sleep on
}

func (p *Publisher) buryHinderers() {
	for k, n := 0, p.h.Members(); n > 0; n-- {
		o := p.hinderer(k)
		if o.Free() {
			return
		}
		if ok, err := p.h.Bury(o); !ok || err != nil {
			k++ // it lives, and goes on hindering
		}
	}
}

// waitRoom waits for the next message to be publishable.
func (p *Publisher) waitRoom(ctx context.Context) error {
	if p.spinRoom() {
		return nil
	}
	// A full fence, before the look at the cursors in Sleep. Pairs with Settle.
	p.w.Waiting(true)
	defer p.w.Waiting(false)
	for {
		err := p.sleepRoom(ctx)
		if err == nil && p.w.Room() {
			return nil
		}
		if err == nil {
			err = ctx.Err() // a word that changes to and fro keeps nobody here
		}
		if err != nil {
			return err
		}
	}
}

func (p *Publisher) sleepRoom(ctx context.Context) error {
	if p.set.C.EvictAfter == 0 {
		return p.h.Sleep(ctx, &p.room)
	}
	c, cancel := context.WithTimeout(ctx, max(p.patience(), 0))
	defer cancel()
	err := p.h.Sleep(c, &p.room)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		p.evict()
		return nil
	}
	return err
}

func (p *Publisher) spinRoom() bool {
	if !segment.Spins() {
		return p.stillRoom()
	}
	for begun := time.Now(); time.Since(begun) < segment.SpinTime; {
		for range 8 {
			if p.w.Room() {
				return true
			}
			segment.Pause(16)
		}
	}
	return false
}

// roomWait is the segment.Condition of a publisher that waits for room.
type roomWait struct{ p *Publisher }

func (r *roomWait) Try() (bool, error) { return r.p.w.HasRoom(), nil }
func (r *roomWait) Holds() bool        { return r.p.w.HasRoom() }

// DependsOn names those in the way.
func (r *roomWait) DependsOn(k int) layout.Owner { return r.p.hinderer(k) }

// NeedsName is false: those in the way have the topic open.
func (*roomWait) NeedsName() bool { return false }

// hinderer is the k-th of those in the way. It is who has the slot, if somebody has:
// what a cursor's line tells of incarnations may be wrong.
func (p *Publisher) hinderer(k int) layout.Owner {
	o := p.w.Hinderer(k)
	if o.Free() {
		return o
	}
	if _, has := p.h.HeldOf(o.Slot()); !has.Free() {
		return has
	}
	return o
}

// WaitSubscribers waits until the topic has n reliable subscribers or more.
// What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: samepage.ErrNameGone (nobody who comes by the name finds this topic),
// samepage.ErrClosed, the error of ctx.
func (p *Publisher) WaitSubscribers(ctx context.Context, n int) error {
	return p.wrap("wait for subscribers of", segment.Until(ctx, func() (bool, error) {
		if p.h.Closed() {
			return false, samepage.ErrClosed
		}
		if p.Subscribers() >= n {
			p.buryReaders()
		}
		if p.Subscribers() >= n {
			return true, nil
		}
		if err := p.h.CheckName(); errors.Is(err, samepage.ErrNameGone) {
			return false, err // nobody new can come
		}
		return false, nil
	}))
}

// buryReaders repairs the reliable subscribers that are dead.
func (p *Publisher) buryReaders() {
	for m := range p.h.Members() {
		if _, yes, _ := p.set.Reliable(p.w.Lane(), m); !yes {
			continue
		}
		if _, o := p.h.HeldOf(m); !o.Free() {
			_, _ = p.h.Bury(o) // it is false for the living
		}
	}
}

// Subscribers is how many reliable subscribers the topic has.
func (p *Publisher) Subscribers() (n int) {
	for m := range p.h.Members() {
		if _, yes, evicted := p.set.Reliable(p.w.Lane(), m); yes && !evicted {
			n++
		}
	}
	p.set.EdgeAcquire(lane.EdgeReaders)
	return n
}

// Lag is how many messages the slowest reliable subscriber has not let go yet, as far as
// it has made that known.
func (p *Publisher) Lag() uint64 { return p.w.Lag() }

// Next is the number that the next message will have; the first one has 1.
func (p *Publisher) Next() uint64 { return p.w.Next() }

// Evicted is how many subscribers this publisher has passed over.
func (p *Publisher) Evicted() int { return p.evicted }

// Close ends the stream: subscribers that have taken all get io.EOF. A second Close
// does nothing. Of a Publisher that is dropped without Close nobody knows whether it had
// said all: subscribers get samepage.ErrPeerDied when it is collected.
//
// Errors: samepage.ErrBusy, while messages are on loan.
func (p *Publisher) Close() error { return p.leave(endedInOrder) }

// Abort is Close without the end of the stream: for a publisher that cannot publish all
// that it should, such as one whose input is cut. Subscribers that have taken all get
// samepage.ErrPeerDied, as if it had died: what they have is not all. A second Abort, or a
// Close after it, does nothing.
//
// Errors: samepage.ErrBusy, while messages are on loan.
func (p *Publisher) Abort() error { return p.leave(notEnded) }

// What is added to Lane.Ends by a publisher that leaves.
const (
	endedInOrder = 1
	notEnded     = 1 << 32 // as its janitor would
)

func (p *Publisher) leave(how uint64) error {
	if p.h.Closed() {
		return nil
	}
	if n := p.w.Loans(); n > 0 {
		return p.wrap("close", fmt.Errorf("messages on loan: %d%s: %w", n, p.leaks.String(), samepage.ErrBusy))
	}
	p.set.EdgeRelease(lane.EdgeWriters + uint64(p.w.Lane()))
	atomic.AddUint64(p.set.Ends(p.w.Lane()), how) // RELEASE: after all messages
	fault.At(fault.LaneEnding)
	atomic.CompareAndSwapUint64(p.set.Owner(p.w.Lane()), uint64(p.me), 0)
	p.h.WakeAll()
	return p.wrap("close", p.topic.close())
}

package pubsub

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"samepage"
	"samepage/internal/lane"
	"samepage/internal/laneseg"
	"samepage/internal/object"
	"samepage/internal/segment"
	"samepage/layout"
)

// Subscriber reads a topic. Its methods are for one goroutine at a time, but for
// Release of what is held; several goroutines have a Subscriber each. A Take that waits is
// ended by its context. What is read in place is mapped for as long as the Subscriber is
// reachable.
type Subscriber struct {
	*topic
	lanes []*lane.Reader
	ends  []uint64 // of each lane, as far as it was told of
	sum   bool
	wait  messageWait

	gone   error        // what the next take returns: for good, or
	once   bool         // once
	turn   uint64       // changes when a message is taken, and when it is let go
	cur    *lane.Reader // its lane, nil: none is looked at
	ahead  bool         // WaitAny has taken msg for the next take
	at     int          // the lane that comes next
	msg    lane.Message
	missed uint64
	taken  uint64

	mu    sync.Mutex
	held  []bool // pin words 1.. in use
	leaks leaks
}

// NewSubscriber opens a topic that exists and begins to read it.
//
// Errors: fs.ErrNotExist (there is no such topic; see Await), samepage.ErrTooManyMembers,
// fs.ErrInvalid (no such From), and those of samepage.Open.
func NewSubscriber(name string, opts *SubscriberOptions) (*Subscriber, error) {
	return newSubscriber(name, opts, nil)
}

// Await is NewSubscriber, but waits for the topic to be made.
// What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: the same without fs.ErrNotExist, and the error of ctx.
func Await(ctx context.Context, name string, opts *SubscriberOptions) (*Subscriber, error) {
	return await(ctx, name, func() (*Subscriber, error) { return NewSubscriber(name, opts) })
}

func await[T any](ctx context.Context, name string, open func() (T, error)) (T, error) {
	return segment.Await(ctx, open, func(err error) error { return (&topic{name: name}).wrap("wait for", err) })
}

func newSubscriber(name string, opts *SubscriberOptions, ty *layout.Type) (*Subscriber, error) {
	if opts == nil {
		opts = &SubscriberOptions{}
	}
	s, err := openSubscriber(name, opts, ty)
	return s, (&topic{name: name}).wrap("subscribe to", err)
}

func openSubscriber(name string, opts *SubscriberOptions, ty *layout.Type) (*Subscriber, error) {
	from, err := opts.From.lane()
	if err != nil {
		return nil, err
	}
	h, set, err := laneseg.Open(&object.Spec{Name: name, Scope: layout.Scope(opts.Scope), Kind: layout.Topic, Owner: opts.Owner}, ty)
	if err != nil {
		return nil, err
	}
	t := newTopic("subscriber to topic", name, h, set)
	s := &Subscriber{topic: t, sum: t.set.C.Flags&layout.LaneChecksum != 0, held: make([]bool, t.set.C.Pins)}
	s.wait.s = s
	role := uint32(layout.RoleReliable)
	if opts.BestEffort {
		role = layout.RoleBestEffort
	}
	t.h.SetRole(role)
	for l := range int(t.set.C.Lanes) {
		ends := atomic.LoadUint64(t.set.Ends(l))
		r := lane.NewReader(t.set, l, t.me, !opts.BestEffort, from)
		if r.Ready() {
			if uint32(ends) > 0 {
				ends-- // what is still there has an end, or will have
			}
			if ends>>32 > 0 && atomic.LoadUint64(t.set.Owner(l)) == 0 {
				// Or it is what somebody left who did not come to the end: nobody can tell,
				// and nobody is to take for all what is not.
				ends -= 1 << 32
			}
		}
		if r.Settle() {
			t.ringWriter(l)
		}
		s.lanes, s.ends = append(s.lanes, r), append(s.ends, ends)
	}
	return s, nil
}

// Message is a message in shared memory, read-only: writing to it faults. It is good
// until the Subscriber takes the next one or is closed; Hold keeps it longer.
type Message struct {
	s    *Subscriber
	r    *lane.Reader
	m    lane.Message
	turn uint64
}

// Bytes is what the message says. It is nil when the message is no longer good.
func (m *Message) Bytes() []byte {
	if m.s == nil || m.turn != m.s.turn {
		return nil
	}
	return m.r.Payload(&m.m)
}

// Seq is the number of the message: publishers count from 1.
func (m *Message) Seq() uint64 { return m.m.Seq }

// Missed is how many messages were lost just before this one. For reliable
// subscribers it is 0.
func (m *Message) Missed() uint64 { return m.m.Missed }

// Lane tells the messages of several publishers apart: 0 to Options.Publishers - 1.
func (m *Message) Lane() int {
	if m.r == nil {
		return 0
	}
	return m.r.Lane()
}

// Time is when the message was published, if the topic has Times.
func (m *Message) Time() time.Time {
	if m.s == nil || m.s.set.C.Flags&layout.LaneTime == 0 || m.turn != m.s.turn {
		return time.Time{}
	}
	return time.Unix(0, m.r.Time(&m.m))
}

// TryTake takes the next message, if there is one. The one before is no longer
// good.
//
// Errors: io.EOF (once, when the last publisher has ended its stream), samepage.ErrPeerDied
// (once for each publisher that died or called Abort; what it had published was taken
// before), ErrEvicted
// (for good: close, and subscribe anew), ErrChecksum (of one message; the next may be
// good), ErrCorrupt, ErrClosed.
func (s *Subscriber) TryTake() (Message, bool, error) {
	for range 16 { // somebody who changes all words all the time
		ok, err := s.take()
		if ok && err == nil {
			return Message{s, s.cur, s.msg, s.turn}, true, nil
		}
		s.settle()
		if err == nil {
			err = s.slow()
		}
		if err != errAgain {
			return Message{}, false, s.wrapTake(err)
		}
	}
	return Message{}, false, nil
}

func (s *Subscriber) wrapTake(err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return s.wrap("take from", err)
}

// Take waits for the next message and takes it. The one before is no longer good.
// What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: those of TryTake, samepage.ErrNameGone (the topic has no publisher, and none
// that comes by the name would find it), and the error of ctx.
func (s *Subscriber) Take(ctx context.Context) (Message, error) {
	ok, err := s.take()
	for !ok && err == nil {
		if ok, err = s.takeWaiting(ctx); !ok && err == nil {
			err = ctx.Err()
		}
	}
	if err != nil {
		s.settle()
		return Message{}, s.wrapTake(err)
	}
	return Message{s, s.cur, s.msg, s.turn}, nil
}

// take lets the message before go, and takes the next one if it is there.
func (s *Subscriber) take() (bool, error) {
	if s.cur != nil {
		if s.ahead { // since WaitAny
			s.ahead = false
			return true, nil
		}
		s.letGo()
	}
	if s.gone != nil || s.h.Closed() { // its words may be another's by now
		return false, s.refusal()
	}
	l := s.at
	for range s.lanes {
		r := s.lanes[l]
		if l++; l == len(s.lanes) {
			l = 0
		}
		ok, err := r.Try(&s.msg)
		if ok {
			s.at = l
			s.cur = r
			s.turn++
			s.taken++
			s.missed += s.msg.Missed
			if s.sum {
				err = s.check(r)
			}
			return err == nil, err
		}
		if err != nil {
			return false, s.noted(err)
		}
	}
	return false, nil
}

func (s *Subscriber) refusal() error {
	if s.h.Closed() {
		return samepage.ErrClosed
	}
	err := s.gone
	if s.once {
		s.gone, s.once = nil, false
	}
	return err
}

// noted keeps an error that is for good.
func (s *Subscriber) noted(err error) error {
	if errors.Is(err, samepage.ErrEvicted) {
		s.gone = err
	}
	return err
}

func (s *Subscriber) check(r *lane.Reader) error {
	if got, want := crc32.Checksum(r.Payload(&s.msg), castagnoli), r.Sum(&s.msg); got != want {
		return fmt.Errorf("message %d of %d bytes has CRC-32C %#08x, computed %#08x: %w", s.msg.Seq, s.msg.Len, want, got, samepage.ErrChecksum)
	}
	return nil
}

// letGo gives up the message that is looked at.
func (s *Subscriber) letGo() {
	r := s.cur
	s.cur = nil
	s.turn++
	s.set.Done(r.Lane(), s.msg.Slot)
	if !s.h.Closed() && r.LetGo() {
		s.ringWriter(r.Lane())
	}
}

// settle makes known to publishers that wait how far this subscriber has come.
func (s *Subscriber) settle() {
	if s.h.Closed() {
		return
	}
	for l, r := range s.lanes {
		if r.Settle() {
			s.ringWriter(l)
		}
	}
}

// errCut is the end of a stream that was not ended: nobody can tell which of both it was.
var errCut = fmt.Errorf("a publisher has died, or could not go on with its stream: %w", samepage.ErrPeerDied)

var errAgain = errors.New("look again")

// slow looks for what has happened other than a message. It is errAgain when there may
// be one by now.
func (s *Subscriber) slow() error {
	if s.h.Closed() {
		return samepage.ErrClosed
	}
	for l, r := range s.lanes {
		if r.Evicted() {
			return s.noted(samepage.ErrEvicted)
		}
		if r.Lost() {
			return errAgain
		}
		// ACQUIRE: all messages before the end are there.
		ends := atomic.LoadUint64(s.set.Ends(l))
		if !s.over(l, ends) {
			continue
		}
		if r.Ready() {
			return errAgain
		}
		if ends>>32 != s.ends[l]>>32 {
			s.ends[l] = ends&^(1<<32-1) | s.ends[l]&(1<<32-1) // another may have ended since
			s.set.EdgeAcquire(lane.EdgeWriters + uint64(l))
			return errCut
		}
		if s.publishers() > 0 {
			s.ends[l] = ends
			continue
		}
		if s.ready() { // since it was looked at
			return errAgain
		}
		for k := range s.ends { // told once for all
			low := uint32(atomic.LoadUint64(s.set.Ends(k)))
			s.ends[k] = s.ends[k]&^(1<<32-1) | uint64(low)
			s.set.EdgeAcquire(lane.EdgeWriters + uint64(k))
		}
		return io.EOF
	}
	return nil
}

// over says whether ends tells of something that the user was not told of. A
// publisher that ends its stream is one for as long as it is named: only then can be
// said whether it was the last.
func (s *Subscriber) over(l int, ends uint64) bool {
	was := s.ends[l]
	return ends != was && (ends>>32 != was>>32 || atomic.LoadUint64(s.set.Owner(l)) == 0)
}

func (s *Subscriber) ready() bool {
	for _, r := range s.lanes {
		if r.Ready() {
			return true
		}
	}
	return false
}

func (s *Subscriber) publishers() (n int) {
	for l := range s.lanes {
		if atomic.LoadUint64(s.set.Owner(l)) != 0 {
			n++
		}
	}
	return n
}

// takeWaiting waits for something to happen, in a loop and then asleep.
func (s *Subscriber) takeWaiting(ctx context.Context) (bool, error) {
	if s.spin() {
		return s.take()
	}
	s.settle()
	if err := s.slow(); err != nil {
		if err == errAgain {
			return s.take()
		}
		return false, err
	}
	if err := s.h.Sleep(ctx, &s.wait); err != nil {
		return false, err
	}
	return s.take()
}

// spin looks for a message for a while, and fetches what will be needed
// meanwhile.
func (s *Subscriber) spin() bool {
	if !segment.Spins() {
		return false
	}
	one := len(s.lanes) == 1
	if one && s.lanes[0].Poll(32) { // about a microsecond, before the clock is read
		return true
	}
	for begun := time.Now(); time.Since(begun) < segment.SpinTime; {
		for range 4 {
			if one {
				if s.lanes[0].Poll(16) {
					return true
				}
				continue
			}
			for _, r := range s.lanes {
				if r.Poll(2) {
					return true
				}
			}
		}
		s.settle()
	}
	return false
}

// messageWait is the segment.Condition of a subscriber that waits. It only looks:
// the messages are for the one goroutine that takes them.
type messageWait struct{ s *Subscriber }

func (w *messageWait) Try() (bool, error) { return w.Holds(), nil }

func (w *messageWait) Holds() bool {
	for l, r := range w.s.lanes {
		if r.Ready() || w.s.over(l, atomic.LoadUint64(w.s.set.Ends(l))) || r.Evicted() {
			return true
		}
	}
	return false
}

// DependsOn names the publishers.
func (w *messageWait) DependsOn(k int) layout.Owner {
	for l := range w.s.lanes {
		if o := atomic.LoadUint64(w.s.set.Owner(l)); o != 0 {
			if k == 0 {
				return layout.Owner(o)
			}
			k--
		}
	}
	return 0
}

// NeedsName: only a publisher that has the topic open can publish.
func (w *messageWait) NeedsName() bool { return w.s.publishers() == 0 }

// Messages takes one message after the other. It ends when the last publisher has
// ended its stream, and with any other error but samepage.ErrPeerDied and ErrChecksum, which
// it yields before it goes on. A message is good until the next turn of the loop.
// What is available is taken even if ctx has ended; ctx only ends waiting.
func (s *Subscriber) Messages(ctx context.Context) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		defer s.Release()
		for {
			m, err := s.Take(ctx)
			if err == io.EOF || !yield(m, err) || err != nil && !goesOn(err) {
				return
			}
		}
	}
}

// Release lets the message that was taken last go before the next is taken: for a
// subscriber that does something else for a while.
func (s *Subscriber) Release() {
	if s.cur != nil && !s.ahead {
		s.letGo()
	}
	s.settle()
	runtime.KeepAlive(s)
}

// Held is a message that is kept until its Release.
type Held struct {
	Message
	k int
}

// Hold keeps the message beyond the next one: a publisher does not use its memory, and
// does not wait for it either.
//
// Errors: samepage.ErrTooManyHolds (as many are held as Options.Holds says), ErrClosed (the
// message is no longer good).
func (m *Message) Hold() (*Held, error) {
	s := m.s
	if s == nil || m.turn != s.turn || s.h.Closed() {
		return nil, fmt.Errorf("pubsub: hold a message that is no longer good: %w", samepage.ErrClosed)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := 1; k < len(s.held); k++ {
		if !s.held[k] {
			s.held[k] = true
			m.r.Hold(&m.m, k)
			s.leaks.took(uint32(k))
			return &Held{*m, k}, nil
		}
	}
	return nil, s.wrap("hold a message of", fmt.Errorf("messages held: %d: %w", len(s.held)-1, samepage.ErrTooManyHolds))
}

// Bytes is what the message says, nil after Release.
func (h *Held) Bytes() []byte {
	if h.k == 0 {
		return nil
	}
	return h.r.Payload(&h.m)
}

// Time is when the message was published, if the topic has Times.
func (h *Held) Time() time.Time {
	if h.k == 0 || h.s.set.C.Flags&layout.LaneTime == 0 {
		return time.Time{}
	}
	return time.Unix(0, h.r.Time(&h.m))
}

// Release lets the message go. A second Release does nothing. It may be called by any
// goroutine, one at a time.
func (h *Held) Release() {
	if h.k == 0 {
		return
	}
	s := h.s
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set.Done(h.r.Lane(), h.m.Slot)
	s.set.Unpin(s.me.Slot(), h.k)
	s.held[h.k] = false
	s.leaks.gave(uint32(h.k))
	h.k = 0
}

// Missed is how many messages were lost in all: 0 for reliable subscribers.
func (s *Subscriber) Missed() uint64 { return s.missed }

// Taken is how many messages were taken.
func (s *Subscriber) Taken() uint64 { return s.taken }

// Publishers is how many publishers the topic has now.
func (s *Subscriber) Publishers() int { return s.publishers() }

// Close ends the reading. A second Close does nothing.
//
// Errors: samepage.ErrBusy, while messages are held.
func (s *Subscriber) Close() error {
	if s.h.Closed() {
		return nil
	}
	s.mu.Lock()
	n := 0
	for _, h := range s.held {
		if h {
			n++
		}
	}
	s.mu.Unlock()
	if n > 0 {
		return s.wrap("close", fmt.Errorf("messages held: %d%s: %w", n, s.leaks.String(), samepage.ErrBusy))
	}
	if s.cur != nil {
		s.set.Done(s.cur.Lane(), s.msg.Slot)
	}
	s.cur = nil
	s.turn++
	for l, r := range s.lanes {
		if r.Leave() {
			s.ringWriter(l)
		}
	}
	s.set.Unpin(s.me.Slot(), 0)
	return s.wrap("close", s.topic.close())
}

// WaitAny waits until one of subs has something to take, and returns its index: its
// next TryTake finds a message or an error. Of several it is the first. What those subs
// took last is no longer good.
//
// One thread sleeps for up to 127 subscribers (63 on Windows), and a further one for each
// further 127 (63). Where Linux has no futex_waitv (before 5.16, or forbidden in a container)
// it is a thread for each subscriber; Go ends the process when it gets no more threads
// (RLIMIT_NPROC, the pids of a container).
// What is available is taken even if ctx has ended; ctx only ends waiting.
//
// Errors: samepage.ErrNameGone (of one of subs; see Subscriber.Take), samepage.ErrClosed, the
// error of ctx.
func WaitAny(ctx context.Context, subs ...*Subscriber) (int, error) {
	i, err := waitAny(ctx, subs)
	if err != nil {
		return -1, fmt.Errorf("pubsub: wait for any of %d subscribers: %w", len(subs), segment.Deadline(err))
	}
	return i, nil
}

func waitAny(ctx context.Context, subs []*Subscriber) (int, error) {
	any := make([]segment.Candidate, len(subs))
	for i, s := range subs {
		s.Release()
		any[i] = segment.Candidate{Handle: s.h, Condition: &s.wait}
	}
	for {
		for i, s := range subs {
			if s.h.Closed() {
				return -1, samepage.ErrClosed
			}
			if s.somethingToTake() {
				return i, nil
			}
		}
		if err := ctx.Err(); err != nil { // a word that changes to and fro keeps nobody here
			return -1, err
		}
		if _, err := segment.WaitAny(ctx, any); err != nil {
			return -1, err
		}
	}
}

// somethingToTake says whether the next TryTake finds a message or an error, which is
// then kept for it.
func (s *Subscriber) somethingToTake() bool {
	if s.ahead || s.gone != nil {
		return true
	}
	for range 16 { // as in TryTake
		ok, err := s.take()
		if ok {
			s.ahead = true
			return true
		}
		if err == nil {
			s.settle()
			err = s.slow()
		}
		if err == errAgain {
			continue
		}
		if err != nil && s.gone == nil {
			s.gone, s.once = err, true
		}
		return err != nil
	}
	return false
}

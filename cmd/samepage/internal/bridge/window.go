package bridge

import (
	"context"
	"sync"
	"time"
)

// window is how a source waits for subscribing bridges. It keeps each envelope until all have
// acknowledged it. If one has a hole, or the connection was lost, it sends all that it keeps again,
// in their order. A receiver takes envelopes only in the order of their numbers. So nothing is
// lost, and nothing comes twice.
type window struct {
	s    *source
	room int           // bytes of envelopes that may be kept
	stop chan struct{} // closed at the end

	mu        sync.Mutex
	changed   chan struct{} // closed, and made again, when there may be room
	kept      []sealed      // in the order of their numbers
	bytes     int
	receivers map[uint64]*receiver
	resent    time.Time // when all were sent again
	free      [][]byte  // buffers that are used again
}

// sealed is an envelope that is kept.
type sealed struct {
	number uint64
	b      []byte
}

// receiver is a subscribing bridge.
type receiver struct {
	from   uint64    // it takes the envelopes after this one
	number uint64    // all envelopes up to this one are done
	knows  bool      // it has begun
	heard  time.Time // when it was last heard
}

// resendAfter is how long a window sends nothing again after it has done so: until then a receiver
// also complains about envelopes that are on their way.
const resendAfter = 500 * time.Millisecond

func newWindow(s *source) *window {
	w := &window{s: s, room: s.b.o.Window, stop: make(chan struct{}), changed: make(chan struct{}), receivers: map[uint64]*receiver{}}
	go w.watch()
	return w
}

func (w *window) close() { close(w.stop) }

// send sends an envelope, and keeps b. It returns memory for another one. After it, the caller must
// call await.
func (w *window) send(number uint64, b []byte) (next []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.s.b.o.Conn.Publish(w.s.subject, b) // if it fails, it is sent again
	if len(w.receivers) == 0 {
		return b
	}
	w.kept = append(w.kept, sealed{number, b})
	w.bytes += len(b)
	if !w.s.fits(err, len(b)) {
		w.empty(&w.kept[len(w.kept)-1])
		w.trim()
	}
	if n := len(w.free) - 1; n >= 0 {
		next, w.free = w.free[n], w.free[:n]
		return next
	}
	return make([]byte, 0, cap(b))
}

// await waits until there is room for the next envelope, or ctx ends.
func (w *window) await(ctx context.Context) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.bytes >= w.room && ctx.Err() == nil {
		changed := w.changed
		w.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		w.mu.Lock()
	}
}

// admit adds bridges: they take the envelopes after number. It returns all that begin there.
func (w *window) admit(all []uint64, number uint64) (begin []uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range all {
		switch {
		case w.receivers[id] != nil:
		case len(w.receivers) >= maxReceivers: // it asks again, and then it is told
		default:
			w.receivers[id] = &receiver{from: number, number: number, heard: time.Now()}
			w.s.b.tell("receiver", w.s.name, 0, "a bridge has come; there are %d", len(w.receivers))
		}
	}
	for id, r := range w.receivers {
		if r.from == number {
			begin = append(begin, id)
		}
	}
	return begin
}

// dismiss waits no longer for bridges that were to begin after envelope number: they cannot.
func (w *window) dismiss(number uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.forget(number)
	w.trim()
}

// forget is dismiss without what follows from it.
//
// Preconditions:
//   - The caller has mu, and calls trim.
func (w *window) forget(number uint64) {
	for id, r := range w.receivers {
		if r.from == number && !r.knows {
			delete(w.receivers, id)
			w.s.b.tell("receiver", w.s.name, 0, "a bridge cannot begin, and is not waited for; there are %d", len(w.receivers))
		}
	}
}

// full says whether the window can wait for no more bridges.
func (w *window) full() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.receivers) >= maxReceivers
}

// has says whether the window waits for a bridge.
func (w *window) has(id uint64) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.receivers[id] != nil
}

// keeps says whether a bridge has not acknowledged all.
func (w *window) keeps() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.kept) > 0
}

// heard notes what a bridge has said. It returns false if the bridge must be admitted, because the
// window does not wait for it.
func (w *window) heard(a *back) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	r := w.receivers[a.receiver]
	if r == nil {
		return false
	}
	ours := a.session == w.s.session
	// It begins again: it has not what was kept for it, or it had begun and has forgotten that, because
	// its topic was over. If it then began with a description that came again, what follows that one is
	// not kept any more.
	if a.say == sayAsk && (ours || r.knows) || a.say == sayHole && ours && a.number < r.number {
		delete(w.receivers, a.receiver)
		w.trim()
		return false
	}
	r.heard = time.Now()
	if ours {
		r.knows = true
		r.number = max(r.number, a.number)
		w.trim()
	}
	// A bridge that asks has lost the first envelope that was kept for it. One that says nothing of
	// this session, and does not ask, hears another bridge that has the name.
	if (a.say == sayAsk || ours && a.say == sayHole) && len(w.kept) > 0 && time.Since(w.resent) > resendAfter {
		w.resend()
	}
	return true
}

// resend sends all envelopes again that a receiver has not.
func (w *window) resend() {
	w.s.c.resent.Add(uint64(len(w.kept)))
	for i := range w.kept {
		e := &w.kept[i]
		err := w.s.b.o.Conn.Publish(w.s.subject, e.b)
		if !w.s.fits(err, len(e.b)) {
			w.empty(e)
		} else if err != nil {
			break
		}
	}
	w.trim() // what nobody waits for any more
	w.resent = time.Now()
}

// empty replaces an envelope that the server does not allow, because it is too large, by one of the
// same number without messages. So receivers go on, and count them. Those that were to begin with a
// description are not waited for.
func (w *window) empty(e *sealed) {
	was, err := parse(e.b)
	if err != nil { // impossible: it is sealed
		return
	}
	if was.kind == kindOpen {
		w.forget(e.number - 1)
	}
	b := make([]byte, headerSize)
	was.kind, was.flags = kindDeath, 0 // without positions it says nothing
	was.seal(b)
	w.bytes -= len(e.b) - len(b)
	e.b = b
	_ = w.s.b.o.Conn.Publish(w.s.subject, b)
}

const maxReceivers = 1024

// trim drops the envelopes that all receivers have acknowledged.
func (w *window) trim() {
	n := 0
	for n < len(w.kept) && w.done(w.kept[n].number) {
		w.bytes -= len(w.kept[n].b)
		if len(w.free) < 64 && cap(w.kept[n].b) >= batchBytes {
			w.free = append(w.free, w.kept[n].b)
		}
		n++
	}
	if n > 0 {
		w.kept = append(w.kept[:0], w.kept[n:]...)
		close(w.changed)
		w.changed = make(chan struct{})
	}
}

// done says whether all receivers have an envelope.
func (w *window) done(number uint64) bool {
	for _, r := range w.receivers {
		if r.number < number {
			return false
		}
	}
	return true
}

// watch sends envelopes again, and forgets receivers that are not heard any more.
func (w *window) watch() {
	t := time.NewTicker(resendAfter / 5)
	defer t.Stop()
	connected, lost := time.Now(), false
	for {
		select {
		case <-t.C:
		case <-w.stop:
			return
		}
		if !w.s.b.o.Conn.IsConnected() {
			connected, lost = time.Now(), true
			continue
		}
		again := lost
		lost = false
		w.mu.Lock()
		for id, r := range w.receivers {
			if since := time.Since(later(r.heard, connected)); since > w.s.b.o.Silence {
				delete(w.receivers, id)
				w.s.b.tell("receiver", w.s.name, 0, "a bridge was not heard for %v, and is not waited for any more; there are %d", w.s.b.o.Silence, len(w.receivers))
				w.trim()
			}
		}
		if again {
			w.resend()
		}
		w.mu.Unlock()
	}
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

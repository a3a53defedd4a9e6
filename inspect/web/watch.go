package web

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"samepage/inspect"
)

// watch takes the snapshots that all clients share.
type watch struct {
	snapshot func() (*inspect.State, error)
	interval time.Duration // between two snapshots

	mu      sync.Mutex
	last    *look
	pending chan struct{} // is closed when the look that somebody waits for was taken; or nil
}

// look is one snapshot. It does not change.
type look struct {
	at    time.Time
	state *inspect.State
	err   error // of the snapshot; state is then nil
	json  func() ([]byte, error)
}

// next returns the newest look if it is not seen and not old. Otherwise it waits for a new one,
// which is taken when the interval since the last has passed. It fails only if ctx ends.
func (w *watch) next(ctx context.Context, seen *look) (*look, error) {
	w.mu.Lock()
	age := w.interval
	if w.last != nil {
		age = time.Since(w.last.at)
		if w.last != seen && age < w.interval {
			defer w.mu.Unlock()
			return w.last, nil
		}
	}
	if w.pending == nil {
		w.pending = make(chan struct{})
		time.AfterFunc(max(0, w.interval-age), w.look)
	}
	pending := w.pending
	w.mu.Unlock()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-pending:
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.last, nil
}

// look takes a look. Only one runs at a time, since next starts it only if none is pending.
func (w *watch) look() {
	l := &look{}
	l.state, l.err = w.snapshot()
	l.at = time.Now() // if looks take long, there are pauses between them
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.err == nil && w.last != nil && w.last.state != nil {
		l.state.Since(w.last.state)
	}
	l.json = sync.OnceValues(func() ([]byte, error) {
		if l.err != nil {
			return nil, l.err
		}
		return json.Marshal(l.state)
	})
	w.last = l
	close(w.pending)
	w.pending = nil
}

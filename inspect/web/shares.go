package web

import (
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"samepage"
	"samepage/inspect"
)

// sharesTime is how long the same shares are sent: to find them, the system walks the page tables
// of the processes that have mapped the object.
const sharesTime = 2 * time.Second

// sharesOf finds the shares of one object at a time, and sends them again for sharesTime.
type sharesOf struct {
	mu    sync.Mutex
	id    samepage.ID
	at    time.Time
	found []inspect.Share
	err   error
}

func (s *sharesOf) get(i samepage.Info) ([]inspect.Share, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.id != i.ID || time.Since(s.at) >= sharesTime {
		s.id = i.ID
		s.found, s.err = inspect.SharesOf(i)
		s.at = time.Now()
	}
	return s.found, s.err
}

// mapped serves the shares of the object with an ID. There is no content if the system does not
// tell them.
func (s *server) mapped(w http.ResponseWriter, r *http.Request) {
	l, err := s.watch.next(r.Context(), nil)
	if err != nil {
		return // the client has gone
	}
	if l.err != nil {
		fail(w, l.err)
		return
	}
	for i := range l.state.Objects {
		o := &l.state.Objects[i]
		if o.ID == (samepage.ID{}) || o.ID.String() != r.PathValue("id") {
			continue
		}
		all, err := s.shares.get(o.Info)
		if err != nil {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		b, err := json.Marshal(append([]inspect.Share{}, all...))
		if err != nil {
			fail(w, err)
			return
		}
		reply(w, "application/json", b)
		return
	}
	http.Error(w, "there is no object with this id", http.StatusNotFound)
}

package web

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// mostStreams is the largest number of clients that get events at a time.
const mostStreams = 64

// sendTime is how long a client may take for one event, or for another answer. A test makes it
// shorter.
var sendTime = 30 * time.Second

// hurry ends the connection of a client that does not read its answer: else each one would keep the
// memory of an answer. A server that cannot set a deadline, such as a test, has a client that reads.
func hurry(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(sendTime))
}

// events sends a look each interval, until the client goes.
func (s *server) events(w http.ResponseWriter, r *http.Request) {
	if s.streams.Add(1) > mostStreams {
		s.streams.Add(-1)
		http.Error(w, fmt.Sprintf("%d clients get events, and no more can", mostStreams), http.StatusServiceUnavailable)
		return
	}
	defer s.streams.Add(-1)
	w.Header().Set("Content-Type", "text/event-stream")
	c := http.NewResponseController(w)
	var seen *look
	for {
		l, err := s.watch.next(r.Context(), seen)
		if err != nil {
			return
		}
		seen = l
		kind := "state"
		b, err := l.json()
		if err != nil {
			kind = "failed"
			b, _ = json.Marshal(err.Error()) // a string has always JSON
		}
		hurry(w)
		if _, err := fmt.Fprintf(w, "event: %s\ndata: %s\n\n", kind, b); err != nil {
			return
		}
		if err := c.Flush(); err != nil {
			return
		}
	}
}

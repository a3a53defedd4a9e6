package bridge

import (
	"cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"os"

	"samepage"
	"samepage/cell"
	"samepage/pubsub"
)

// A subscribing bridge that is started again, also after it was killed, must not publish the history
// again. What it has published, the topic here says: its numbers are those of the origin, plus a
// shift. The shifts are in a cell that stays, and that is written only when one becomes known.

// shifts is the value of the cell, as JSON.
type shifts struct {
	Here   samepage.ID   `json:"here"`   // the topic here
	Origin samepage.ID   `json:"origin"` // the topic at its origin
	Places map[int]shift `json:"places"` // by the place at the origin
}

// shift is what is added to the numbers of a place.
type shift struct {
	Lane int   `json:"lane"` // the place of the publisher here; -1: another one has got it
	Add  int64 `json:"add"`
	// Next is the number at the origin of the message that comes next, if Lane does not tell it.
	Next uint64 `json:"next,omitempty"`
}

// bridgeNames are the first letters of the names that bridges use for themselves.
const bridgeNames = "samepage.bridge."

// shiftsSize returns the size of the cell of a topic with so many places: of JSON with the largest
// numbers. A cell keeps more than 64 values of this size.
func shiftsSize(places int) int { return 128 + 64*places }

// shiftsMembers is how many may use the cell at a time: the bridge, and others that look.
const shiftsMembers = 4

func (s *sink) shiftsName() string { return bridgeNames + s.name }

// lane returns the place here of the publisher that has just become the one of a place of the
// origin, or -1.
func (s *sink) lane() int {
	st, err := pubsub.Inspect(s.name, &samepage.InspectOptions{Scope: s.b.o.Scope, Owner: s.b.o.Owner})
	if err != nil {
		return -1
	}
	for l, at := range st.Lanes {
		if p := at.Publisher; p == nil || p.Foreign || p.PID != os.Getpid() {
			continue
		}
		mine := false
		for i := range s.places {
			mine = mine || s.places[i].p != nil && s.places[i].lane == l
		}
		if !mine {
			return l
		}
	}
	return -1
}

// remember writes that the shift of a place is known.
func (s *sink) remember(i int) {
	pl := &s.places[i]
	if id := pl.p.ID(); s.shifts.Here != id || s.shifts.Origin != s.meta.ID {
		s.shifts = shifts{id, s.meta.ID, map[int]shift{}}
	}
	now := shift{Lane: pl.lane, Add: pl.shift}
	if was, ok := s.shifts.Places[i]; pl.lane < 0 || ok && was == now {
		return
	}
	for k, other := range s.shifts.Places {
		if other.Lane == now.Lane { // what has got there no longer tells of place k
			s.shifts.Places[k] = shift{Lane: -1, Next: cmp.Or(s.places[k].out, s.places[k].next)}
		}
	}
	s.shifts.Places[i] = now
	s.keepShifts()
}

// keepShifts writes the shifts into the cell. If that fails, watch tries again: somebody who looks
// at a cell that is too small keeps it from being removed, for example.
func (s *sink) keepShifts() {
	text, _ := json.Marshal(&s.shifts) // it has no value that JSON has not
	size := shiftsSize(len(s.places))
	o := &cell.Options{Scope: s.b.o.Scope, Owner: s.b.o.Owner, Lifetime: samepage.Persist, Members: shiftsMembers, AsItIs: true}
	w, _, err := cell.OpenOrCreateWriter(s.shiftsName(), size, o)
	if errors.Is(err, samepage.ErrTooLarge) { // of a topic with fewer places
		if err = s.removeShifts(); err == nil {
			w, _, err = cell.OpenOrCreateWriter(s.shiftsName(), size, o)
		}
	}
	if err == nil {
		err = errors.Join(w.Set(s.ctx, text), w.Close())
	}
	if err != nil && !s.unkept {
		s.b.tell("error", s.name, 0, "if this bridge is started again, its first messages may come again: %v", err)
	}
	s.unkept = err != nil
}

// restore finds out what a bridge that ran before has published of a topic, and goes on after it.
func (s *sink) restore() {
	r, err := cell.OpenReader(s.shiftsName(), &cell.ReaderOptions{Scope: s.b.o.Scope, Owner: s.b.o.Owner})
	if err != nil {
		return // there was none
	}
	text, ok, err := r.Get()
	var was shifts
	if err = errors.Join(err, r.Close()); err != nil || !ok || json.Unmarshal(text, &was) != nil || was.Origin != s.meta.ID {
		return
	}
	here, err := samepage.Stat(s.name, &samepage.Options{Scope: s.b.o.Scope, Owner: s.b.o.Owner, Kind: samepage.KindTopic})
	if err != nil || here.ID != was.Here {
		return
	}
	st, err := pubsub.Inspect(s.name, &samepage.InspectOptions{Scope: s.b.o.Scope, Owner: s.b.o.Owner})
	if err != nil {
		return
	}
	// Places that have nothing new this time must be known the next time, too.
	s.shifts = shifts{was.Here, was.Origin, map[int]shift{}}
	for i := range s.places {
		at, ok := was.Places[i]
		if !ok || at.Lane >= len(st.Lanes) {
			continue
		}
		next := at.Next
		if at.Lane >= 0 {
			l := st.Lanes[at.Lane]
			if p := l.Publisher; p != nil && p.Alive {
				continue // it has become another's
			}
			next = uint64(int64(l.Messages) + 1 - at.Add)
		}
		s.shifts.Places[i] = at
		if pl := &s.places[i]; numbered(next, 1) && next > pl.next {
			pl.next, pl.out = next, next
		}
	}
}

// forget removes the cell, when the topic here is over.
func (s *sink) forget() {
	if err := s.removeShifts(); err != nil {
		s.b.tell("error", s.name, 0, "%v", err)
	}
	s.shifts, s.unkept = shifts{}, false
}

// removeShifts removes the cell, if there is one.
func (s *sink) removeShifts() error {
	err := samepage.Remove(s.shiftsName(), &samepage.Options{Scope: s.b.o.Scope, Owner: s.b.o.Owner, Kind: samepage.KindCell})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return err
}

package bridge

import (
	"slices"

	"samepage"
	"samepage/pubsub"
)

// These are the methods of a source that look at the publishers of its topic, and at its other
// users.

// A place of a publisher that the source has looked at.
const (
	unknown = iota
	isLocal
	isBridge
)

// look finds out which places have publishers that are bridges, and which other publishers have
// died since the last look. The caller tells that with dead, behind their last messages.
func (s *source) look() {
	st, err := pubsub.Inspect(s.name, &samepage.InspectOptions{Scope: s.b.o.Scope, Owner: s.b.o.Owner})
	if err != nil || len(st.Lanes) != len(s.local) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	living := 0
	for i, l := range st.Lanes {
		if n := l.Deaths - s.deaths[i]; n > 0 {
			if s.local[i] != isBridge {
				s.died[i] += n
			}
			s.deaths[i] = l.Deaths
		}
		if l.Messages == 0 && s.at[i].next == 0 { // a topic with packs that has none yet
			s.at[i].next, s.meta.Since[i] = 1, 1
		}
		is := unknown
		if p := l.Publisher; p != nil {
			is = isLocal
			if s.b.isBridgeProcess(&p.Member) {
				is = isBridge
			} else if p.Alive {
				living++
			}
		} else if l.Messages > 0 {
			is = s.local[i]
		}
		s.local[i] = is
	}
	s.meta.Living = living
}

// dead makes the deaths that were seen a part of the positions. It says whether there are any.
func (s *source) dead() (any bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, n := range s.died {
		s.at[i].deaths += n
		any = any || n > 0
	}
	clear(s.died)
	return any
}

// isBridgeProcess says whether a member belongs to a subscribing bridge.
func (b *Bridge) isBridgeProcess(m *samepage.Member) bool {
	if m.Foreign {
		return false
	}
	i, err := samepage.Stat(markName(m.PID), &samepage.Options{Kind: samepage.KindEvent, Scope: b.o.Scope})
	return err == nil && i.InUse
}

// mayEnd says whether the source ends when only this bridge uses the topic, and nobody publishes
// now.
func (s *source) mayEnd() bool { return s.ends && (s.ended || s.meta.Living == 0) }

// deserted says whether only this bridge has used the topic for a while.
func (s *source) deserted() bool {
	st, err := pubsub.Inspect(s.name, &samepage.InspectOptions{Scope: s.b.o.Scope, Owner: s.b.o.Owner})
	if err != nil {
		return false
	}
	used := slices.ContainsFunc(st.Members, func(m pubsub.Member) bool { return isAnother(&m.Member) })
	return s.b.deserted(samepage.KindTopic, s.name, used, &s.alone)
}

package inspect

import (
	"cmp"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"samepage"
	"samepage/cell"
	"samepage/ipcsync"
	"samepage/layout"
	"samepage/pubsub"
	"samepage/rpc"
	"samepage/stream"
)

// These are the types of metrics.
const (
	gauge   = "gauge"
	counter = "counter" // never goes back while its object lives
	info    = "info"    // is 1, and has labels
)

// metric describes the lines of one metric. Exactly one of state and object is not nil; it calls
// put for each line, with the values of labels.
type metric struct {
	name   string
	typ    string
	help   string
	labels []string // beside those of the object
	state  func(s *State, put put)
	object func(s *State, o *Object, put put)
}

type put func(v float64, labels ...string)

// objectLabels say which object a line is about.
var objectLabels = []string{"kind", "scope", "name"}

// unit is the unit of a metric, which its name tells.
func (m *metric) unit() string {
	for _, u := range []string{"bytes", "seconds", "ratio"} {
		if strings.HasSuffix(strings.TrimSuffix(m.name, "_total"), "_"+u) {
			return u
		}
	}
	return ""
}

// metrics are all metrics, in the order in which they are written. docs/observe.md has a table of
// them for users.
var metrics = []metric{
	{
		name: "samepage_objects", typ: gauge, labels: []string{"kind", "scope"},
		help:  "Objects that a living process uses, or that persist.",
		state: countObjects,
	},
	{
		name: "samepage_unreadable_objects", typ: gauge, labels: []string{"reason"},
		help:  "Objects that could not be inspected.",
		state: countUnreadable,
	},
	{
		name: "samepage_leftover_objects", typ: gauge,
		help:  "Objects that no living process uses and that do not persist. samepage clean removes them.",
		state: func(s *State, put put) { put(float64(len(s.Leftovers))) },
	},
	{
		name: "samepage_leftover_bytes", typ: gauge,
		help:  "Bytes that objects take that no living process uses and that do not persist.",
		state: func(s *State, put put) { put(float64(s.Memory.Leftover)) },
	},
	{
		name: "samepage_wait_cycles", typ: gauge,
		help:  "Groups of processes that wait for one another in a circle. This can be a deadlock.",
		state: func(s *State, put put) { put(float64(len(s.Cycles))) },
	},

	{
		name: "samepage_object_info", typ: info, labels: []string{"owner", "lifetime", "type"},
		help: "The user who owns the object, its lifetime, and the type of its messages, values or calls.",
		object: func(_ *State, o *Object, put put) {
			lifetime := o.Lifetime.String()
			if o.Info.Err != nil && o.Lifetime == 0 {
				lifetime = ""
			}
			put(1, o.Owner, lifetime, o.typeName())
		},
	},
	{
		name: "samepage_object_size_bytes", typ: gauge,
		help:   "Bytes of the object, as it was created.",
		object: known(func(o *Object) float64 { return float64(o.Size) }),
	},
	{
		name: "samepage_object_allocated_bytes", typ: gauge,
		help:   "Bytes of memory or disk that the object takes now.",
		object: known(func(o *Object) float64 { return float64(o.Allocated) }),
	},
	{
		name: "samepage_object_created_timestamp_seconds", typ: gauge,
		help: "When the object was created, in seconds since 1970.",
		object: func(_ *State, o *Object, put put) {
			if !o.Created.IsZero() {
				put(float64(o.Created.UnixMilli()) / 1000)
			}
		},
	},
	{
		name: "samepage_object_places", typ: gauge,
		help:   "Places for members.",
		object: detailed(func(d *Detail) float64 { return float64(d.Room) }),
	},
	{
		name: "samepage_object_members", typ: gauge, labels: []string{"role"},
		help:   "Living members.",
		object: countMembers,
	},
	{
		name: "samepage_object_dead_members", typ: gauge,
		help:   "Members that have died, and whose places nobody has taken back yet.",
		object: detailed(func(d *Detail) float64 { return float64(len(d.Dead())) }),
	},
	{
		name: "samepage_object_waiting_members", typ: gauge, labels: []string{"reason"},
		help:   "Members that sleep, by what they wait for.",
		object: countWaits,
	},
	{
		name: "samepage_object_blocked_members", typ: gauge,
		help:   "Members that wait for certain other members.",
		object: detailed(func(d *Detail) float64 { return float64(d.Blocked()) }),
	},
	{
		name: "samepage_object_blocked_seconds", typ: gauge,
		help:   "For how long the member that has waited longest has waited for certain other members, as far as it was seen.",
		object: blockedSeconds,
	},

	{
		name: "samepage_lock_holders", typ: gauge,
		help: "Living members that hold the lock.",
		object: locks([]samepage.Kind{samepage.KindMutex, samepage.KindRWMutex}, func(st *ipcsync.State) (n float64) {
			for _, m := range st.Members {
				if m.Alive && (m.Owner || m.Reads > 0) {
					n++
				}
			}
			return n
		}),
	},
	{
		name: "samepage_lock_dirty", typ: gauge,
		help:   "1 if an owner died while it held the lock, and nobody has declared the data consistent since.",
		object: locks([]samepage.Kind{samepage.KindMutex, samepage.KindRWMutex}, func(st *ipcsync.State) float64 { return one(st.Dirty) }),
	},
	{
		name: "samepage_event_set", typ: gauge,
		help:   "1 if the event is set.",
		object: locks([]samepage.Kind{samepage.KindEvent}, func(st *ipcsync.State) float64 { return one(st.Set) }),
	},
	{
		name: "samepage_semaphore_units", typ: gauge,
		help:   "Units that can be acquired now.",
		object: locks([]samepage.Kind{samepage.KindSemaphore}, func(st *ipcsync.State) float64 { return float64(st.Units) }),
	},
	{
		name: "samepage_semaphore_max_units", typ: gauge,
		help:   "The largest number of units.",
		object: locks([]samepage.Kind{samepage.KindSemaphore}, func(st *ipcsync.State) float64 { return float64(st.Max) }),
	},

	{
		name: "samepage_topic_messages_total", typ: counter,
		help:   "Messages published since the topic was created.",
		object: lanes(func(l *pubsub.LaneState) uint64 { return l.Messages }),
	},
	{
		name: "samepage_topic_bytes_total", typ: counter,
		help:   "Bytes of these messages; in a topic with packs, with what the packs add.",
		object: lanes(func(l *pubsub.LaneState) uint64 { return l.Bytes }),
	},
	{
		name: "samepage_topic_ended_streams_total", typ: counter,
		help:   "Publishers that closed the topic.",
		object: lanes(func(l *pubsub.LaneState) uint64 { return uint64(l.Ends) }),
	},
	{
		name: "samepage_topic_dead_publishers_total", typ: counter,
		help:   "Publishers that called Abort, or died and were found dead.",
		object: lanes(func(l *pubsub.LaneState) uint64 { return uint64(l.Deaths) }),
	},
	{
		name: "samepage_topic_lag_ratio", typ: gauge,
		help: "How far the slowest reliable subscriber is behind: 0 not at all, 1 as far as the topic keeps messages.",
		object: of(func(st *pubsub.State) float64 {
			return float64(slowest(st)) / float64(max(1, st.Options.Depth))
		}),
	},
	{
		name: "samepage_topic_lag_messages", typ: gauge,
		help: "How many messages the slowest reliable subscriber is behind; in a topic with packs, how many packs.",
		object: of(func(st *pubsub.State) float64 {
			return float64(slowest(st))
		}),
	},
	{
		name: "samepage_topic_unacknowledged_messages", typ: gauge,
		help: "Messages that the named reader that is furthest behind has not acknowledged. There is no line without named readers.",
		object: func(_ *State, o *Object, put put) {
			if st, ok := stateOf[*pubsub.State](o); ok && len(st.Readers) > 0 {
				put(unacknowledged(st))
			}
		},
	},
	{
		name: "samepage_topic_evicted_subscribers", typ: gauge,
		help: "Living subscribers that a publisher has evicted because they were too slow.",
		object: of(func(st *pubsub.State) (n float64) {
			for _, m := range st.Members {
				n += one(m.Alive && m.Evicted)
			}
			return n
		}),
	},

	{
		name: "samepage_cell_values_total", typ: counter,
		help:   "Values set since the cell was created.",
		object: of(func(st *cell.State) float64 { return float64(st.Generation) }),
	},

	{
		name: "samepage_service_calls", typ: gauge, labels: []string{"state"},
		help: "Calls that no worker has taken (waiting), and that a worker executes (taken).",
		object: func(_ *State, o *Object, put put) {
			if st, ok := stateOf[*rpc.State](o); ok {
				put(float64(st.Waiting), "waiting")
				put(float64(st.InFlight-st.Waiting), "taken")
			}
		},
	},
	{
		name: "samepage_service_max_calls", typ: gauge,
		help:   "The largest number of calls at a time.",
		object: of(func(st *rpc.State) float64 { return float64(st.Calls) }),
	},

	{
		name: "samepage_listener_connections", typ: gauge, labels: []string{"state"},
		help: "Connections that wait for Accept (waiting), and accepted connections (open).",
		object: func(_ *State, o *Object, put put) {
			if st, ok := stateOf[*stream.State](o); ok {
				put(float64(st.Asked), "waiting")
				put(float64(st.Open), "open")
			}
		},
	},
	{
		name: "samepage_listener_max_connections", typ: gauge,
		help:   "The largest number of connections.",
		object: of(func(st *stream.State) float64 { return float64(st.Connections) }),
	},
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// stateOf is the state that the package of its kind returned about an object.
func stateOf[T any](o *Object) (st T, ok bool) {
	if o.Detail == nil {
		return st, false
	}
	st, ok = o.Detail.Of.(T)
	return st, ok
}

// of is a line for each object with a state of type T.
func of[T any](value func(T) float64) func(*State, *Object, put) {
	return func(_ *State, o *Object, put put) {
		if st, ok := stateOf[T](o); ok {
			put(value(st))
		}
	}
}

// lanes is a line for each topic: the sum of all places of publishers.
func lanes(value func(*pubsub.LaneState) uint64) func(*State, *Object, put) {
	return of(func(st *pubsub.State) (n float64) {
		for i := range st.Lanes {
			n += float64(value(&st.Lanes[i]))
		}
		return n
	})
}

// locks is a line for each lock or event of one of these kinds.
func locks(kinds []samepage.Kind, value func(*ipcsync.State) float64) func(*State, *Object, put) {
	return func(_ *State, o *Object, put put) {
		if st, ok := stateOf[*ipcsync.State](o); ok && slices.Contains(kinds, o.Kind) {
			put(value(st))
		}
	}
}

// detailed is a line for each object with members.
func detailed(value func(*Detail) float64) func(*State, *Object, put) {
	return func(_ *State, o *Object, put put) {
		if o.Detail != nil {
			put(value(o.Detail))
		}
	}
}

// known is a line for each object of which the value is known.
func known(value func(*Object) float64) func(*State, *Object, put) {
	return func(_ *State, o *Object, put put) {
		if v := value(o); v != 0 || o.Info.Err == nil {
			put(v)
		}
	}
}

// typeName is the type of an object's messages, values or calls, or empty.
func (o *Object) typeName() string {
	if o.Detail != nil {
		switch st := o.Detail.Of.(type) {
		case *pubsub.State:
			return st.Type
		case *cell.State:
			return st.Type
		case *rpc.State:
			return st.Type
		}
	}
	return ""
}

// countObjects has a line for each kind that this version knows, also if there are no objects.
func countObjects(s *State, put put) {
	type group struct {
		kind  samepage.Kind
		scope samepage.Scope
	}
	n := map[group]int{}
	for _, k := range samepage.Kinds() {
		n[group{k, samepage.Local}], n[group{k, samepage.Global}] = 0, 0
	}
	for _, o := range s.Objects {
		n[group{o.Kind, o.Scope}]++
	}
	for _, g := range slices.SortedFunc(maps.Keys(n), func(a, b group) int {
		return cmp.Or(cmp.Compare(a.scope, b.scope), cmp.Compare(a.kind, b.kind))
	}) {
		put(float64(n[g]), g.kind.String(), g.scope.String())
	}
}

func countUnreadable(s *State, put put) {
	n := map[string]int{"permission": 0, "version": 0, "damaged": 0, "other": 0}
	for _, o := range s.Objects {
		switch {
		case o.Err == nil:
		case errors.Is(o.Err, fs.ErrPermission):
			n["permission"]++
		case errors.Is(o.Err, samepage.ErrVersion):
			n["version"]++
		case errors.Is(o.Err, samepage.ErrCorrupt):
			n["damaged"]++
		default:
			n["other"]++
		}
	}
	putSorted(n, put)
}

// countMembers counts living members by their role. In a kind without roles all are "member".
// "other" are members that are joining.
func countMembers(_ *State, o *Object, put put) {
	if o.Detail == nil {
		return
	}
	n := map[string]int{}
	for r := uint32(1); layout.Kind(o.Kind).Role(r) != ""; r++ {
		n[layout.Kind(o.Kind).Role(r)] = 0
	}
	if len(n) == 0 {
		n["member"] = 0
	}
	for _, m := range o.Detail.Members {
		role := cmp.Or(m.Role, "member")
		if _, ok := n[role]; !ok {
			role = "other"
		}
		n[role] += int(one(m.Alive))
	}
	putSorted(n, put)
}

// reasons are what members of an object of a kind can wait for.
var reasons = map[samepage.Kind][]Reason{
	samepage.KindEvent:     {ForEvent},
	samepage.KindMutex:     {ForLock},
	samepage.KindRWMutex:   {ForLock},
	samepage.KindSemaphore: {ForUnit},
	samepage.KindTopic:     {ForSpace, ForSubscriber, ForMessage},
	samepage.KindCell:      {ForTurn, ForValue},
	samepage.KindService:   {ForCall, ForWorker, ForAnswer},
	samepage.KindListener:  {ForAccept, ForData},
}

func countWaits(_ *State, o *Object, put put) {
	if o.Detail == nil {
		return
	}
	n := map[string]int{}
	for _, r := range reasons[o.Kind] {
		n[string(r)] = 0
	}
	for _, w := range o.Detail.Waits {
		n[string(w.For)]++
	}
	putSorted(n, put)
}

// blockedSeconds has no line if somebody waits and nobody knows since when.
func blockedSeconds(s *State, o *Object, put put) {
	if o.Detail == nil {
		return
	}
	longest := 0.0
	for _, w := range o.Detail.Waits {
		if len(w.On) == 0 {
			continue
		}
		if w.Since.IsZero() {
			return
		}
		longest = max(longest, s.At.Sub(w.Since).Seconds())
	}
	put(longest)
}

func putSorted(n map[string]int, put put) {
	for _, label := range slices.Sorted(maps.Keys(n)) {
		put(float64(n[label]), label)
	}
}

// slowest is how far the slowest living reliable subscriber is behind one of the publishers.
func slowest(st *pubsub.State) (n uint64) {
	for _, m := range st.Members {
		for _, behind := range m.Behind {
			if m.Alive {
				n = max(n, behind)
			}
		}
	}
	return n
}

// unacknowledged is how many messages the named reader that is furthest behind has not
// acknowledged.
func unacknowledged(st *pubsub.State) (most float64) {
	for _, r := range st.Readers {
		var n float64
		for l, next := range r.Next {
			if done := max(next, 1) - 1; l < len(st.Lanes) && st.Lanes[l].Messages > done {
				n += float64(st.Lanes[l].Messages - done)
			}
		}
		most = max(most, n)
	}
	return most
}

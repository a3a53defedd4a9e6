package inspect

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"samepage"
	"samepage/cell"
	"samepage/internal/words"
	"samepage/ipcsync"
	"samepage/pubsub"
	"samepage/rpc"
)

// Sentence says who waits at an object, and for whom.
type Sentence struct {
	Text  string `json:"text"`            // "process 7 (pub) waits until process 9 (sub) lets go of messages"
	Lasts string `json:"lasts,omitempty"` // "for 3.2 s"; "for at least 3.2 s" if a Wait is not Exact; empty: not known
	// On: the members wait for certain others, see Wait.On. Otherwise they wait for something that
	// any other member can bring.
	On bool `json:"on,omitempty"`
	// Stopped: one of those others is stopped.
	Stopped bool `json:"stopped,omitempty"`
}

func (s Sentence) String() string {
	if s.Lasts == "" {
		return s.Text
	}
	return s.Text + ", " + s.Lasts
}

// ends say what ends a wait: what the others do for which a member waits, and what else.
var ends = map[Reason]struct{ others, any string }{
	ForLock:       {"unlocks it", "it is free"},
	ForSpace:      {"lets go of messages", "there is space"},
	ForTurn:       {"has written its value", "its turn comes"},
	ForAnswer:     {"answers", "a worker answers"},
	ForAccept:     {"accepts the connection", "somebody accepts the connection"},
	ForEvent:      {any: "somebody sets the event"},
	ForUnit:       {any: "somebody releases a unit"},
	ForSubscriber: {any: "somebody subscribes"},
	ForMessage:    {any: "somebody publishes a message"},
	ForValue:      {any: "somebody sets a value"},
	ForCall:       {any: "somebody calls"},
	ForWorker:     {any: "a worker takes the call"},
	ForData:       {any: "there is data, space or a connection"},
}

// Sentences say who waits at the object. Members that wait for the same members, or for the same
// event, are in one sentence. at is the time of the snapshot, and says for how long they wait.
func (d *Detail) Sentences(at time.Time) (all []Sentence) {
	var done []Wait
	for _, w := range d.Waits {
		same := func(v Wait) bool { return v.For == w.For && slices.Equal(v.On, w.On) }
		if slices.ContainsFunc(done, same) {
			continue
		}
		done = append(done, w)
		var waiters, on []Member
		since, least := at, ""
		for _, v := range d.Waits {
			if !same(v) {
				continue
			}
			waiters = append(waiters, d.Members[v.Member])
			if !v.Exact {
				least = "at least "
			}
			if !v.Since.IsZero() && v.Since.Before(since) {
				since = v.Since
			}
		}
		for _, i := range w.On {
			on = append(on, d.Members[i])
		}
		s := Sentence{On: len(on) > 0, Stopped: slices.ContainsFunc(on, func(m Member) bool { return m.Stopped })}
		verb := "waits"
		if len(waiters) > 1 {
			verb = "wait"
		}
		end := ends[w.For].any
		switch {
		case len(on) > 1:
			end = fmt.Sprintf("each of %s %s", Processes(on), ends[w.For].others)
		case len(on) == 1:
			end = fmt.Sprintf("%s %s", Processes(on), ends[w.For].others)
		}
		s.Text = fmt.Sprintf("%s %s until %s", Processes(waiters), verb, end)
		if since.Before(at) {
			s.Lasts = "for " + least + words.Lasting(at.Sub(since))
		}
		all = append(all, s)
	}
	return all
}

// Processes names the processes of members, and only counts them if there are many.
func Processes(members []Member) string {
	const few = 4
	var by []string
	for _, m := range members[:min(len(members), few)] {
		s := words.Named(m.PID, m.Name, m.Foreign, m.Ended)
		if m.Stopped {
			s += ", which is stopped,"
		}
		by = append(by, s)
	}
	text := strings.Join(by, ", ")
	if more := len(members) - few; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// Circles says for each of the Cycles who waits for whom.
func (s *State) Circles() []string {
	all := []string{}
	for _, cycle := range s.Cycles {
		var steps []string
		for _, step := range cycle {
			steps = append(steps, fmt.Sprintf("%s waits at %s", words.Named(step.PID, step.Name, false, false), Title(s.Objects[step.Object].Info)))
		}
		all = append(all, fmt.Sprintf("%s, for process %d", strings.Join(steps, ", for "), cycle[0].PID))
	}
	return all
}

// Title is the kind and the name of an object, or its path if its name is not known.
func Title(i samepage.Info) string {
	switch {
	case i.Name == "":
		return i.Path
	case i.Scope == samepage.Global:
		return i.Kind.String() + ` Global\` + words.Plain(i.Name)
	}
	return i.Kind.String() + " " + words.Plain(i.Name)
}

// Text is the state of an object in a few words. It is empty if nothing is known.
func (o *Object) Text() string {
	switch {
	case o.Err != nil:
		return "unreadable: " + o.Err.Error()
	case o.Legacy != nil:
		return o.Legacy.String()
	case o.Detail != nil:
		return o.Detail.Text()
	}
	return ""
}

// Text is the state of an object in a few words.
func (d *Detail) Text() string {
	switch of := d.Of.(type) {
	case *ipcsync.State:
		return lockText(of)
	case *pubsub.State:
		return topicText(of)
	case *cell.State:
		return cellText(of)
	case *rpc.State:
		return serviceText(of)
	}
	return ""
}

// lockText says whether a lock is held, an event is set, or a semaphore has units.
func lockText(st *ipcsync.State) string {
	switch st.Kind {
	case samepage.KindEvent:
		return map[bool]string{true: "set", false: "not set"}[st.Set] + map[bool]string{true: ", manual-reset", false: ", auto-reset"}[st.Manual]
	case samepage.KindSemaphore:
		return fmt.Sprintf("%d of at most %d units", st.Units, st.Max)
	}
	held := "free"
	for _, m := range st.Members {
		if m.Owner {
			held = "held by " + words.Process(m.PID, m.Foreign, m.Ended)
		} else if m.Reads > 0 && held == "free" {
			held = "locked for reading"
		}
	}
	if st.Dirty {
		held += ", its owner died, and it was not declared consistent"
	}
	return held
}

// topicText tells who publishes, how many subscribe, and how far the slowest subscriber is behind.
func topicText(st *pubsub.State) string {
	var by []string
	messages, bytes := uint64(0), topicBytes(st)
	for _, l := range st.Lanes {
		if p := l.Publisher; p != nil {
			by = append(by, words.Process(p.PID, p.Foreign, p.Ended))
		}
		messages += l.Messages
	}
	text := "no publisher"
	if len(by) > 0 {
		text = "published by " + strings.Join(by, ", ")
	}
	text += ", " + words.Count(messages, "message")
	if bytes > 0 {
		text += " of " + words.Size(int64(min(bytes, math.MaxInt64)))
	}
	subs, behind := 0, uint64(0)
	for _, m := range st.Members {
		if m.Role == pubsub.Reliable || m.Role == pubsub.BestEffort {
			subs++
		}
		for _, n := range m.Behind {
			behind = max(behind, n)
		}
	}
	text += ", " + words.Count(subs, "subscriber")
	switch {
	case behind > 0 && st.Options.Pack > 0:
		text += fmt.Sprintf(", up to %s behind", words.Count(behind, "pack"))
	case behind > 0:
		text += fmt.Sprintf(", up to %d behind", behind)
	}
	return text
}

// cellText tells the generation of the latest value and who is writing.
func cellText(st *cell.State) string {
	text := "no value yet"
	if st.Generation > 0 {
		text = fmt.Sprintf("value %d", st.Generation)
	}
	for _, m := range st.Members {
		if m.Writing {
			text += ", " + words.Process(m.PID, m.Foreign, m.Ended) + " is writing"
		}
	}
	return text
}

// serviceText tells how many workers a service has and how many calls are in flight.
func serviceText(st *rpc.State) string {
	workers := 0
	for _, m := range st.Members {
		if m.Worker && m.Alive {
			workers++
		}
	}
	text := words.Count(workers, "worker") + ", " + words.Count(st.InFlight, "call") + " in flight"
	if st.Waiting > 0 {
		text += fmt.Sprintf(", %d of them wait for a worker", st.Waiting)
	}
	return text
}

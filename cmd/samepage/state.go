package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"samepage"
	"samepage/cell"
	"samepage/internal/facts"
	"samepage/ipcsync"
	"samepage/pubsub"
)

// state is what is known of an object with members, for people.
type state struct {
	*facts.State
	text string // a word or two on what it is just now
	more [][2]string
}

// inspect looks at an object with members, whoever it belongs to.
func inspect(i samepage.Info) (*state, error) {
	st, err := facts.Of(i)
	if err != nil {
		return nil, err
	}
	return stateOf(st), nil
}

// stateOf tells of st, nil where that is.
func stateOf(st *facts.State) *state {
	if st == nil {
		return nil
	}
	s := &state{State: st}
	switch of := st.Of.(type) {
	case *ipcsync.State:
		s.text = lockText(of)
	case *pubsub.State:
		s.text, s.more = topicText(of), topicLines(of)
	case *cell.State:
		s.text, s.more = cellText(of)
	}
	return s
}

func (st *state) write(w io.Writer) error {
	pairs := append([][2]string{{"state", st.text}}, st.more...)
	if d := st.Died; d != nil {
		pairs = append(pairs, [2]string{"died", fmt.Sprintf("%s (%s), noticed %s", processID(d.PID, d.Foreign), plain(d.Name), when(d.At))})
	}
	pairs = append(pairs, [2]string{"members", fmt.Sprintf("%d of %d", len(st.Members), st.Room)})
	if err := lines(w, pairs...); err != nil {
		return err
	}
	for _, m := range st.Members {
		if _, err := fmt.Fprintln(w, "           "+memberLine(m, false)); err != nil {
			return err
		}
	}
	return nil
}

// cellText is the latest value and who writes, and how the cell was made.
func cellText(st *cell.State) (text string, more [][2]string) {
	text = "no value yet"
	if st.Generation > 0 {
		text = fmt.Sprintf("value %d", st.Generation)
	}
	for _, m := range st.Members {
		if m.Writing {
			text += ", " + processText(m.PID, m.Foreign, m.Ended) + " writes"
		}
	}
	made := fmt.Sprintf("%s, up to %s", plain(st.Type), formatSize(int64(st.Cap)))
	if st.Checksums {
		made += ", checksums"
	}
	if st.Times {
		made += ", times"
	}
	return text, [][2]string{{"values", made}}
}

// blocked says what others wait for who are blocked by members of st, and what that means.
func blocked(st *facts.State) (way, note string) {
	switch st.Of.(type) {
	case *pubsub.State:
		return "its publisher waits for " + count(len(st.Blockers), "subscriber"),
			"in order for a moment: a reliable subscriber misses nothing. If it stays so, that process does not take what it subscribed to; " +
				"who makes the topic may limit that (Options.EvictAfter, samepage pub --evict-after)"
	case *cell.State:
		return "it is the turn of a writer",
			"in order for a moment: writers take turns. If it stays so, that process is stopped in the middle of its turn, or has a value on loan; " +
				"readers have the value before, and other writers wait (samepage cell put at most for its --timeout)"
	}
	return "members that wait for its holder: " + strconv.Itoa(st.Waiting()),
		"in order for a moment. If it stays so, that process is stopped, or does not unlock it; when it dies the next one gets it"
}

// lockText is a word or two on what a lock or an event is just now.
func lockText(st *ipcsync.State) string {
	var words []string
	switch st.Kind {
	case samepage.KindEvent:
		words = append(words, map[bool]string{true: "set", false: "not set"}[st.Set],
			map[bool]string{true: "manual-reset", false: "auto-reset"}[st.Manual])
	case samepage.KindSemaphore:
		words = append(words, fmt.Sprintf("%d of at most %d units", st.Units, st.Max))
	default:
		held := "free"
		for _, m := range st.Members {
			if m.Owner {
				held = "held by " + processText(m.PID, m.Foreign, m.Ended)
			} else if m.Reads > 0 && held == "free" {
				held = "read"
			}
		}
		words = append(words, held)
		if st.Dirty {
			words = append(words, "not consistent since its owner died")
		}
	}
	return strings.Join(words, ", ")
}

// topicText is who publishes and who subscribes, and how far behind the slowest
// is.
func topicText(st *pubsub.State) string {
	var by []string
	var messages uint64
	for _, l := range st.Lanes {
		if p := l.Publisher; p != nil {
			by = append(by, processText(p.PID, p.Foreign, p.Ended))
		}
		messages += l.Messages
	}
	text := "no publisher"
	switch len(by) {
	case 0:
	case 1:
		text = "published by " + by[0]
	default:
		text = "published by " + strings.Join(by, ", ")
	}
	text += ", " + count64(messages, "message")
	subs, behind := 0, uint64(0)
	for _, m := range st.Members {
		if m.Role == pubsub.Reliable || m.Role == pubsub.BestEffort {
			subs++
		}
		for _, n := range m.Behind {
			behind = max(behind, n)
		}
	}
	text += ", " + count(subs, "subscriber")
	if behind > 0 {
		text += fmt.Sprintf(", up to %d behind", behind)
	}
	return text
}

// topicLines are how the topic was made, and its publishers one by one.
func topicLines(st *pubsub.State) [][2]string {
	o := &st.Options
	made := fmt.Sprintf("%s, up to %s each, the last %d stay", plain(st.Type), formatSize(int64(o.MaxSize)), o.Depth)
	if o.Checksums {
		made += ", checksums"
	}
	if o.Times {
		made += ", times"
	}
	if o.EvictAfter > 0 {
		made += fmt.Sprintf(", the slow are passed over after %v", o.EvictAfter)
	}
	pairs := [][2]string{{"messages", made}}
	for _, l := range st.Lanes {
		if l.Publisher == nil && l.Messages == 0 && l.Ends == 0 && l.Deaths == 0 {
			continue
		}
		text := "none now"
		if p := l.Publisher; p != nil {
			text = processName(p.PID, p.Name, p.Foreign, p.Ended)
			if !p.Alive {
				text += ", dead"
			}
		}
		text += ", " + count64(l.Messages, "message")
		if l.Ends > 0 {
			text += ", " + count(int(l.Ends), "stream") + " ended"
		}
		if l.Deaths > 0 {
			text += ", " + count(int(l.Deaths), "publisher") + " died"
		}
		pairs = append(pairs, [2]string{"publisher", text})
	}
	return pairs
}

// hasEnded is told of a process that is no more, while what it had is still held.
const hasEnded = ", which has ended: a descendant still has its descriptor"

// processID is "process 17". The number means nothing here when it is one of another pid
// namespace.
func processID(pid int, foreign bool) string {
	s := fmt.Sprintf("process %d", pid)
	if foreign {
		s += " of another pid namespace"
	}
	return s
}

// processText is processID, and says when that process has ended.
func processText(pid int, foreign, ended bool) string {
	if ended {
		return processID(pid, foreign) + hasEnded
	}
	return processID(pid, foreign)
}

// processName is processText with the name of the program.
func processName(pid int, name string, foreign, ended bool) string {
	s := fmt.Sprintf("%s (%s)", processID(pid, foreign), plain(name))
	if ended {
		s += hasEnded
	}
	return s
}

// memberLine tells of a member: what it has, or had when all of it is past.
func memberLine(m facts.Member, past bool) string {
	holds, waits := "holds it", "waits"
	if past {
		holds, waits = "held it", "waited"
	}
	s := fmt.Sprintf("%s (%s), since %s", processID(m.PID, m.Foreign), plain(m.Name), when(m.Joined))
	if m.Role != "" {
		s += ", " + m.Role
		if m.Role == pubsub.Reliable.String() || m.Role == pubsub.BestEffort.String() {
			s += " subscriber"
		}
	}
	if m.Owner {
		s += ", " + holds
	}
	if m.Reads > 0 {
		s += ", " + count(int(m.Reads), "read lock")
	}
	if behind := sum(m.Behind); behind > 0 {
		s += fmt.Sprintf(", %d behind", behind)
	}
	if m.Evicted {
		s += ", passed over for being too slow"
	}
	if m.Waits {
		s += ", " + waits
	}
	if !m.Alive && !past {
		s += ", dead"
	}
	if m.Ended && !past {
		s += hasEnded
	}
	return s
}

func sum(all []uint64) (n uint64) {
	for _, v := range all {
		n += v
	}
	return n
}

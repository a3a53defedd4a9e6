package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"samepage"
	"samepage/cell"
	"samepage/inspect"
	"samepage/internal/words"
	"samepage/layout"
	"samepage/pubsub"
	"samepage/rpc"
)

// state is what is known about an object with members, in words for people.
type state struct {
	*inspect.Detail
	text   string // its state now, in a few words
	shares []inspect.Share
	now    time.Time   // says for how long members wait; zero: not known
	more   [][2]string // lines of label and value that stat adds
}

// look looks at an object with members. The object may belong to any user.
func look(i samepage.Info) (*state, error) {
	d, err := inspect.Of(i)
	if err != nil {
		return nil, err
	}
	st := stateOf(d)
	st.now = time.Now()
	return st, nil
}

// stateOf puts st into words. It returns nil for nil.
func stateOf(st *inspect.Detail) *state {
	if st == nil {
		return nil
	}
	s := &state{Detail: st, text: st.Text()}
	switch of := st.Of.(type) {
	case *pubsub.State:
		s.more = topicLines(of)
	case *cell.State:
		s.more = cellLines(of)
	case *rpc.State:
		s.more = serviceLines(of)
	}
	return s
}

func (st *state) write(w io.Writer) error {
	pairs := append([][2]string{{"state", st.text}}, st.more...)
	if d := st.Died; d != nil {
		pairs = append(pairs, [2]string{"died", fmt.Sprintf("%s, noticed %s", words.Named(d.PID, d.Name, d.Foreign, false), when(d.At))})
	}
	for _, s := range st.Sentences(st.now) {
		pairs = append(pairs, [2]string{"waits", s.String()})
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
	if err := writeCommands(w, st.Members); err != nil {
		return err
	}
	return writeShares(w, st.shares)
}

// writeCommands tells the command lines of the processes of members.
func writeCommands(w io.Writer, members []inspect.Member) (err error) {
	told := map[int]bool{}
	for _, m := range members {
		if len(m.Command) == 0 || told[m.PID] {
			continue
		}
		label := "commands"
		if len(told) > 0 {
			label = ""
		}
		told[m.PID] = true
		if _, err = fmt.Fprintf(w, "%-10s process %d: %s\n", label, m.PID, commandText(m.Command)); err != nil {
			return err
		}
	}
	return nil
}

// commandText is a command line, cut if it is long.
func commandText(args []string) string {
	const most = 200
	text := []rune(strings.Join(args, " "))
	if len(text) > most {
		return string(text[:most]) + "..."
	}
	return string(text)
}

// writeShares tells which processes have how much of the memory of an object.
func writeShares(w io.Writer, all []inspect.Share) error {
	if len(all) == 0 {
		return nil
	}
	var resident, proportional int64
	for _, s := range all {
		resident, proportional = resident+s.Resident, proportional+s.Proportional
	}
	many := "1 process"
	if len(all) > 1 {
		many = fmt.Sprintf("%d processes", len(all))
	}
	err := lines(w, [2]string{"mapped", fmt.Sprintf("%s by %s, each page counted once", formatSize(proportional), many)})
	for _, s := range all {
		if err == nil {
			_, err = fmt.Fprintf(w, "           process %d (%s): %s, and its part of what others have mapped, too, is %s\n",
				s.PID, plain(s.Name), formatSize(s.Resident), formatSize(s.Proportional))
		}
	}
	return err
}

// cellLines tells how the cell was created.
func cellLines(st *cell.State) [][2]string {
	made := fmt.Sprintf("%s, up to %s", plain(st.Type), formatSize(int64(st.Cap)))
	if st.Checksums {
		made += ", checksums"
	}
	if st.Times {
		made += ", times"
	}
	return [][2]string{{"values", made}}
}

// serviceLines tells how the service was created.
func serviceLines(st *rpc.State) [][2]string {
	made := fmt.Sprintf("%s, up to %d at a time, requests up to %s, responses up to %s", plain(st.Type), st.Calls, formatSize(int64(st.MaxRequest)), formatSize(int64(st.MaxResponse)))
	if st.Parts > 1 {
		made += fmt.Sprintf(", %d parts", st.Parts)
	}
	return [][2]string{{"calls", made}}
}

// blocked says what the blocked members of st wait for, and what that means.
func blocked(st *inspect.Detail) (way, note string) {
	switch st.Of.(type) {
	case *pubsub.State:
		return "its publisher waits for " + count(len(st.Blockers), "subscriber"),
			"normal for a moment: a reliable subscriber misses nothing. If it stays so, that process does not take its messages; " +
				"whoever creates the topic can limit the wait (Options.EvictAfter, samepage pub --evict-after)"
	case *rpc.State:
		return "clients wait for the answers of " + count(len(st.Blockers), "worker"),
			"normal while a worker executes a call. If it stays so, that process is stopped, or its handler hangs; " +
				"a client can limit its wait with a context (samepage call --timeout)"
	case *cell.State:
		return "a writer has its turn",
			"normal for a moment: writers take turns. If it stays so, that process is stopped in its turn, or keeps a value on loan; " +
				"readers still get the previous value, and other writers wait (samepage cell put --timeout limits its wait)"
	}
	return "members that wait for its holder: " + strconv.Itoa(st.Waiting()),
		"normal for a moment. If it stays so, that process is stopped, or does not unlock it; if it dies, the next member gets it"
}

// topicLines tells how the topic was created, and about each of its publishers.
func topicLines(st *pubsub.State) [][2]string {
	o := &st.Options
	made := fmt.Sprintf("%s, up to %s each, the last %d are kept", plain(st.Type), formatSize(int64(o.MaxSize)), o.Depth)
	if o.Pack > 0 {
		made = fmt.Sprintf("%s, up to %s each, in packs of up to %s, the last %d packs are kept", plain(st.Type),
			formatSize(int64(o.MaxSize)), formatSize(int64(o.Pack)), o.Depth)
	}
	if o.Checksums {
		made += ", checksums"
	}
	if o.Times {
		made += ", times"
	}
	if o.EvictAfter > 0 {
		made += fmt.Sprintf(", slow subscribers are evicted after %v", o.EvictAfter)
	}
	pairs := [][2]string{{"messages", made}}
	for _, l := range st.Lanes {
		if l.Publisher == nil && l.Messages == 0 && l.Ends == 0 && l.Deaths == 0 {
			continue
		}
		text := "none now"
		if p := l.Publisher; p != nil {
			text = words.Named(p.PID, p.Name, p.Foreign, p.Ended)
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
	for _, r := range st.Readers {
		text := "name " + r.Key + ", nobody reads now"
		if m := r.Reader; m != nil {
			text = "name " + r.Key + ", " + words.Named(m.PID, m.Name, m.Foreign, m.Ended)
		}
		var done []string
		for l, next := range r.Next {
			if next > 0 {
				done = append(done, fmt.Sprintf("up to %d of %d", next-1, st.Lanes[l].Messages))
			}
		}
		if len(done) == 0 {
			done = []string{"nothing"}
		}
		pairs = append(pairs, [2]string{"reader", text + ", has acknowledged " + strings.Join(done, ", ")})
	}
	return pairs
}

// memberLine tells about a member: what it has, or, if past is set, what it had.
func memberLine(m inspect.Member, past bool) string {
	holds, waits := "holds it", "waits"
	if past {
		holds, waits = "held it", "waited"
	}
	s := fmt.Sprintf("%s, since %s", words.Named(m.PID, m.Name, m.Foreign, false), when(m.Joined))
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
		s += fmt.Sprintf(", %s behind", behindText(behind, m.Packs))
	}
	if m.Holds > 0 {
		what := "message"
		if m.Role == layout.Cell.Role(layout.RoleReader) {
			what = "value"
		}
		s += ", holds " + count(m.Holds, what)
	}
	if m.Calls > 0 {
		s += ", " + count(m.Calls, "call") + " in flight"
	}
	if m.Conns > 0 {
		s += ", " + count(m.Conns, "connection")
	}
	if m.Evicted {
		s += ", evicted because it was too slow"
	}
	if m.Waits {
		s += ", " + waits
	}
	if m.Stopped && !past {
		s += ", stopped"
	}
	if !m.Alive && !past {
		s += ", dead"
	}
	if m.Ended && !past {
		s += words.HasEnded
	}
	return s
}

// behindText is by how much a subscriber is behind.
func behindText(n uint64, packs bool) string {
	if packs {
		return count64(n, "pack")
	}
	return fmt.Sprint(n)
}

func sum(all []uint64) (n uint64) {
	for _, v := range all {
		n += v
	}
	return n
}

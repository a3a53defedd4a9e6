package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"samepage/inspect"
)

// untils say what ends a wait of a member for others.
var untils = map[inspect.Reason]string{
	inspect.ForLock:   "unlocks it",
	inspect.ForSpace:  "lets go of messages",
	inspect.ForTurn:   "has written its value",
	inspect.ForAnswer: "answers",
	inspect.ForAccept: "accepts the connection",
}

// waitLines are sentences that say who waits for whom. Members that wait for the same members are
// in one sentence. now says for how long, if the details tell since when.
func waitLines(d *inspect.Detail, now time.Time) (all []string) {
	var done []inspect.Wait
	for _, w := range d.Waits {
		exact := true
		same := func(v inspect.Wait) bool { return v.For == w.For && slices.Equal(v.On, w.On) }
		if len(w.On) == 0 || slices.ContainsFunc(done, same) {
			continue
		}
		done = append(done, w)
		var waiters, on []inspect.Member
		since := now
		for _, v := range d.Waits {
			if same(v) {
				waiters = append(waiters, d.Members[v.Member])
				exact = exact && v.Exact
				if !v.Since.IsZero() && v.Since.Before(since) {
					since = v.Since
				}
			}
		}
		for _, i := range w.On {
			on = append(on, d.Members[i])
		}
		verb := "waits"
		if len(waiters) > 1 {
			verb = "wait"
		}
		each := ""
		if len(on) > 1 {
			each = "each of "
		}
		text := fmt.Sprintf("%s %s until %s%s %s", someProcesses(waiters), verb, each, someProcesses(on), untils[w.For])
		if since.Before(now) {
			least := "at least "
			if exact {
				least = ""
			}
			text += fmt.Sprintf(", for %s%v", least, roundDuration(now.Sub(since)))
		}
		all = append(all, text)
	}
	return all
}

// someProcesses names the processes of members, and only counts them if there are many.
func someProcesses(members []inspect.Member) string {
	const few = 4
	var by []string
	for _, m := range members[:min(len(members), few)] {
		s := processName(m.PID, m.Name, m.Foreign, m.Ended)
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

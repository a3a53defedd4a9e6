package bridge

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"samepage/cell"
	"samepage/internal/ipctest"
)

// Cells that come and go leave nothing behind, whether their writers end or are killed. A name that
// comes again is carried again. A cell that somebody reads stays, and one that stays by itself.
func TestManyCells(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	t.Setenv("SILENCE", "500ms")
	s := newServer(t, server.Options{})
	far, near := start(t, s, "subscribe", Newest), start(t, s, "publish", Newest)
	cells := []struct {
		name, lifetime string
		kill, read     bool
		stays          bool
	}{
		{name: "c-ends"},
		{name: "c-dies", kill: true},
		{name: "c-read", read: true, stays: true},
		{name: "c-persists", lifetime: "persist", stays: true},
	}
	var readers []*cell.Reader
	for round := range 2 {
		for _, c := range cells {
			w := ipctest.Start(t, "setter", c.name, c.lifetime)
			value := fmt.Sprint(c.name, round)
			w.Want("set <nil>", "%s", value)
			awaitValue(t, "far."+c.name, value)
			if c.read && round == 0 {
				r, err := cell.OpenReader(c.name, nil)
				ipctest.NoErr(t, err)
				readers = append(readers, r)
			}
			if c.kill {
				w.Kill()
			} else {
				w.EndInput()
				w.Wait()
			}
		}
		// There are two names of cells that stay, and the one of the service.
		for b, want := range map[*side][]string{near: {"c-dies", "c-ends"}, far: {"far.c-dies", "far.c-ends"}} {
			if got := b.awaitNames(3); !slices.Equal(got, want) {
				t.Errorf("round %d: %q are over, want %q", round, got, want)
			}
		}
		for _, c := range cells {
			for _, name := range []string{c.name, "far." + c.name} {
				if existsCell(t, name) != c.stays {
					t.Errorf("%s exists: %v, want %v", name, !c.stays, c.stays)
				}
			}
		}
	}
	for _, r := range readers {
		ipctest.NoErr(t, r.Close())
	}
	near.awaitNames(2)
	far.awaitNames(2)
}

// awaitNames waits until a bridge carries n objects. It returns the names of those that were over.
func (s *side) awaitNames(n int) (over []string) {
	s.t.Helper()
	for got := ""; got != fmt.Sprint(n); time.Sleep(10 * time.Millisecond) {
		for got = s.Ask("names"); strings.HasPrefix(got, "{"); got = s.Line() {
			var e Event
			if err := json.Unmarshal([]byte(got), &e); err != nil {
				s.t.Error(err)
			} else if e.What == "over" {
				over = append(over, e.Topic)
			}
		}
	}
	slices.Sort(over)
	return over
}

// awaitValue waits until a cell has a value.
func awaitValue(t *testing.T, name, want string) {
	t.Helper()
	r, err := cell.AwaitReader(t.Context(), name, nil)
	ipctest.NoErr(t, err)
	defer r.Close()
	for v, err := range r.Values(t.Context()) {
		if ipctest.NoErr(t, err); string(v.Bytes()) == want {
			return
		}
	}
}

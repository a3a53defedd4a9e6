package bridge

import (
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"samepage/internal/ipctest"
)

// Two names that become one are refused with both names.
func TestTwoNames(t *testing.T) {
	for _, c := range []struct {
		n    Names
		want string // in the error; empty: there is none
	}{
		{Names{Patterns: []string{"*"}, Renames: map[string]string{"a": "x", "b": "x"}}, `"a" and "b" both become "x"`},
		{Names{Patterns: []string{"a", "x"}, Renames: map[string]string{"a": "x"}}, `"a" and "x" both become "x"`},
		{Names{Patterns: []string{"a", "b"}, Prefix: "p.", Renames: map[string]string{"a": "p.b"}}, `"a" and "b" both become "p.b"`},
		{Names{Cells: []string{"a", "b"}, Renames: map[string]string{"a": "b"}}, `"a" and "b" both become "b"`},
		{Names{Services: []string{"a", "b"}, Renames: map[string]string{"a": "b"}}, `"a" and "b" both become "b"`},
		{Names{Patterns: []string{"a", "b", "b", "b*"}, Renames: map[string]string{"a": "b", "b": "a"}}, ""},
		{Names{Patterns: []string{"a"}, Cells: []string{"b"}, Renames: map[string]string{"a": "x", "b": "x"}}, ""},
		{Names{Patterns: []string{"a"}, Renames: map[string]string{"a": "x", "b": "x"}}, ""},
	} {
		err := c.n.Check()
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v, want %q", c.n, err, c.want)
		}
	}
}

// Of two names that match a pattern and become one, the bridge carries the first one. It tells that
// it refuses the other.
func TestTwoNamesAppear(t *testing.T) {
	ipctest.NeedNames(t)
	for _, way := range []string{"publish", "subscribe"} {
		t.Run(way, func(t *testing.T) {
			ipctest.Store(t)
			t.Setenv("SILENCE", "500ms")
			s := newServer(t, server.Options{})
			rename := func(on string) {
				if t.Setenv("RENAME", ""); on == way {
					t.Setenv("RENAME", map[string]string{"publish": "u=tx", "subscribe": "u=far.tx"}[way])
				}
			}
			rename("subscribe")
			far := start(t, s, "subscribe", Newest, "*")
			rename("publish")
			near := start(t, s, "publish", Newest, "u", "t*")
			near.event("listens")
			p := ipctest.Start(t, "publisher", "u", "100", "0")
			p.Line()
			near.event("attached")
			p.Want("done <nil>", "3")
			sub := await(t, "far.tx")
			wantNext(t, sub, 1, 3, 100)
			q := ipctest.Start(t, "publisher", "tx", "100", "0")
			q.Line()
			b := map[string]*side{"publish": near, "subscribe": far}[way]
			if e := b.event("refused"); e.Topic != "tx" || !strings.Contains(e.Text, `"u" and "tx" both become`) {
				t.Errorf("%+v", e)
			}
			q.Want("done <nil>", "3")
			p.Want("done <nil>", "3")
			wantNext(t, sub, 4, 6, 100)
		})
	}
}

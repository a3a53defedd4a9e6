package bridge

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"samepage"
)

// escape makes a token of a subject, and a part of the name of a stream, of a name: letters, digits
// and the underscore stay, and each other byte is =XX.
func escape(name string) string {
	var b strings.Builder
	for i := range len(name) {
		c := name[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "=%02X", c)
		}
	}
	return b.String()
}

// Names chooses names, and gives them others. The zero value chooses none.
type Names struct {
	Patterns []string // of topics: a name, or a pattern as of package path, where * stands for any characters
	Cells    []string // of cells, in the same form
	Services []string // of services: names only
	Prefix   string   // is put in front of each name that Renames does not have
	Renames  map[string]string
}

// matches says whether the name is one of these, or matches one of these patterns. No pattern
// matches a name with \, which would choose a scope: names come from afar.
func matches(patterns []string, name string) bool {
	for _, p := range patterns {
		if p == name {
			return true
		}
		if ok, _ := path.Match(p, name); ok && !strings.Contains(name, `\`) { // Check has refused bad patterns
			return true
		}
	}
	return false
}

// To returns the other name of a name.
func (n *Names) To(name string) string {
	if to, ok := n.Renames[name]; ok {
		return to
	}
	return n.Prefix + name
}

// Check checks the patterns, and that no two names become one.
func (n *Names) Check() error {
	for _, p := range slices.Concat(n.Patterns, n.Cells) {
		if _, err := path.Match(p, ""); err != nil {
			return fmt.Errorf("pattern %q: %w", p, err)
		}
	}
	for _, list := range [][]string{n.Patterns, n.Cells, n.Services} {
		names := slices.DeleteFunc(slices.Clone(list), isPattern)
		for name := range n.Renames {
			if matches(list, name) {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		from := map[string]string{}
		for _, name := range slices.Compact(names) {
			to := n.To(name)
			if other, ok := from[to]; ok {
				return twoNames(other, name, to)
			}
			from[to] = name
		}
	}
	return nil
}

// twoNames is the error about two names that become one.
func twoNames(a, b, to string) error {
	return fmt.Errorf("%q and %q both become %q on the other side of the bridge: give one of them another name", a, b, to)
}

// isPattern says whether text can match other names than itself.
func isPattern(text string) bool { return strings.ContainsAny(text, "*?[") }

// subjects are the subjects of one space, see docs/protocol/bridge.md.
type subjects struct{ space string }

func (s subjects) data(name string) string { return s.space + ".topic." + escape(name) + ".data" }
func (s subjects) back(name string) string { return s.space + ".topic." + escape(name) + ".back" }

// stored is the subject of envelopes that the server stores.
func (s subjects) stored(name string) string { return s.space + ".topic." + escape(name) + ".stored" }

// meta is the subject on which each topic is announced, with its name in the body.
func (s subjects) meta() string { return s.space + ".meta" }

// who is the subject of hello. A bridge that says it for the first time, or says nothing, gets all
// announcements.
func (s subjects) who() string { return s.space + ".who" }

// Meta describes a topic at its origin. It is sent as JSON.
type Meta struct {
	Name    string      `json:"name"` // as it crosses
	ID      samepage.ID `json:"id"`
	Session uint32      `json:"session"` // a random number of the publishing bridge
	Policy  Policy      `json:"policy"`
	Host    string      `json:"host,omitempty"`
	Type    string      `json:"type,omitempty"`   // of the messages
	Schema  string      `json:"schema,omitempty"` // its description; empty: bytes
	// These are the options of the topic.
	MaxSize    int      `json:"max_size"`
	Depth      int      `json:"depth"`
	Publishers int      `json:"publishers"`
	Members    int      `json:"members"`
	Holds      int      `json:"holds,omitempty"`
	Times      bool     `json:"times,omitempty"`
	Checksums  bool     `json:"checksums,omitempty"`
	EvictAfter int64    `json:"evict_after,omitempty"` // nanoseconds
	Living     int      `json:"living"`                // the number of publishers now
	Next       []uint64 `json:"next,omitempty"`        // the number of the message that comes next of each place
	Deaths     []uint32 `json:"deaths,omitempty"`      // of publishers of each place
	// Since has the number of the first message of each place that the publishing bridge got. For the
	// bridges in Known it is the one that comes next: all that they do not get is lost.
	Since []uint64 `json:"since,omitempty"`
	Known []uint64 `json:"known,omitempty"`
	// Earlier is the number of messages of all topics of this name that the publishing bridge has sent
	// before.
	Earlier uint64 `json:"earlier,omitempty"`
	// For has the bridges that have asked. With the policy Wait it has those that begin with envelope
	// Number: the publishing bridge keeps this one, and what comes after it, until they have it.
	For    []uint64 `json:"for,omitempty"`
	Number uint64   `json:"number,omitempty"` // of the envelope that has this Meta
}

// hello is what a subscribing bridge says from time to time: who it is, and what it wants. A
// publishing bridge that knows it begins to read a topic when it is ready.
type hello struct {
	Receiver uint64   `json:"receiver"` // the random number of the subscribing bridge
	Topics   []string `json:"topics"`   // names and patterns
}

// Policy says what happens if the other side is slower than the publisher of a topic.
type Policy string

const (
	// Newest never slows the local publisher: what the connection cannot carry is lost, and
	// counted.
	Newest Policy = "newest"
	// Wait makes the local publisher wait until all subscribing bridges have taken its messages.
	Wait Policy = "wait"
	// Stored keeps the messages in a stream of JetStream, also for bridges that come later.
	Stored Policy = "stored"
)

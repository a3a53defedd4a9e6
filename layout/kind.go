package layout

import "fmt"

// Kind says what an object is for. Each kind has its own names, so an event and a memory may have
// the same name.
type Kind uint32

// These are the kinds. Files and segments contain these numbers.
const (
	Memory    Kind = iota // plain bytes, without a header of this package
	Event                 // a segment with [LockWords]
	Mutex                 // the same
	RWMutex               // the same
	Semaphore             // the same
	Topic                 // a segment with lanes
	Cell                  // a segment with one value
	Service               // a segment with call slots
	Listener              // a segment with the connections of package stream
	kinds
)

// Words says which live words the segments of a kind have.
type Words int

const (
	NoWords   Words = iota // the kind has no segment: no header, no members
	LockState              // [LockWords]
	LaneState              // [LockWords], of which only Sleepers is used, and then [LaneConfig]
	CallSlots              // [LockWords], of which only Sleepers is used, and then [ServiceConfig]
	ConnTable              // [ListenerWords], and then a [ConnWords] for each connection
)

// kindTable is the only place that says what a kind is. A new kind needs a constant above, a row
// here, and a row in package inspect, which says how to inspect it.
var kindTable = [kinds]struct {
	name       string // in the names of its files, in the command, and in JSON
	version    uint32 // of the layout of its segments; this code reads no other
	words      Words
	owned      bool     // LockWords.State names the member that holds the object
	broadcasts bool     // each change rings all sleepers, so no sleeper has to pass a ring on
	roles      []string // names of Member.Role
}{
	Memory:    {name: "memory"},
	Event:     {name: "event", version: 1, words: LockState},
	Mutex:     {name: "mutex", version: 1, words: LockState, owned: true},
	RWMutex:   {name: "rwmutex", version: 1, words: LockState, owned: true},
	Semaphore: {name: "semaphore", version: 1, words: LockState},
	Topic: {
		name: "topic", version: 3, words: LaneState, broadcasts: true,
		roles: []string{RolePublisher: "publisher", RoleReliable: "reliable", RoleBestEffort: "best-effort"},
	},
	Cell: {
		name: "cell", version: 2, words: LaneState, broadcasts: true,
		roles: []string{RoleWriter: "writer", RoleReader: "reader"},
	},
	Service: {
		name: "service", version: 2, words: CallSlots, broadcasts: true,
		roles: []string{RoleClient: "client", RoleWorker: "worker"},
	},
	Listener: {
		name: "listener", version: 1, words: ConnTable, owned: true, broadcasts: true,
		roles: []string{RoleListener: "listener", RoleDialer: "dialer"},
	},
}

// These are the roles of members, in [Member].Role: of a topic, a cell, a service and a listener.
// 0 is the role of a member that is joining, and of all members of other kinds.
const (
	RolePublisher  = 1
	RoleReliable   = 2
	RoleBestEffort = 3

	RoleWriter = 1
	RoleReader = 2

	RoleClient = 1
	RoleWorker = 2

	RoleListener = 1
	RoleDialer   = 2
)

// Known says whether k is a kind that this version knows.
func (k Kind) Known() bool { return k < kinds }

// Kinds lists all kinds.
func Kinds() []Kind {
	all := make([]Kind, kinds)
	for i := range all {
		all[i] = Kind(i)
	}
	return all
}

// Words says which live words the segments of the kind have. It is NoWords for an unknown kind.
func (k Kind) Words() Words {
	if !k.Known() {
		return NoWords
	}
	return kindTable[k].words
}

// Version is the version of the layout of the kind's segments. This code reads no other. It is 0
// for kinds without segments and for unknown kinds. docs/layout.md says what changed with each.
func (k Kind) Version() uint32 {
	if !k.Known() {
		return 0
	}
	return kindTable[k].version
}

// HasMembers says whether an object of the kind is a segment, which has a table of its members.
func (k Kind) HasMembers() bool { return k.Words() != NoWords }

// Owned says whether LockWords.State of the kind names the member that holds the object.
func (k Kind) Owned() bool { return k.Known() && kindTable[k].owned }

// Broadcasts says whether each change of an object of the kind rings all sleepers.
func (k Kind) Broadcasts() bool { return k.Known() && kindTable[k].broadcasts }

// Role is the name of a member's role. It is empty for a kind without roles and for a member that
// is joining.
func (k Kind) Role(role uint32) string {
	if !k.Known() || uint64(role) >= uint64(len(kindTable[k].roles)) {
		return ""
	}
	return kindTable[k].roles[role]
}

func (k Kind) String() string {
	if k.Known() {
		return kindTable[k].name
	}
	return fmt.Sprintf("kind %d", uint32(k))
}

// MarshalText gives the kind's name.
func (k Kind) MarshalText() ([]byte, error) { return []byte(k.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (k *Kind) UnmarshalText(b []byte) error { return unmarshal(k, b, Kinds()...) }

// ParseKind is the inverse of Kind.String.
func ParseKind(s string) (Kind, bool) {
	for k := range kindTable {
		if kindTable[k].name == s {
			return Kind(k), true
		}
	}
	return 0, false
}

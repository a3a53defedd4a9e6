package samepage

import "samepage/layout"

// Scope says for whom a name exists: for this user, or for the whole machine. The zero value is
// Local.
type Scope uint32

const (
	// Local names belong to this user and, on Windows, to this session.
	Local Scope = iota
	// Global names belong to the machine. On Linux root must have made the directory
	// /dev/shm/samepage. On Windows the creator needs SeCreateGlobalPrivilege.
	Global
)

// String is "local" or "global".
func (s Scope) String() string { return layout.Scope(s).String() }

// MarshalText returns the text of String.
func (s Scope) MarshalText() ([]byte, error) { return layout.Scope(s).MarshalText() }

// UnmarshalText is the inverse of MarshalText. Its error lists the possible texts.
func (s *Scope) UnmarshalText(b []byte) error { return (*layout.Scope)(s).UnmarshalText(b) }

// Kind says what an object is for. Each kind has its own names, so a memory and an event may
// have the same name. The zero value is KindMemory.
type Kind uint32

const (
	// KindMemory is plain bytes. There is no header: they begin at byte 0 of the object.
	KindMemory Kind = iota
	// KindEvent is an Event of package ipcsync.
	KindEvent
	// KindMutex is a Mutex of package ipcsync.
	KindMutex
	// KindRWMutex is an RWMutex of package ipcsync.
	KindRWMutex
	// KindSemaphore is a Semaphore of package ipcsync.
	KindSemaphore
	// KindTopic is a topic of package pubsub.
	KindTopic
	// KindCell is a cell of package cell.
	KindCell
	// KindService is a service of package rpc.
	KindService
	// KindListener is a listener of package stream, with its connections.
	KindListener
)

// Kinds lists all kinds.
func Kinds() []Kind {
	var all []Kind
	for _, k := range layout.Kinds() {
		all = append(all, Kind(k))
	}
	return all
}

// String is the name of the kind, as the command uses it: "memory", "rwmutex".
func (k Kind) String() string { return layout.Kind(k).String() }

// MarshalText returns the text of String.
func (k Kind) MarshalText() ([]byte, error) { return layout.Kind(k).MarshalText() }

// UnmarshalText is the inverse of MarshalText. Its error lists the possible texts.
func (k *Kind) UnmarshalText(b []byte) error { return (*layout.Kind)(k).UnmarshalText(b) }

// Lifetime says when a name goes. The zero value is WhileUsed.
type Lifetime uint32

const (
	// WhileUsed names go when the last user closes the object or dies.
	WhileUsed Lifetime = iota
	// Persist names stay until they are removed or the machine restarts.
	Persist
)

// String is "while used" or "persist".
func (l Lifetime) String() string { return layout.Lifetime(l).String() }

// MarshalText returns the text of String.
func (l Lifetime) MarshalText() ([]byte, error) { return layout.Lifetime(l).MarshalText() }

// UnmarshalText is the inverse of MarshalText. Its error lists the possible texts.
func (l *Lifetime) UnmarshalText(b []byte) error { return (*layout.Lifetime)(l).UnmarshalText(b) }

// Access says what may be done with a Memory or through a View. The zero value is ReadWrite.
type Access uint32

const (
	// ReadWrite access reads and writes the shared memory.
	ReadWrite Access = iota
	// ReadOnly access only reads it.
	ReadOnly
	// CopyOnWrite access is for views only. What is written stays in the view, and nobody else
	// sees it.
	CopyOnWrite
)

// String is "read-write", "read-only" or "copy-on-write".
func (a Access) String() string { return layout.Access(a).String() }

// MarshalText returns the text of String.
func (a Access) MarshalText() ([]byte, error) { return layout.Access(a).MarshalText() }

// UnmarshalText is the inverse of MarshalText. Its error lists the possible texts.
func (a *Access) UnmarshalText(b []byte) error { return (*layout.Access)(a).UnmarshalText(b) }

// ID identifies an object: no other object that exists now has the same ID. IDs can be compared
// with ==. All processes that have an object open see the same ID.
type ID [16]byte

// String is the ID in hexadecimal, 32 digits.
func (id ID) String() string { return layout.ID(id).String() }

// MarshalText returns the text of String.
func (id ID) MarshalText() ([]byte, error) { return layout.ID(id).MarshalText() }

// UnmarshalText is the inverse of MarshalText.
func (id *ID) UnmarshalText(b []byte) error { return (*layout.ID)(id).UnmarshalText(b) }

// The numbers are those of package layout. A difference stops the build.
const (
	_ = -(uint32(Global) ^ uint32(layout.Global))
	_ = -(uint32(KindEvent) ^ uint32(layout.Event))
	_ = -(uint32(KindMutex) ^ uint32(layout.Mutex))
	_ = -(uint32(KindRWMutex) ^ uint32(layout.RWMutex))
	_ = -(uint32(KindSemaphore) ^ uint32(layout.Semaphore))
	_ = -(uint32(KindTopic) ^ uint32(layout.Topic))
	_ = -(uint32(KindCell) ^ uint32(layout.Cell))
	_ = -(uint32(KindService) ^ uint32(layout.Service))
	_ = -(uint32(KindListener) ^ uint32(layout.Listener))
	_ = -(uint32(Persist) ^ uint32(layout.Persist))
	_ = -(uint32(ReadOnly) ^ uint32(layout.ReadOnly))
	_ = -(uint32(CopyOnWrite) ^ uint32(layout.CopyOnWrite))
	_ = -(uint64(MaxSize) ^ uint64(layout.MaxSize))
)

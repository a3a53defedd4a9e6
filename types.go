package samepage

import "samepage/layout"

// Scope is how far a name reaches. The zero value is Local.
type Scope uint32

const (
	// Local names belong to this user and, on Windows, to this session.
	Local Scope = iota
	// Global names belong to the machine. On Linux root must have made the directory
	// /dev/shm/samepage; on Windows the creator needs SeCreateGlobalPrivilege.
	Global
)

// String is "local" or "global".
func (s Scope) String() string { return layout.Scope(s).String() }

// MarshalText gives what String gives.
func (s Scope) MarshalText() ([]byte, error) { return layout.Scope(s).MarshalText() }

// UnmarshalText is the inverse of MarshalText. Its error names the texts that are possible.
func (s *Scope) UnmarshalText(b []byte) error { return (*layout.Scope)(s).UnmarshalText(b) }

// Kind is what an object is for. Each kind has its own names, so a memory and an event may
// share one. The zero value is KindMemory.
type Kind uint32

const (
	// KindMemory is plain bytes. They begin at byte 0 of the object: there is no header.
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
)

// Kinds lists all kinds.
func Kinds() []Kind {
	var all []Kind
	for _, k := range layout.Kinds() {
		all = append(all, Kind(k))
	}
	return all
}

// String is the name of the kind, as the command has it: "memory", "rwmutex".
func (k Kind) String() string { return layout.Kind(k).String() }

// MarshalText gives what String gives.
func (k Kind) MarshalText() ([]byte, error) { return layout.Kind(k).MarshalText() }

// UnmarshalText is the inverse of MarshalText. Its error names the texts that are possible.
func (k *Kind) UnmarshalText(b []byte) error { return (*layout.Kind)(k).UnmarshalText(b) }

// Lifetime is when a name goes. The zero value is WhileUsed.
type Lifetime uint32

const (
	// WhileUsed names go when the last user closes the object or dies.
	WhileUsed Lifetime = iota
	// Persist names stay until they are removed or the machine restarts.
	Persist
)

// String is "while used" or "persist".
func (l Lifetime) String() string { return layout.Lifetime(l).String() }

// MarshalText gives what String gives.
func (l Lifetime) MarshalText() ([]byte, error) { return layout.Lifetime(l).MarshalText() }

// UnmarshalText is the inverse of MarshalText. Its error names the texts that are possible.
func (l *Lifetime) UnmarshalText(b []byte) error { return (*layout.Lifetime)(l).UnmarshalText(b) }

// Access is what may be done with a Memory or through a View. The zero value is ReadWrite.
type Access uint32

const (
	// ReadWrite access reads and writes the memory that all share.
	ReadWrite Access = iota
	// ReadOnly access reads it.
	ReadOnly
	// CopyOnWrite is for views only. What is written stays in the view, and nobody else
	// sees it.
	CopyOnWrite
)

// String is "read-write", "read-only" or "copy-on-write".
func (a Access) String() string { return layout.Access(a).String() }

// MarshalText gives what String gives.
func (a Access) MarshalText() ([]byte, error) { return layout.Access(a).MarshalText() }

// UnmarshalText is the inverse of MarshalText. Its error names the texts that are possible.
func (a *Access) UnmarshalText(b []byte) error { return (*layout.Access)(a).UnmarshalText(b) }

// ID tells an object from all others that live now. IDs can be compared with ==. All who
// have one object open see the same ID, in all processes.
type ID [16]byte

// String is the ID in hexadecimal, 32 digits.
func (id ID) String() string { return layout.ID(id).String() }

// MarshalText gives what String gives.
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
	_ = -(uint32(Persist) ^ uint32(layout.Persist))
	_ = -(uint32(ReadOnly) ^ uint32(layout.ReadOnly))
	_ = -(uint32(CopyOnWrite) ^ uint32(layout.CopyOnWrite))
	_ = -(uint64(MaxSize) ^ uint64(layout.MaxSize))
)

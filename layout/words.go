package layout

import (
	"encoding/hex"
	"fmt"
)

// Scope says how far a name reaches.
type Scope uint32

const (
	Local  Scope = iota // this user and, on Windows, this session
	Global              // the machine
	scopes
)

// Known says whether s is a scope that this version knows.
func (s Scope) Known() bool { return s < scopes }

func (s Scope) String() string {
	switch s {
	case Local:
		return "local"
	case Global:
		return "global"
	}
	return fmt.Sprintf("scope %d", uint32(s))
}

// MarshalText gives the scope's name.
func (s Scope) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (s *Scope) UnmarshalText(b []byte) error { return unmarshal(s, b, Local, Global) }

// Lifetime says when a name goes.
type Lifetime uint32

const (
	WhileUsed Lifetime = iota // when the last user closes or dies
	Persist                   // when it is removed, or when the machine restarts
	lifetimes
)

// Known says whether l is a lifetime that this version knows.
func (l Lifetime) Known() bool { return l < lifetimes }

func (l Lifetime) String() string {
	switch l {
	case WhileUsed:
		return "while used"
	case Persist:
		return "persist"
	}
	return fmt.Sprintf("lifetime %d", uint32(l))
}

// MarshalText gives the lifetime's name.
func (l Lifetime) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (l *Lifetime) UnmarshalText(b []byte) error { return unmarshal(l, b, WhileUsed, Persist) }

// Access says what may be done with an object or through a view.
type Access uint32

const (
	ReadWrite   Access = iota // read and write; all see what is written
	ReadOnly                  // read
	CopyOnWrite               // read and write; what is written stays in a private copy
	accesses
)

// Known says whether a is an access that this version knows.
func (a Access) Known() bool { return a < accesses }

func (a Access) String() string {
	switch a {
	case ReadWrite:
		return "read-write"
	case ReadOnly:
		return "read-only"
	case CopyOnWrite:
		return "copy-on-write"
	}
	return fmt.Sprintf("access %d", uint32(a))
}

// MarshalText gives the access's name.
func (a Access) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (a *Access) UnmarshalText(b []byte) error {
	return unmarshal(a, b, ReadWrite, ReadOnly, CopyOnWrite)
}

// ID identifies an object while it exists. It is the device and inode number of the file
// that has the bytes (on Linux, and on Windows if there is such a file). Otherwise it is 16
// random bytes (on Windows: sections of the page file).
type ID [16]byte

func (id ID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText gives the id in hexadecimal.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText is the inverse of MarshalText.
func (id *ID) UnmarshalText(b []byte) error {
	if len(b) != 2*len(id) {
		return fmt.Errorf("id of %d digits, want %d", len(b), 2*len(id))
	}
	_, err := hex.Decode(id[:], b)
	return err
}

// unmarshal sets p to the value in all that prints as b.
func unmarshal[T fmt.Stringer](p *T, b []byte, all ...T) error {
	for _, v := range all {
		if v.String() == string(b) {
			*p = v
			return nil
		}
	}
	return fmt.Errorf("%q is unknown, want one of %v", b, all)
}

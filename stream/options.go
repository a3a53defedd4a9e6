package stream

import (
	"fmt"
	"io/fs"
	"math/bits"

	"samepage"
	"samepage/internal/object"
	"samepage/internal/option"
	"samepage/internal/segment"
	"samepage/layout"
)

// Options say how a listener is made or found. nil and the zero value mean the default of each
// field. Scope, Perm, SecurityDescriptor and Owner are as in samepage.Options. Dial uses Scope and
// Owner, and refuses the others.
type Options struct {
	Scope samepage.Scope
	// Connections is the number of connections that can be open at the same time, together with
	// those that wait for Accept: 1 to 4096, by default 256, or 32 in a program of 32 bits. Each
	// takes 384 bytes, whether it is open or not.
	Connections int
	// Buffer is the number of bytes that each direction of a connection can hold: a power of two
	// from 4 KiB to 1 GiB, by default 256 KiB. On Linux a connection takes this memory when it first
	// needs it, in pieces of 64 KiB, and gives it back when it is closed. On Windows the listener
	// reserves it for all connections.
	Buffer int
	// Members is the number of processes that can use the listener at the same time: 1 to 1024, by
	// default 64. A process that listens and dials counts twice.
	Members            int
	Perm               fs.FileMode
	SecurityDescriptor string
	Owner              string
}

const defaultBuffer = 256 << 10

// defaultConns is smaller where the address space is small: all rings are mapped.
var defaultConns = map[bool]int{false: 256, true: 32}[bits.UintSize == 32]

// plan returns the segment and the object of a new listener. Errors: fs.ErrInvalid.
func (o *Options) plan(name string) (*segment.Spec, *object.Spec, error) {
	n, ring := o.Connections, o.Buffer
	if n == 0 {
		n = defaultConns
	}
	if ring == 0 {
		ring = defaultBuffer
	}
	if err := option.Range("Connections", n, 1, layout.MaxConns); err != nil {
		return nil, nil, err
	}
	if err := option.Range("Buffer", ring, layout.MinConnRing, layout.MaxConnRing); err != nil {
		return nil, nil, err
	}
	if ring&(ring-1) != 0 {
		return nil, nil, option.Bad("Buffer", ring, "a power of two")
	}
	if err := option.Named(layout.Scope(o.Scope), layout.WhileUsed, o.Perm); err != nil {
		return nil, nil, err
	}
	if err := segment.CheckMembers(o.Members); err != nil {
		return nil, nil, err
	}
	s := &segment.Spec{
		Kind: layout.Listener, Members: o.Members, Live: make([]byte, layout.ListenerLive(n)), Payload: uint64(n) * 2 * uint64(ring),
		Role: layout.RoleListener,
	}
	copy(s.Live, layout.NewLockWords(uint64(segment.First))) // it listens
	if s.Payload > uint64(layout.MaxSize) {
		return nil, nil, option.Bad("Buffer", ring, fmt.Sprintf("a smaller buffer with %d connections", n))
	}
	spec := o.spec(name)
	spec.Perm, spec.SDDL, spec.Later = o.Perm, o.SecurityDescriptor, true
	return s, spec, nil
}

// spec names an object that exists.
func (o *Options) spec(name string) *object.Spec {
	return &object.Spec{Name: name, Scope: layout.Scope(o.Scope), Kind: layout.Listener, Owner: o.Owner, Access: layout.ReadWrite}
}

// Addr is the address of a listener, and of both ends of its connections.
type Addr struct {
	Name  string
	Scope samepage.Scope
}

// Network is "stream".
func (Addr) Network() string { return "stream" }

// String is "stream:NAME", or "stream:Global\NAME".
func (a Addr) String() string {
	if a.Scope == samepage.Global {
		return `stream:Global\` + a.Name
	}
	return "stream:" + a.Name
}

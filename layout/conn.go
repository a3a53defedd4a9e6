package layout

import (
	"fmt"
	"unsafe"
)

// A listener is a segment. Its live region has ListenerWords, and then a ConnWords for each
// connection that can be open at the same time. Its payload has two rings of bytes for each
// connection: from the dialer to the acceptor, and back. docs/protocol/stream.md is the protocol.

// ListenerWords are the words that all connections of a listener have together.
type ListenerWords struct {
	// State is the owner word of the member that listens, changed by compare-and-swap. 0: nobody
	// listens.
	State uint64    //   0
	_     [120]byte //   8
	// Sleepers has a bit for each member that sleeps or is about to sleep. Only member i and its
	// reaper write bit i.
	Sleepers [16]uint64 // 128
	_        [256]byte  // 256
	// Asked has a bit for each connection that somebody may have asked for: a hint. The dialer sets
	// it, the listener clears it before it looks at the connection.
	Asked [64]uint64 // 512
	// ToAcceptor and ToDialer have a bit for each connection in which something may have changed
	// for that end: hints. The other end sets the bit, the end clears it before it looks.
	ToAcceptor [64]uint64 // 1024
	ToDialer   [64]uint64 // 1536
}

// ConnWords are the words of one connection.
type ConnWords struct {
	// State is a ConnState. Members change it by compare-and-swap.
	State uint64 //   0
	// Dialer is the owner word of the member that asked for the connection. It counts unless State is
	// ConnFree or ConnClaimed. The member that claimed the connection writes it.
	Dialer uint64    //   8
	_      [112]byte //  16
	// From has the words of the dialer's end, and To those of the acceptor's end. Only the process
	// of that end writes them. While the connection is claimed, the member that claimed it does.
	From EndWords // 128
	To   EndWords // 256
}

// EndWords are the words of one end of a connection.
type EndWords struct {
	// Produced counts the bytes that this end has written into its ring. RELEASE: publishes the
	// bytes.
	Produced uint64 //   0
	// Consumed counts the bytes that this end has read from the other end's ring. RELEASE: gives the
	// space back.
	Consumed uint64 //   8
	// ReadWaits is odd while this end waits for bytes. Each wait has another number.
	ReadWaits uint64 //  16
	// WriteWaits is 0, or the value of the other end's Consumed for which this end waits.
	WriteWaits uint64 //  24
	// Closed has ConnNoWrites when this end writes no more, and ConnNoReads when it reads no more.
	Closed uint64   //  32
	_      [88]byte //  40
}

// These are the sizes and offsets of a listener, in bytes.
const (
	ListenerWordsSize        = 2048
	ListenerAskedOffset      = 512
	ListenerToAcceptorOffset = 1024
	ListenerToDialerOffset   = 1536
	ConnWordsSize            = 384
	ConnDialerOffset         = 8
	ConnFromOffset           = 128
	ConnToOffset             = 256
	EndConsumedOffset        = 8
	EndReadWaitsOffset       = 16
	EndWriteWaitsOffset      = 24
	EndClosedOffset          = 32
	MaxConns                 = 4096    // bits of ListenerWords.Asked
	MinConnRing              = 1 << 12 // bytes
	MaxConnRing              = 1 << 30
)

// These are the bits of EndWords.Closed.
const (
	ConnNoWrites = 1
	ConnNoReads  = 2
)

// These lines stop the build if the structures differ from docs/layout.md.
const (
	_ = -(unsafe.Sizeof(ListenerWords{}) ^ ListenerWordsSize)
	_ = -(unsafe.Offsetof(ListenerWords{}.State) ^ LockStateOffset)
	_ = -(unsafe.Offsetof(ListenerWords{}.Sleepers) ^ LockSleepersOffset)
	_ = -(unsafe.Offsetof(ListenerWords{}.Asked) ^ ListenerAskedOffset)
	_ = -(unsafe.Offsetof(ListenerWords{}.ToAcceptor) ^ ListenerToAcceptorOffset)
	_ = -(unsafe.Offsetof(ListenerWords{}.ToDialer) ^ ListenerToDialerOffset)
	_ = -(unsafe.Sizeof(ListenerWords{}.Asked)*8 ^ MaxConns)
	_ = -(unsafe.Sizeof(ConnWords{}) ^ ConnWordsSize)
	_ = -(unsafe.Offsetof(ConnWords{}.Dialer) ^ ConnDialerOffset)
	_ = -(unsafe.Offsetof(ConnWords{}.From) ^ ConnFromOffset)
	_ = -(unsafe.Offsetof(ConnWords{}.To) ^ ConnToOffset)
	_ = -(unsafe.Offsetof(EndWords{}.Consumed) ^ EndConsumedOffset)
	_ = -(unsafe.Offsetof(EndWords{}.ReadWaits) ^ EndReadWaitsOffset)
	_ = -(unsafe.Offsetof(EndWords{}.WriteWaits) ^ EndWriteWaitsOffset)
	_ = -(unsafe.Offsetof(EndWords{}.Closed) ^ EndClosedOffset)
)

// ConnState is the state word of a connection. N changes each time the connection is claimed. A and
// D say that the acceptor or the dialer has left. Slot and incarnation name the member that claimed
// the connection (ConnClaimed) or accepted it (ConnOpen).
//
//	63              47 46                        15 14        5 4 3 2     0
//	+-----------------+----------------------------+-----------+-+-+-------+
//	|   N, 17 bits    |    incarnation, 32 bits    |   slot    |A|D| phase |
//	+-----------------+----------------------------+-----------+-+-+-------+
type ConnState uint64

// ConnPhase is the phase of a connection.
type ConnPhase uint8

// These are the phases.
const (
	ConnFree    ConnPhase = iota
	ConnClaimed           // one member prepares it, or takes it down
	ConnAsked             // the dialer has it, and the listener has not accepted it yet
	ConnOpen              // accepted
)

// These are the bits of a ConnState that say which end has left.
const (
	ConnDialerLeft   ConnState = 1 << 3
	ConnAcceptorLeft ConnState = 1 << 4
)

const connNumber = 47 // the first bit of N

// Phase is the phase.
func (s ConnState) Phase() ConnPhase { return ConnPhase(s & 7) }

// Member names the member that claimed or accepted the connection.
func (s ConnState) Member() Owner { return OwnerOf(int(s>>5&1023), uint32(s>>15)) }

// With is the next state: another phase, and the member m. N stays, and nobody has left. m may be 0
// for phases without a member.
func (s ConnState) With(p ConnPhase, m Owner) ConnState {
	s = s>>connNumber<<connNumber | ConnState(p)
	if m != 0 {
		s |= ConnState(m.Slot()&1023)<<5 | ConnState(m.Incarnation())<<15
	}
	return s
}

// Claimed is the state after m has claimed the connection. N is another one.
func (s ConnState) Claimed(m Owner) ConnState {
	return (s + 1<<connNumber).With(ConnClaimed, m)
}

// ListenerLive is the number of bytes of live words of a listener with n connections.
func ListenerLive(n int) int { return ListenerWordsSize + n*ConnWordsSize }

// ListenerConns returns the number of connections of a listener, and the bytes of each ring, from
// the header of its segment. Errors: ErrCorrupt.
func ListenerConns(h *SegmentHeader) (n int, ring uint64, err error) {
	live := h.LiveSize - ListenerWordsSize
	n = int(min(live/ConnWordsSize, MaxConns+1))
	if h.LiveSize < ListenerWordsSize || live%ConnWordsSize != 0 || n < 1 || n > MaxConns {
		return 0, 0, fmt.Errorf("listener with %d bytes of words, want %d and %d for each of 1 to %d connections: %w",
			h.LiveSize, ListenerWordsSize, ConnWordsSize, MaxConns, ErrCorrupt)
	}
	ring = h.PayloadSize / uint64(2*n)
	if ring < MinConnRing || ring > MaxConnRing || ring&(ring-1) != 0 || ring*uint64(2*n) != h.PayloadSize {
		return 0, 0, fmt.Errorf("listener with %d bytes for the rings of %d connections: %w", h.PayloadSize, n, ErrCorrupt)
	}
	return n, ring, nil
}

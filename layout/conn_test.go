package layout

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"testing"
)

// goldenConns is a listener with two connections: one is open, and its dialer has left; the other
// is asked for.
func goldenConns() []byte {
	const members, conns, ring = 2, 2, MinConnRing
	h := &SegmentHeader{
		Kind: uint32(Listener), Members: members, Created: goldenTime, PID: 4242, Live: SegmentHeaderSize,
		LiveSize: uint64(ListenerLive(conns)), Payload: PayloadAlign, PayloadSize: 2 * conns * ring, Size: PayloadAlign + 2*conns*ring,
	}
	h.Table = h.Live + h.LiveSize
	PutText(h.Creator[:], "golden")
	b := bytes.NewBuffer(EncodeSegment(h))
	put := func(v any) {
		if err := binary.Write(b, binary.LittleEndian, v); err != nil {
			panic(err)
		}
	}
	acceptor, dialer := OwnerOf(0, 7), OwnerOf(1, 0x80000003)
	w := ListenerWords{State: uint64(acceptor)}
	w.Sleepers[0], w.Asked[0], w.ToAcceptor[0], w.ToDialer[0] = 1, 2, 1, 2
	put(&w)
	open := ConnState(0).Claimed(dialer).With(ConnOpen, acceptor) | ConnDialerLeft
	put(&ConnWords{
		State: uint64(open), Dialer: uint64(dialer),
		From: EndWords{Produced: 5000, Consumed: 7, Closed: ConnNoWrites | ConnNoReads},
		To:   EndWords{Produced: 8, Consumed: 904, ReadWaits: 3, WriteWaits: 11},
	})
	put(&ConnWords{State: uint64(ConnState(0).Claimed(dialer).Claimed(dialer).With(ConnAsked, 0)), Dialer: uint64(dialer)})
	for i := range uint64(members) {
		put(&Member{Identity: []uint64{7, 0x80000003}[i]<<32 | 1, PID: 4242, Role: uint32(i) + 1, Joined: goldenTime, Held: i})
	}
	return b.Bytes()
}

// The golden file is what version 1 wrote. It is read with the offsets that the code uses.
func TestGoldenConns(t *testing.T) {
	const path = "testdata/v1/listener.bin"
	if *update {
		if err := os.WriteFile(path, goldenConns(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(b, goldenConns()) {
		t.Errorf("%s is not what this version writes", path)
	}
	h, err := ParseSegment(b, Listener, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if n, ring, err := ListenerConns(h); n != 2 || ring != MinConnRing || err != nil {
		t.Errorf("%d connections, rings of %d bytes, %v", n, ring, err)
	}
	live := b[h.Live:]
	word := func(off int) uint64 { return binary.LittleEndian.Uint64(live[off:]) }
	const conn = ListenerWordsSize
	for off, want := range map[int]uint64{
		LockStateOffset: uint64(OwnerOf(0, 7)), LockSleepersOffset: 1, ListenerAskedOffset: 2, ListenerToAcceptorOffset: 1, ListenerToDialerOffset: 2,
		conn + ConnDialerOffset: uint64(OwnerOf(1, 0x80000003)), conn + ConnFromOffset: 5000, conn + ConnFromOffset + EndConsumedOffset: 7,
		conn + ConnFromOffset + EndClosedOffset: 3, conn + ConnToOffset + EndReadWaitsOffset: 3, conn + ConnToOffset + EndWriteWaitsOffset: 11,
	} {
		if got := word(off); got != want {
			t.Errorf("the word at %d is %#x, want %#x", off, got, want)
		}
	}
	if s := ConnState(word(conn)); s.Phase() != ConnOpen || s.Member() != OwnerOf(0, 7) || s&ConnDialerLeft == 0 || s&ConnAcceptorLeft != 0 {
		t.Errorf("the state of the first connection is %#x", uint64(s))
	}
	if s := ConnState(word(conn + ConnWordsSize)); s.Phase() != ConnAsked {
		t.Errorf("the state of the second connection is %#x", uint64(s))
	}
}

// A state names each member, and each claim gives another state.
func TestConnState(t *testing.T) {
	var s ConnState
	seen := map[ConnState]bool{}
	for _, slot := range []int{0, 1, MaxMembers - 1} {
		for _, inc := range []uint32{0, 1, 1<<32 - 1} {
			m := OwnerOf(slot, inc)
			s = s.Claimed(m)
			if s.Phase() != ConnClaimed || s.Member() != m || seen[s>>connNumber] {
				t.Errorf("claimed by %#x: %#x", uint64(m), uint64(s))
			}
			seen[s>>connNumber] = true
			if o := s.With(ConnOpen, m); o.Phase() != ConnOpen || o.Member() != m || o>>connNumber != s>>connNumber {
				t.Errorf("opened by %#x: %#x", uint64(m), uint64(o))
			}
		}
	}
	if s := ^ConnState(0); s.Claimed(OwnerOf(3, 4)).Member() != OwnerOf(3, 4) {
		t.Error("the number runs into the member")
	}
}

func TestListenerConns(t *testing.T) {
	for _, h := range []SegmentHeader{
		{LiveSize: 0, PayloadSize: 2 * MinConnRing},
		{LiveSize: ListenerWordsSize, PayloadSize: 2 * MinConnRing},
		{LiveSize: ListenerWordsSize + 1, PayloadSize: 2 * MinConnRing},
		{LiveSize: uint64(ListenerLive(1)) + 8, PayloadSize: 2 * MinConnRing},
		{LiveSize: uint64(ListenerLive(MaxConns + 1)), PayloadSize: 2 * (MaxConns + 1) * MinConnRing},
		{LiveSize: ^uint64(0), PayloadSize: 2 * MinConnRing},
		{LiveSize: uint64(ListenerLive(1))},
		{LiveSize: uint64(ListenerLive(1)), PayloadSize: MinConnRing},
		{LiveSize: uint64(ListenerLive(1)), PayloadSize: 2*MinConnRing + 1},
		{LiveSize: uint64(ListenerLive(1)), PayloadSize: 6 * MinConnRing},
		{LiveSize: uint64(ListenerLive(1)), PayloadSize: 4 * MaxConnRing},
	} {
		if n, ring, err := ListenerConns(&h); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%d and %d bytes are %d connections with rings of %d bytes, %v", h.LiveSize, h.PayloadSize, n, ring, err)
		}
	}
}

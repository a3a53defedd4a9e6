package pubsub_test

import (
	"errors"
	"io/fs"
	"runtime"
	"strconv"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/internal/lane"
	"samepage/internal/object"
	"samepage/internal/segment"
	"samepage/layout"
	"samepage/pubsub"
)

// badHeaders are bytes of a segment's header that tell, when they change: it is no
// segment, one of a later version, a broken one.
var badHeaders = []struct {
	offset int
	want   error
}{{0, samepage.ErrCorrupt}, {12, samepage.ErrVersion}, {24, samepage.ErrCorrupt}, {124, samepage.ErrCorrupt}}

// Whether a topic is well is told without touching it: who lives, who died, and what is
// wrong with its header.
func TestMission002_14_Health(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	_, err := pubsub.Inspect("t", nil)
	ipctest.WantErr(t, err, fs.ErrNotExist)
	c := ipctest.Start(t, "pub", "t", "64")
	if l := c.Line(); l != "ready" {
		t.Fatal(l)
	}
	s := newSub(t, "t", nil)
	_, err = s.Take(bg)
	ipctest.NoErr(t, err)
	st := inspect(t, "t")
	if p := st.Lanes[0].Publisher; p == nil || !p.Alive || p.PID != c.PID() || st.Lanes[0].Messages == 0 || len(st.Members) != 2 {
		t.Errorf("a topic that is well: %+v", st)
	}
	c.Kill()
	if p := inspect(t, "t").Lanes[0].Publisher; p == nil || p.Alive {
		t.Errorf("the publisher that died: %+v", p)
	}

	h := mapTopic(t, "t")
	for _, bad := range badHeaders {
		h.v.Bytes()[bad.offset] ^= 0x40
		st, err := pubsub.Inspect("t", nil)
		ipctest.WantErr(t, err, bad.want)
		_, err = pubsub.NewSubscriber("t", nil)
		ipctest.WantErr(t, err, bad.want)
		if st != nil {
			t.Errorf("a spoilt header tells %+v", st)
		}
		h.v.Bytes()[bad.offset] ^= 0x40
	}
	inspect(t, "t")
	ipctest.NoErr(t, h.close())
}

// Sizes have 64 bits: messages of 3 GiB, in slots that begin beyond 3 GiB. Only the
// ends of the messages are touched, and on Linux the memory is sparse.
func TestMission002_28_BeyondThreeGiB(t *testing.T) {
	if strconv.IntSize < 64 {
		t.Skip("a topic is mapped whole, and a 32-bit process has 4 GiB for everything")
	}
	ipctest.NeedNames(t)
	ipctest.Store(t)
	var size int64 = 3 << 30
	settings := lane.Settings{Lanes: 1, Depth: 1, MaxSize: size, Readers: 2, Loans: 1}
	c, of, err := settings.Config()
	ipctest.NoErr(t, err)
	spec := segment.Spec{Kind: layout.Topic, Members: int(c.Readers), Live: lane.Live(c, of), Payload: of.Payload}
	mem, err := spec.Create(&object.Spec{Name: "t", Sparse: runtime.GOOS == "linux"})
	if errors.Is(err, samepage.ErrNoSpace) { // Windows sets it aside
		t.Skip(err)
	}
	ipctest.NoErr(t, err)
	p := newPub(t, "t", &pubsub.Options{MaxSize: int(size), Depth: 1, Members: 2, Holds: -1, Loans: 1})
	s := newSub(t, "t", nil)
	ipctest.NoErr(t, mem.Release())
	if got := int64(p.Options().MaxSize); got != size || mem.Sys.Size < int64(c.Slots)*size {
		t.Errorf("%d slots for messages of %d bytes have %d bytes", c.Slots, got, mem.Sys.Size)
	}
	for q := range 2 * int(c.Slots) { // each slot, and again
		l, err := p.Loan(int(size) - q)
		ipctest.NoErr(t, err)
		b := l.Bytes()
		copy(b, strconv.Itoa(q))
		copy(b[len(b)-4:], strconv.Itoa(1000+q))
		ipctest.NoErr(t, l.Publish(bg))
		m, err := s.Take(bg)
		ipctest.NoErr(t, err)
		b = m.Bytes()
		if int64(len(b)) != size-int64(q) || string(b[:len(strconv.Itoa(q))]) != strconv.Itoa(q) || string(b[len(b)-4:]) != strconv.Itoa(1000+q) {
			t.Errorf("message %d has %d bytes, begins with %q and ends with %q", q, len(b), b[:2], b[len(b)-4:])
		}
	}
	_, err = p.Loan(int(size) + 1)
	ipctest.WantErr(t, err, samepage.ErrTooLarge)
	t.Logf("a topic of %d bytes, with %d slots", mem.Sys.Size, c.Slots)
}

// The sizes of all, of the room and of the content, and the content in place: what
// changes in the shared memory changes in the message.
func TestMission002_35_Accessors(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	o := &pubsub.Options{MaxSize: 1000, Depth: 3}
	p := newPub(t, "t", o)
	s := newSub(t, "t", nil)
	h := mapTopic(t, "t")
	if all, err := o.Size(); err != nil || all < h.m.Size() || all-h.m.Size() > layout.PayloadAlign {
		t.Errorf("the topic is said to have %d bytes, has %d, %v", all, h.m.Size(), err)
	}
	if s.Options().MaxSize != 1000 || p.Options().Depth != 3 {
		t.Errorf("options are %+v", s.Options())
	}
	l, err := p.Loan(10)
	ipctest.NoErr(t, err)
	copy(l.Bytes(), "0123456789")
	ipctest.NoErr(t, l.Publish(bg))
	if l.Bytes() != nil {
		t.Error("a message that is published can still be written")
	}
	m, err := s.Take(bg)
	ipctest.NoErr(t, err)
	if string(m.Bytes()) != "0123456789" || cap(m.Bytes()) != 10 {
		t.Errorf("%q, with a capacity of %d", m.Bytes(), cap(m.Bytes()))
	}
	for slot := range int(h.c.Slots) {
		if b := h.v.Bytes()[h.slot(0, slot)+layout.SlotHeaderSize:][:10]; string(b) == "0123456789" {
			b[5] = 'x'
		}
	}
	if string(m.Bytes()) != "01234x6789" {
		t.Errorf("the message %q is a copy", m.Bytes())
	}
	s.Release()
	if m.Bytes() != nil {
		t.Error("a message that was let go still has bytes")
	}
	ipctest.NoErr(t, h.close())
}

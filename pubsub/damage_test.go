package pubsub_test

import (
	"hash/crc32"
	"io/fs"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/layout"
	"samepage/pubsub"
)

// Inspect says which members live, which died, and what is wrong with the header, and changes
// nothing.
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
	for _, bad := range ipctest.BadHeaders {
		h.v.Bytes()[bad.Offset] ^= 0x40
		st, err := pubsub.Inspect("t", nil)
		ipctest.WantErr(t, err, bad.Want)
		_, err = pubsub.OpenSubscriber("t", nil)
		ipctest.WantErr(t, err, bad.Want)
		if st != nil {
			t.Errorf("a spoilt header tells %+v", st)
		}
		h.v.Bytes()[bad.Offset] ^= 0x40
	}
	inspect(t, "t")
	ipctest.NoErr(t, h.close())
}

// Checksums are CRC-32C. Several goroutines compute them at the same time.
func TestMission002_10_Checksum(t *testing.T) {
	if got := crc32.Checksum([]byte("123456789"), crc32.MakeTable(crc32.Castagnoli)); got != 0xe3069283 {
		t.Errorf("the check value of CRC-32C is %#x", got)
	}
	ipctest.NeedNames(t)
	ipctest.Store(t)
	const several, messages = 4, 500
	o := &pubsub.Options{MaxSize: 64, Publishers: several, Checksums: true}
	var ps []*pubsub.Publisher
	var ss []*pubsub.Subscriber
	for range several {
		ps = append(ps, newPub(t, "t", o))
		ss = append(ss, newSub(t, "t", nil))
	}
	errs := make(chan error)
	for i := range several {
		go func() {
			var err error
			b := make([]byte, 64)
			for n := 0; n < messages && err == nil; n++ {
				ipctest.Fill(b, ps[i].Next())
				err = ps[i].Send(bg, b)
			}
			errs <- err
		}()
		go func() {
			var err error
			for n := 0; n < several*messages && err == nil; n++ {
				var m pubsub.Message
				if m, err = ss[i].Take(bg); err == nil {
					err = ipctest.Check(m.Bytes(), m.Seq())
				}
			}
			errs <- err
		}()
	}
	for range 2 * several {
		ipctest.NoErr(t, <-errs)
	}
}

// If a byte of a message has changed, the subscriber gets an error and no data, and the next
// message is good.
func TestMission002_11_FlippedByte(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := newPub(t, "t", &pubsub.Options{MaxSize: 64, Depth: 2, Checksums: true})
	h := mapTopic(t, "t")
	for _, bestEffort := range []bool{false, true} {
		s := newSub(t, "t", &pubsub.SubscriberOptions{BestEffort: bestEffort, From: pubsub.FromNow})
		for i := range 64 {
			send(t, p, 64)
			// The slots that hold this message; others have other generations.
			flip := func() {
				for slot := range int(h.c.Slots) {
					if off := h.slot(0, slot); h.word(t, off).Load() == p.Next()-1 {
						h.v.Bytes()[off+layout.SlotHeaderSize+uint64(i)] ^= 0x10
					}
				}
			}
			flip()
			m, ok, err := s.TryTake()
			ipctest.WantErr(t, err, samepage.ErrChecksum)
			if ok || m.Bytes() != nil {
				t.Error("there is data in spite of the checksum")
			}
			send(t, p, 64)
			m, err = s.Take(bg)
			ipctest.NoErr(t, err)
			ipctest.NoErr(t, ipctest.Check(m.Bytes(), m.Seq()))
		}
		ipctest.NoErr(t, s.Close())
	}
	ipctest.NoErr(t, h.close())
}

// If a length in shared memory is larger than a slot, there is an error, and nothing is read.
func TestMission002_13_CorruptLength(t *testing.T) {
	ipctest.NeedNames(t)
	for _, bestEffort := range []bool{false, true} {
		for _, n := range []uint64{65, 1 << 16, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
			ipctest.Store(t)
			p := newPub(t, "t", &pubsub.Options{MaxSize: 64})
			s := newSub(t, "t", &pubsub.SubscriberOptions{BestEffort: bestEffort})
			send(t, p, 64)
			h := mapTopic(t, "t")
			// Message 1 has entry 1, whose second word is the slot.
			place := h.word(t, h.hd.Payload+layout.EntrySize+layout.EntrySlotOffset)
			slot := int(uint32(place.Load()))
			h.word(t, h.slot(0, slot)+layout.SlotLengthOffset).Store(n)
			m, ok, err := s.TryTake()
			ipctest.WantErr(t, err, samepage.ErrCorrupt)
			if ok || m.Bytes() != nil {
				t.Errorf("a message of %d bytes is taken", n)
			}
			// The message is not where it is expected, and its entry names a slot that is not there.
			h.word(t, h.slot(0, slot)).Store(0)
			place.Store(1 << 30)
			_, _, err = s.TryTake()
			ipctest.WantErr(t, err, samepage.ErrCorrupt)
			ipctest.NoErr(t, h.close())
			ipctest.NoErr(t, s.Close())
			ipctest.NoErr(t, p.Close())
		}
	}
}

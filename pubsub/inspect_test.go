package pubsub_test

import (
	"encoding/binary"
	"encoding/json"
	"io/fs"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/layout"
	"samepage/pubsub"
)

func inspect(t testing.TB, name string) *pubsub.State {
	t.Helper()
	st, err := pubsub.Inspect(name, nil)
	ipctest.NoErr(t, err)
	return st
}

// Inspect shows the state of a topic while it is used, and changes nothing.
func TestInspect(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	_, err := pubsub.Inspect("t", nil)
	ipctest.WantErr(t, err, fs.ErrNotExist)

	o := &pubsub.Options{
		MaxSize: 100, Depth: 4, Publishers: 2, Members: 5, Holds: 0, Loans: 3,
		EvictAfter: time.Millisecond, Checksums: true, Times: true,
	}
	p := newPub(t, "t", o)
	st := inspect(t, "t")
	if st.Options != *o || st.Type != "bytes" || st.Fingerprint != "" || st.Room != 5 || len(st.Lanes) != 2 || len(st.Members) != 1 {
		t.Errorf("new topic: %+v", st)
	}
	if l := st.Lanes[0]; l.Publisher == nil || l.Publisher.PID != os.Getpid() || l.Publisher.Role != pubsub.Publishing || !l.Publisher.Alive || time.Since(l.Publisher.Joined) > time.Hour {
		t.Errorf("its publisher: %+v", l.Publisher)
	}
	if l := st.Lanes[1]; l.Publisher != nil || l.Messages != 0 {
		t.Errorf("the place that nobody has: %+v", l)
	}

	s := newSub(t, "t", nil)
	newSub(t, "t", &pubsub.SubscriberOptions{BestEffort: true})
	for range 3 {
		send(t, p, 100)
	}
	_, err = s.Take(bg)
	ipctest.NoErr(t, err)
	s.Release()
	st = inspect(t, "t")
	if st.Lanes[0].Messages != 3 || len(st.Members) != 3 {
		t.Errorf("3 messages, 3 members: %+v", st)
	}
	if m := st.Members[1]; m.Role != pubsub.Reliable || !reflect.DeepEqual(m.Behind, []uint64{2, 0}) || m.Evicted || !m.Alive {
		t.Errorf("a reliable subscriber: %+v", m)
	}
	if m := st.Members[2]; m.Role != pubsub.BestEffort || m.Behind != nil {
		t.Errorf("a best-effort subscriber: %+v", m)
	}
	for range 20 { // until it is evicted
		send(t, p, 100)
	}
	if m := inspect(t, "t").Members[1]; !m.Evicted || m.Behind[0] != 0 {
		t.Errorf("a subscriber that was evicted: %+v", m)
	}

	b, err := json.Marshal(st)
	ipctest.NoErr(t, err)
	for _, want := range []string{`"kind":"topic"`, `"max_size":100`, `"role":"best-effort"`, `"behind":[2,0]`, `"messages":3`, `"publisher":{"pid"`} {
		if !strings.Contains(string(b), want) {
			t.Errorf("JSON has no %s: %s", want, b)
		}
	}
	var back pubsub.State
	ipctest.NoErr(t, json.Unmarshal(b, &back))
	if back.Members[2].Role != pubsub.BestEffort || back.Options.EvictAfter != time.Millisecond {
		t.Errorf("read back: %+v", back)
	}

	ipctest.NoErr(t, p.Close())
	if l := inspect(t, "t").Lanes[0]; l.Publisher != nil || l.Ends != 1 || l.Deaths != 0 {
		t.Errorf("after the end: %+v", l)
	}
}

func TestInspectTyped(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	type point struct{ X, Y int32 }
	p, _, err := pubsub.OpenOrCreatePublisherOf[point]("t", nil)
	ipctest.NoErr(t, err)
	defer p.Close()
	if st := inspect(t, "t"); st.Type != "pubsub_test.point" || len(st.Fingerprint) != 16 || st.Schema != "point={0 X int32;4 Y int32;}8" {
		t.Errorf("type %q, fingerprint %q, schema %q", st.Type, st.Fingerprint, st.Schema)
	}
	if s := newSub(t, "t", nil); s.Schema() != p.Schema() || s.Schema() != inspect(t, "t").Schema {
		t.Errorf("schema %q", s.Schema())
	}
	// A schema that another process has changed is told, and harms nobody.
	m, err := samepage.Open("t", &samepage.Options{Kind: samepage.KindTopic})
	ipctest.NoErr(t, err)
	defer func() { ipctest.NoErr(t, m.Close()) }()
	_, err = m.WriteAt([]byte("P"), layout.SegmentHeaderSize)
	ipctest.NoErr(t, err)
	_, err = pubsub.Inspect("t", nil)
	ipctest.WantErr(t, err, samepage.ErrCorrupt)
	_, err = pubsub.OpenSubscriber("t", nil)
	ipctest.WantErr(t, err, samepage.ErrCorrupt)
}

// The name of a type belongs to it, its package does not. So two programs that both have a
// main.pose understand each other, and another type with the same fields is refused.
func TestTypeNames(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p, err := pubsub.CreatePublisherOf[samepage.Scope]("t", nil)
	ipctest.NoErr(t, err)
	defer p.Close()
	s, err := pubsub.OpenSubscriberOf[layout.Scope]("t", nil)
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, s.Close())
	_, err = pubsub.OpenSubscriberOf[samepage.Lifetime]("t", nil)
	ipctest.WantErr(t, err, samepage.ErrKindMismatch)
	_, err = pubsub.OpenSubscriberOf[uint32]("t", nil)
	ipctest.WantErr(t, err, samepage.ErrKindMismatch)
}

// Inspect shows a killed publisher, before and after a reaper has repaired the topic.
func TestInspectDead(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	c := ipctest.Start(t, "pub", "t", "64")
	if l := c.Line(); l != "ready" {
		t.Fatal(l)
	}
	s := newSub(t, "t", &pubsub.SubscriberOptions{From: pubsub.FromNow})
	c.Kill()
	l := inspect(t, "t").Lanes[0]
	if l.Publisher == nil || l.Publisher.Alive || l.Publisher.PID != c.PID() || l.Deaths != 0 {
		t.Errorf("not repaired: %+v, %+v", l, l.Publisher)
	}
	for {
		if _, err := s.Take(bg); err != nil {
			ipctest.WantErr(t, err, samepage.ErrPeerDied)
			break
		}
	}
	if l := inspect(t, "t").Lanes[0]; l.Publisher != nil || l.Deaths != 1 || l.Ends != 0 {
		t.Errorf("repaired: %+v, %+v", l, l.Publisher)
	}
}

// Inspect ends, and reads only within the topic, whatever members write into the words.
func TestInspectHostile(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := newPub(t, "t", &pubsub.Options{Depth: 8, Publishers: 3, Members: 70, EvictAfter: time.Second})
	newSub(t, "t", nil)
	send(t, p, 8)
	m, err := samepage.Open("t", &samepage.Options{Kind: samepage.KindTopic})
	ipctest.NoErr(t, err)
	defer m.Close()
	words := make([]byte, 3*layout.LaneWordsSize+70*(layout.MemberSize+4*layout.CursorLineSize))
	rnd := rand.New(rand.NewPCG(1, 2))
	junk := func() {
		for i := range words {
			words[i] = byte(rnd.Uint32()) | byte(-(rnd.Uint32() & 1))
		}
		_, err = m.WriteAt(words, layout.SegmentHeaderSize+layout.LaneWordsOffset)
		ipctest.NoErr(t, err)
	}
	before := append([]byte(nil), words...)
	_, err = m.ReadAt(before, layout.SegmentHeaderSize+layout.LaneWordsOffset)
	ipctest.NoErr(t, err)
	for range 200 {
		junk()
		st, err := pubsub.Inspect("t", nil)
		if err != nil {
			continue
		}
		for _, m := range st.Members {
			for _, n := range m.Behind {
				if n > 10 {
					t.Errorf("%d messages behind in a lane of 10", n)
				}
			}
		}
		if _, err := json.Marshal(st); err != nil {
			t.Error(err)
		}
	}
	_, err = m.WriteAt(before, layout.SegmentHeaderSize+layout.LaneWordsOffset)
	ipctest.NoErr(t, err)

	// A subscriber cannot be further behind than a lane reaches.
	_, err = m.WriteAt(binary.LittleEndian.AppendUint64(nil, 1000), layout.SegmentHeaderSize+layout.LaneWordsOffset+layout.LaneHeadOffset)
	ipctest.NoErr(t, err)
	if st := inspect(t, "t"); st.Lanes[0].Messages != 999 || st.Members[1].Behind[0] != 10 {
		t.Errorf("%d messages, %d behind", st.Lanes[0].Messages, st.Members[1].Behind[0])
	}

	// Settings of something else, and some that are not whole.
	whole := make([]byte, layout.LaneConfigSize)
	_, err = m.ReadAt(whole, layout.SegmentHeaderSize+layout.LaneConfigOffset)
	ipctest.NoErr(t, err)
	c, _, err := layout.ParseLaneConfig(whole)
	ipctest.NoErr(t, err)
	c.Lanes, c.Entries, c.Slots = 0, 0, layout.MaxSlots
	_, err = m.WriteAt(layout.EncodeLaneConfig(c), layout.SegmentHeaderSize+layout.LaneConfigOffset)
	ipctest.NoErr(t, err)
	_, err = pubsub.Inspect("t", nil)
	ipctest.WantErr(t, err, samepage.ErrCorrupt)
	if err != nil && !strings.Contains(err.Error(), "with 0 lanes") {
		t.Error(err)
	}
	_, err = m.WriteAt(whole, layout.SegmentHeaderSize+layout.LaneConfigOffset)
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, m.Close())
	m, err = samepage.Open("t", &samepage.Options{Kind: samepage.KindTopic})
	ipctest.NoErr(t, err)
	defer m.Close()
	_, err = m.WriteAt([]byte{1}, layout.SegmentHeaderSize+layout.LaneConfigOffset+40)
	ipctest.NoErr(t, err)
	_, err = pubsub.Inspect("t", nil)
	ipctest.WantErr(t, err, samepage.ErrCorrupt)
}

package record

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/foxglove/mcap/go/mcap"

	"samepage"
	"samepage/cell"
	"samepage/frame"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// pose is a type with all that a description for ROS 2 needs: types in types, arrays of arrays,
// padding, and names that are not in use elsewhere.
type pose struct {
	At    samepage.Time
	Pos   [3]float64
	Rot   [3][3]float32
	Valid samepage.Bool
	_     [3]uint8
	Parts [2]struct{ X, Y int16 }
	C     complex64
}

// start begins a recording of these topics, which ends with their streams, and of cells.
func start(t *testing.T, o Options, topics []string, cells ...string) (end func() []Total) {
	t.Helper()
	if o.Buffer == 0 {
		o.Buffer = 64 << 20
	}
	r, err := New(o)
	ipctest.NoErr(t, err)
	errs := make(chan error, len(topics)+len(cells))
	ctx, cancel := context.WithCancel(t.Context())
	for _, name := range topics {
		go func() { errs <- r.Topic(ctx, samepage.Local, name, true) }()
	}
	done := make(chan error, len(cells))
	for _, name := range cells {
		go func() { done <- r.Cell(ctx, samepage.Local, name) }()
	}
	return func() []Total {
		t.Helper()
		for range topics {
			ipctest.NoErr(t, <-errs)
		}
		cancel()
		for range cells {
			ipctest.NoErr(t, <-done)
		}
		totals, _, err := r.Close()
		ipctest.NoErr(t, err)
		return totals
	}
}

// said is what a recording has of a message, without the time at which it was recorded.
type said struct {
	topic, encoding, schema string
	seq                     uint32
	published               uint64
	data                    string
}

// all reads all messages of a recording but the events, by topic.
func all(t *testing.T, path string, rename func(string) string) map[string][]said {
	t.Helper()
	f, err := Open(path)
	ipctest.NoErr(t, err)
	defer func() { ipctest.NoErr(t, f.Close()) }()
	if f.Lost != nil {
		t.Errorf("%s: %v", path, f.Lost)
	}
	next, err := f.Messages(0, math.MaxInt64, Forward, func(c *mcap.Channel) bool { return c.Topic != eventTopic })
	ipctest.NoErr(t, err)
	got := map[string][]said{}
	for {
		m, err := next()
		if err == io.EOF {
			return got
		}
		ipctest.NoErr(t, err)
		s := said{topic: rename(m.Channel.Topic), encoding: m.Channel.MessageEncoding, seq: m.Sequence, published: m.PublishTime, data: string(m.Data)}
		if m.Schema != nil {
			s.schema = m.Schema.Name + string(m.Schema.Data)
		}
		if !m.Source.Options.Times || m.Source.Kind == samepage.KindCell {
			s.published = 0 // it is the time at which it was recorded, or set
		}
		got[s.topic] = append(got[s.topic], s)
	}
}

func same(name string) string { return name }

// A recording is played into fresh topics and cells, and recorded again: every message is the same.
func TestRoundTrip(t *testing.T) {
	ipctest.NeedNames(t)
	for _, how := range []Compression{mcap.CompressionNone, mcap.CompressionLZ4, mcap.CompressionZSTD} {
		t.Run(string(how), func(t *testing.T) { roundTrip(t, how) })
	}
}

func roundTrip(t *testing.T, how Compression) {
	ipctest.Store(t)
	dir := ipctest.Dir(t)
	first, second := filepath.Join(dir, "1.mcap"), filepath.Join(dir, "2.mcap")
	topics := []string{"bytes", "packs", "poses", "cam"}
	bytesPub, err := pubsub.CreatePublisher("bytes", &pubsub.Options{MaxSize: 2 << 20, Depth: 4, Checksums: true})
	ipctest.NoErr(t, err)
	packs, err := pubsub.CreatePublisher("packs", &pubsub.Options{MaxSize: 64, Pack: 4096, Times: true, Publishers: 3})
	ipctest.NoErr(t, err)
	poses, err := pubsub.CreatePublisherOf[pose]("poses", &pubsub.Options{Times: true})
	ipctest.NoErr(t, err)
	cam, err := frame.CreatePublisher("cam", frame.Spec{Format: frame.RGBA, Width: 64, Height: 48}, &pubsub.Options{Times: true, MaxSize: 256 << 10, EvictAfter: -1})
	ipctest.NoErr(t, err)
	value, err := cell.CreateWriterOf[pose]("value", &cell.Options{Times: true})
	ipctest.NoErr(t, err)
	end := start(t, Options{Path: first, Compression: how}, topics, "value")
	ctx := t.Context()
	ipctest.NoErr(t, cam.WaitSubscribers(ctx, 1))
	for _, p := range []interface {
		WaitReliableSubscribers(context.Context, int) error
	}{bytesPub, packs, poses} {
		ipctest.NoErr(t, p.WaitReliableSubscribers(ctx, 1))
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	fill := func(b []byte) []byte {
		for i := range b {
			b[i] = byte(rnd.Uint32())
		}
		return b
	}
	for _, n := range []int{0, 1, 1000, largeSize - messageSize(0), largeSize, 2 << 20, 3} {
		ipctest.NoErr(t, bytesPub.Send(ctx, fill(make([]byte, n))))
	}
	for i := range 50 {
		var some [][]byte
		for k := range 40 {
			some = append(some, fmt.Appendf(nil, "%d in %d", k, i))
		}
		_, err := packs.SendAll(ctx, some)
		ipctest.NoErr(t, err)
		ipctest.NoErr(t, poses.Send(ctx, &pose{At: samepage.Time(i), Pos: [3]float64{1, float64(i), 3}, Valid: 1}))
	}
	n := 0
	for _, f := range frame.Formats() {
		for _, stride := range []int{0, 640} {
			spec := frame.Spec{Format: f, Width: 34, Height: 26, Stride: stride, Range: frame.RangeFull, Params: "p"}
			l, err := cam.LoanExtra(spec, n%3)
			if errors.Is(err, frame.ErrSpec) {
				continue
			}
			ipctest.NoErr(t, err)
			for p := range l.Planes() {
				fill(l.Pix(p))
			}
			fill(l.Extra())
			ipctest.NoErr(t, l.Publish(ctx))
			n++
		}
	}
	v := pose{Pos: [3]float64{7, 8, 9}}
	ipctest.NoErr(t, value.Set(ctx, &v))
	// The recorder has the value before the cell goes.
	r, err := cell.OpenReaderOf[pose]("value", nil)
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, errors.Join(bytesPub.Close(), packs.Close(), poses.Close(), cam.Close()))
	for _, total := range end() {
		if total.Missed != 0 {
			t.Errorf("%+v", total)
		}
	}
	ipctest.NoErr(t, errors.Join(r.Close(), value.Close()))
	want := all(t, first, same)
	if len(want["bytes"]) != 7 || len(want["packs"]) != 2000 || len(want["poses"]) != 50 || len(want["cam"]) != n || len(want["value"]) != 1 {
		t.Errorf("%d bytes, %d packs, %d poses, %d of %d frames, %d values", len(want["bytes"]), len(want["packs"]), len(want["poses"]), len(want["cam"]), n, len(want["value"]))
	}

	f, err := Open(first)
	ipctest.NoErr(t, err)
	_, err = NewPlayer(f, PlayOptions{Rate: 1000, Wait: 1, Rename: func(name string) string { return "again/" + name }})
	if err == nil {
		t.Error("a name with a slash is accepted")
	}
	p, err := NewPlayer(f, PlayOptions{Rate: 1000, Wait: 1, Rename: func(name string) string { return "again " + name }})
	ipctest.NoErr(t, err)
	again := make([]string, len(topics))
	for i, name := range topics {
		again[i] = "again " + name
	}
	end = start(t, Options{Path: second}, again, "again value")
	ipctest.NoErr(t, p.Play(ctx))
	ipctest.NoErr(t, errors.Join(p.Close(), f.Close()))
	end()
	got := all(t, second, func(name string) string { return name[len("again "):] })
	for name, w := range want {
		g := got[name]
		if len(g) != len(w) {
			t.Errorf("%s: %d messages, want %d", name, len(g), len(w))
			continue
		}
		for i := range w {
			if name == "cam" {
				w[i].data, g[i].data = original(t, w[i]), original(t, g[i]) // the frame ID is the name of the topic
			}
			if g[i] != w[i] {
				t.Errorf("%s, message %d: %.200q, want %.200q", name, i, fmt.Sprint(g[i]), fmt.Sprint(w[i]))
				break
			}
		}
	}
}

// original returns the bytes of a message as they were in the topic.
func original(t *testing.T, s said) string {
	t.Helper()
	var buf []byte
	m := Message{Channel: &mcap.Channel{MessageEncoding: s.encoding}, Source: &Source{}, Message: &mcap.Message{Data: []byte(s.data)}}
	b, err := m.original(&buf)
	ipctest.NoErr(t, err)
	return string(b)
}

// repair writes what is whole of a recording into a file.
func repair(t *testing.T, r *File, path string) {
	t.Helper()
	out, err := os.Create(path)
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, errors.Join(r.Repair(out), out.Close()))
}

// A file that is cut at any place has a whole begin, and is repaired.
func TestCut(t *testing.T) {
	var out bytes.Buffer
	f, err := newFile(&out, mcap.CompressionNone, "test")
	ipctest.NoErr(t, err)
	header := out.Len() // a file without a header is no recording
	a := &channel{id: 1, topic: "a", encoding: encodingBytes, schema: &mcap.Schema{ID: 1, Name: "s", Encoding: "x"}}
	b := &channel{id: 2, topic: "b", encoding: encodingBytes, source: &Source{Kind: samepage.KindTopic}}
	n := 0
	ends := []int{} // of chunks, and how many messages there are until then
	for range 3 {
		c := &chunk{ready: make(chan struct{})}
		for range 2 {
			for _, ch := range []*channel{a, b} {
				c.add(ch, uint64(n), int64(n+1), int64(n+1), []byte("message"))
				n++
			}
		}
		c.seal(mcap.CompressionNone)
		ipctest.NoErr(t, f.put(c))
		ends = append(ends, int(f.chunks[len(f.chunks)-1].ChunkStartOffset+f.chunks[len(f.chunks)-1].ChunkLength))
	}
	ipctest.NoErr(t, f.end())
	whole := out.Bytes()
	dir := ipctest.Dir(t)
	path, repaired := filepath.Join(dir, "cut.mcap"), filepath.Join(dir, "whole.mcap")
	step := 3
	if runtime.GOOS == "windows" {
		step = 101 // files are slow under Wine
	}
	for cut := 0; cut <= len(whole); cut += step {
		ipctest.NoErr(t, os.WriteFile(path, whole[:cut], 0o600))
		f, err := Open(path)
		if cut < header {
			ipctest.WantErr(t, err, samepage.ErrCorrupt)
			continue
		}
		if err != nil {
			t.Fatalf("cut at %d of %d: %v", cut, len(whole), err)
		}
		want := 0 // messages
		for _, e := range ends {
			if cut >= e {
				want += 4
			}
		}
		if got := f.info.Statistics.MessageCount; int(got) != want || cut < len(whole) && f.Lost == nil {
			t.Fatalf("cut at %d: %d messages, want %d; lost: %v", cut, got, want, f.Lost)
		}
		repair(t, f, repaired)
		ipctest.NoErr(t, f.Close())
		if got := messages(t, repaired); got != want {
			t.Fatalf("cut at %d: %d messages after the repair, want %d", cut, got, want)
		}
	}
}

// messages counts the messages of a whole file with the library: with the index, and from its
// begin.
func messages(t *testing.T, path string) int {
	t.Helper()
	counts := [2]int{}
	for i, indexed := range []bool{true, false} {
		b, err := os.ReadFile(path)
		ipctest.NoErr(t, err)
		r, err := mcap.NewReader(bytes.NewReader(b))
		ipctest.NoErr(t, err)
		it, err := r.Messages(mcap.UsingIndex(indexed))
		ipctest.NoErr(t, err)
		ipctest.NoErr(t, mcap.Range(it, func(*mcap.Schema, *mcap.Channel, *mcap.Message) error {
			counts[i]++
			return nil
		}))
		r.Close()
	}
	if counts[0] != counts[1] {
		t.Errorf("%d messages by the index, %d in the file", counts[0], counts[1])
	}
	return counts[0]
}

// What was missed is in the file, and in the totals.
func TestMissed(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	path := filepath.Join(ipctest.Dir(t), "missed.mcap")
	p, err := pubsub.CreatePublisher("t", &pubsub.Options{Pack: 4096, Times: true})
	ipctest.NoErr(t, err)
	end := start(t, Options{Path: path}, []string{"t"})
	ipctest.NoErr(t, p.WaitReliableSubscribers(t.Context(), 1))
	for _, n := range []uint64{1, 2, 6, 7, 17} { // some numbers are left out
		ipctest.NoErr(t, p.Relay(n, time.Unix(int64(n), 0)))
		ipctest.NoErr(t, p.Send(t.Context(), []byte("x")))
	}
	ipctest.NoErr(t, p.Close())
	if totals := end(); totals[0].Messages != 5 || totals[0].Missed != 3+9 {
		t.Errorf("%+v", totals)
	}
	f, err := Open(path)
	ipctest.NoErr(t, err)
	i, err := f.Info()
	ipctest.NoErr(t, errors.Join(err, f.Close()))
	if x := i.Topics[0]; x.Messages != 5 || x.Missed != 12 {
		t.Errorf("%+v", x)
	}
	var gaps []uint64
	for _, e := range i.Events {
		if e.Missed > 0 {
			gaps = append(gaps, e.Missed)
		}
	}
	if !slices.Equal(gaps, []uint64{3, 9}) {
		t.Errorf("gaps of %d messages", gaps)
	}
}

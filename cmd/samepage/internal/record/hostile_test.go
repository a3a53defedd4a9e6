package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/foxglove/mcap/go/mcap"
	"github.com/klauspost/compress/zstd"

	"samepage"
	"samepage/cell"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// opened writes a recording of these chunks, and opens it.
func opened(t *testing.T, how Compression, chunks ...*chunk) *File {
	t.Helper()
	path := filepath.Join(ipctest.Dir(t), "made.mcap")
	out, err := os.Create(path)
	ipctest.NoErr(t, err)
	f, err := newFile(out, how, "test")
	ipctest.NoErr(t, err)
	for _, c := range chunks {
		ipctest.NoErr(t, f.put(c))
	}
	ipctest.NoErr(t, errors.Join(f.end(), out.Close()))
	r, err := Open(path)
	ipctest.NoErr(t, err)
	t.Cleanup(func() { ipctest.NoErr(t, r.Close()) })
	return r
}

const begin = 1_700_000_000_000_000_000

func bytesChannel(id uint16, topic string, kind samepage.Kind, object byte, o pubsub.Options) *channel {
	return &channel{id: id, topic: topic, encoding: encodingBytes, source: &Source{Kind: kind, Object: samepage.ID{object}, Options: o}}
}

// read reads all messages, in order.
func read(t *testing.T, f *File, order Order) (all []string, err error) {
	t.Helper()
	next, err := f.Messages(0, 1<<62, order, func(*mcap.Channel) bool { return true })
	for err == nil {
		var m *Message
		if m, err = next(); err == nil {
			all = append(all, string(m.Data))
		}
	}
	if err == io.EOF {
		err = nil
	}
	return all, err
}

// Messages of chunks whose times overlap, and that lie in any order in a chunk, are read by time.
func TestOverlap(t *testing.T) {
	ch := bytesChannel(1, "t", samepage.KindTopic, 1, pubsub.Options{MaxSize: 16})
	var all []*chunk
	var want []string
	for i := range int64(4) {
		c := &chunk{ready: make(chan struct{})}
		for _, k := range []int64{5, 0, 3, 1, 4, 2} {
			at := begin + 2*i + 3*k
			c.add(ch, 1, at, at, fmt.Appendf(nil, "%02d at %d", at-begin, i))
		}
		c.seal(mcap.CompressionNone)
		all = append(all, c)
		for k := range int64(6) {
			want = append(want, fmt.Sprintf("%02d at %d", 2*i+3*k, i))
		}
	}
	slices.Sort(want)
	f := opened(t, mcap.CompressionNone, all...)
	if got, err := read(t, f, Forward); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %q, want %q", err, got, want)
	}
	slices.Reverse(want)
	if got, err := read(t, f, Backward); err != nil || !slices.Equal(got, want) {
		t.Errorf("backward: %v, %q, want %q", err, got, want)
	}
	defer func(n uint64) { mostOpen = n }(mostOpen)
	mostOpen = 400 // one chunk
	_, err := read(t, f, Forward)
	ipctest.WantErr(t, err, samepage.ErrCorrupt)
	all = nil
	for i := range int64(4) { // these do not overlap
		c := &chunk{ready: make(chan struct{})}
		for k := range int64(6) {
			c.add(ch, 1, begin+10*i+k, begin, fmt.Append(nil, i))
		}
		c.seal(mcap.CompressionNone)
		all = append(all, c)
	}
	f = opened(t, mcap.CompressionNone, all...)
	for _, order := range []Order{Forward, Backward} {
		if got, err := read(t, f, order); err != nil || len(got) != 24 {
			t.Errorf("%d messages, %v", len(got), err)
		}
	}
}

// A small file does not take much memory: a chunk of 100 bytes has compressed bytes that become 64
// MiB.
func TestBomb(t *testing.T) {
	z, err := zstd.NewWriter(nil)
	ipctest.NoErr(t, err)
	ch := bytesChannel(1, "t", samepage.KindTopic, 1, pubsub.Options{MaxSize: 16})
	c := &chunk{ready: make(chan struct{})}
	c.add(ch, 1, begin, begin, make([]byte, 69))
	c.seal(mcap.CompressionZSTD)
	c.packed = z.EncodeAll(make([]byte, 64<<20), nil)
	f := opened(t, mcap.CompressionZSTD, c)
	var a, b runtime.MemStats
	runtime.ReadMemStats(&a)
	got, err := read(t, f, Forward)
	runtime.ReadMemStats(&b)
	if d := f.Damaged(0, 1<<62, everything); err != nil || len(got) > 0 || len(d) != 1 || d[0].Messages != 1 {
		t.Errorf("%q, %v, %+v", got, err, d)
	}
	if n := b.TotalAlloc - a.TotalAlloc; n > 32<<20 {
		t.Errorf("a file of %d bytes takes %d", f.Size, n)
	}
}

// A file without chunks, as another program may write it.
func TestUnchunked(t *testing.T) {
	path := filepath.Join(ipctest.Dir(t), "flat.mcap")
	out, err := os.Create(path)
	ipctest.NoErr(t, err)
	w, err := mcap.NewWriter(out, &mcap.WriterOptions{})
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, w.WriteHeader(&mcap.Header{}))
	ipctest.NoErr(t, w.WriteChannel(&mcap.Channel{ID: 3, Topic: "/a/b", MessageEncoding: "x"}))
	for _, at := range []uint64{2, 1, 3} {
		ipctest.NoErr(t, w.WriteMessage(&mcap.Message{ChannelID: 3, LogTime: at, Data: fmt.Append(nil, at)}))
	}
	ipctest.NoErr(t, errors.Join(w.Close(), out.Close()))
	f, err := Open(path)
	ipctest.NoErr(t, err)
	defer func() { ipctest.NoErr(t, f.Close()) }()
	for order, want := range map[Order]string{Forward: "[1 2 3]", Backward: "[3 2 1]"} {
		if got, err := read(t, f, order); err != nil || fmt.Sprint(got) != want {
			t.Errorf("%v, %v, want %v", err, got, want)
		}
	}
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p, err := NewPlayer(f, PlayOptions{Rate: 1e6})
	ipctest.NoErr(t, err)
	if got := p.Names(); !slices.Equal(got, []string{"a.b"}) {
		t.Errorf("it plays %q", got)
	}
	ipctest.NoErr(t, p.Close())
}

// A cell, and a topic, were made again while they were recorded: a part begins with the latest of
// both objects.
func TestPlayPartOfSeveral(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	var all []*chunk
	for i := range 12 {
		v := bytesChannel(uint16(2*i+1), "c", samepage.KindCell, byte(i), pubsub.Options{MaxSize: 16})
		m := bytesChannel(uint16(2*i+2), "t", samepage.KindTopic, byte(i), pubsub.Options{MaxSize: 16, Depth: 4})
		c := &chunk{ready: make(chan struct{})}
		at := begin + int64(i)*1e9
		c.add(v, 1, at, at, fmt.Append(nil, i))
		c.add(m, 1, at, at, fmt.Append(nil, i))
		c.seal(mcap.CompressionNone)
		all = append(all, c)
	}
	p, err := NewPlayer(opened(t, mcap.CompressionNone, all...), PlayOptions{Rate: 1e6, From: 9500 * time.Millisecond, To: 9600 * time.Millisecond})
	ipctest.NoErr(t, err)
	s, err := pubsub.OpenSubscriber("t", nil)
	ipctest.NoErr(t, err)
	r, err := cell.OpenReader("c", nil)
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, p.Play(t.Context()))
	ipctest.NoErr(t, p.Close())
	got := rest(t, s)
	b, _, err := r.Get()
	ipctest.NoErr(t, err)
	if string(b) != "9" || fmt.Sprint(got) != "[6 7 8 9]" {
		t.Errorf("the cell has %q, want 9; the topic had %q", b, got)
	}
	ipctest.NoErr(t, errors.Join(s.Close(), r.Close()))
}

// The file says neither who may use what is played, nor how long it stays, nor how much memory it
// takes.
func TestPlayRights(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	for _, kind := range []samepage.Kind{samepage.KindTopic, samepage.KindCell} {
		ch := bytesChannel(1, "t", kind, 1, pubsub.Options{MaxSize: 1 << 20, Depth: 8, Perm: 0o666, Owner: "*", Lifetime: samepage.Persist, AsItIs: true})
		c := &chunk{ready: make(chan struct{})}
		c.add(ch, 1, begin, begin, []byte("x"))
		c.seal(mcap.CompressionNone)
		f := opened(t, mcap.CompressionNone, c)
		_, err := NewPlayer(f, PlayOptions{Limit: 1 << 19})
		ipctest.WantErr(t, err, samepage.ErrTooLarge)
		p, err := NewPlayer(f, PlayOptions{Rate: 1e6})
		ipctest.NoErr(t, err)
		ipctest.NoErr(t, errors.Join(p.Play(t.Context()), p.Close()))
		if all, err := samepage.List(); len(all) > 0 || err != nil {
			t.Errorf("%v is still there: %v, %v", kind, all, err)
		}
	}
}

// A recorder keeps no memory of quiet channels: neither their chunk nor its index.
func TestQuiet(t *testing.T) {
	for _, o := range []Options{{Path: "%d.mcap", Last: 1}, {Path: "q.mcap"}} {
		o.Path = filepath.Join(ipctest.Dir(t), o.Path)
		o.Buffer = 1 << 20
		r, err := New(o)
		ipctest.NoErr(t, err)
		quiet := &channel{topic: "quiet", encoding: encodingBytes}
		loud := &channel{topic: "loud", encoding: encodingBytes}
		for _, c := range []*channel{quiet, loud, loud} {
			if c.id == 0 {
				ipctest.NoErr(t, r.register(c, nil))
			}
			ipctest.NoErr(t, r.put(c, 1, time.Time{}, make([]byte, 300<<10)))
		}
		closeRecorder(t, r)
		if c := quiet.in; c.b != nil || c.packed != nil || len(c.index[quiet.place].Records) > 0 {
			t.Errorf("%d bytes, %d packed, %d records of the index", cap(c.b), cap(c.packed), len(c.index[quiet.place].Records))
		}
	}
}

// If there are too many channels, the name that needs one more is told, and others go on.
func TestTooManyChannels(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	r, err := New(Options{Path: filepath.Join(ipctest.Dir(t), "many.mcap"), Buffer: 1 << 20})
	ipctest.NoErr(t, err)
	p, err := pubsub.CreatePublisher("t", &pubsub.Options{Depth: 8})
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, p.Send(t.Context(), []byte("x")))
	r.mu.Lock()
	r.ids = 1<<16 - 1
	r.mu.Unlock()
	ipctest.NoErr(t, r.Topic(t.Context(), samepage.Local, "t", false))
	_, _, err = r.Close()
	ipctest.WantErr(t, err, errTooMany)
	ipctest.NoErr(t, p.Close())
}

// The length of a chunk is a lie: it is shorter than its header, or longer than any chunk, in a file
// that has no so many bytes on the disk. Such a file has a summary that makes no sense, and is read
// as far as it is whole.
func TestLengthOfChunk(t *testing.T) {
	for _, length := range []uint64{0, 4, 9, chunkHead - 1, 1 << 40} {
		path := filepath.Join(ipctest.Dir(t), "lie.mcap")
		out, err := os.Create(path)
		ipctest.NoErr(t, err)
		f, err := newFile(out, mcap.CompressionNone, "test")
		ipctest.NoErr(t, err)
		c := &chunk{ready: make(chan struct{})}
		c.add(bytesChannel(1, "t", samepage.KindTopic, 1, pubsub.Options{MaxSize: 16}), 1, begin, begin, []byte("x"))
		c.seal(mcap.CompressionNone)
		ipctest.NoErr(t, f.put(c))
		x := f.chunks[0]
		x.ChunkLength, x.CompressedSize = length, 0
		_, err = out.WriteAt(binary.LittleEndian.AppendUint64(nil, length-9), int64(x.ChunkStartOffset)+1)
		ipctest.NoErr(t, err)
		if length == 1<<40 && runtime.GOOS == "linux" { // elsewhere files are not sparse by themselves
			f.at = length + 4096
			_, err = out.Seek(int64(f.at), io.SeekStart)
			ipctest.NoErr(t, err)
		}
		ipctest.NoErr(t, errors.Join(f.end(), out.Close()))
		r, err := Open(path)
		if err != nil {
			ipctest.WantErr(t, err, samepage.ErrCorrupt)
			continue
		}
		if _, err := read(t, r, Forward); r.Lost == nil && err == nil {
			t.Errorf("a chunk of %d bytes is read", length)
		}
		ipctest.NoErr(t, r.Close())
		ipctest.NoErr(t, os.Remove(path))
	}
}

// Very many small chunks that overlap are read in order.
func TestManyOverlap(t *testing.T) {
	const n = 3000
	ch := bytesChannel(1, "t", samepage.KindTopic, 1, pubsub.Options{MaxSize: 16})
	var all []*chunk
	var want []string
	for i := range int64(n) {
		c := &chunk{ready: make(chan struct{})}
		c.add(ch, 1, begin+i, begin, fmt.Append(nil, i))
		c.add(ch, 1, begin+2*n-i, begin, fmt.Append(nil, 2*n-i))
		c.seal(mcap.CompressionNone)
		all = append(all, c)
	}
	for i := range 2*n + 1 {
		if i != n {
			want = append(want, fmt.Sprint(i))
		}
	}
	f := opened(t, mcap.CompressionNone, all...)
	if got, err := read(t, f, Forward); err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %d messages", err, len(got))
	}
	slices.Reverse(want)
	if got, err := read(t, f, Backward); err != nil || !slices.Equal(got, want) {
		t.Errorf("backward: %v, %d messages", err, len(got))
	}
}

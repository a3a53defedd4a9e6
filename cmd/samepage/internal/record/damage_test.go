package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/foxglove/mcap/go/mcap"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// damagedFile writes a recording of 10 chunks, a second apart. The chunk of second i has the
// messages 4*i to 4*i+3: one of the topic "b", and three of "a". harm changes the bytes of the
// file, and knows where the chunk of second 4 is. If cut is set, the file has no end.
func damagedFile(t *testing.T, how Compression, cut bool, harm func(file []byte, x *mcap.ChunkIndex)) (path string) {
	t.Helper()
	return damagedFileAt(t, how, cut, 4, harm)
}

// damagedFileAt is damagedFile for the chunk of any second.
func damagedFileAt(t *testing.T, how Compression, cut bool, second int, harm func(file []byte, x *mcap.ChunkIndex)) (path string) {
	t.Helper()
	var out bytes.Buffer
	f, err := newFile(&out, how, "test")
	ipctest.NoErr(t, err)
	a := bytesChannel(1, "a", samepage.KindTopic, 1, pubsub.Options{MaxSize: 16, Depth: 8})
	b := bytesChannel(2, "b", samepage.KindTopic, 2, pubsub.Options{MaxSize: 16, Depth: 2})
	for i := range int64(10) {
		c := &chunk{ready: make(chan struct{})}
		for k := range int64(4) {
			ch, n := a, 4*i+k
			if k == 0 {
				ch = b
			}
			at := begin + i*1e9 + k*1e8
			c.add(ch, uint64(n), at, at, fmt.Append(nil, n))
		}
		c.seal(how)
		ipctest.NoErr(t, f.put(c))
	}
	n := out.Len()
	ipctest.NoErr(t, f.end())
	file := out.Bytes()
	harm(file, f.chunks[second])
	if cut {
		file = file[:n]
	}
	path = filepath.Join(ipctest.Dir(t), "damaged.mcap")
	ipctest.NoErr(t, os.WriteFile(path, file, 0o600))
	return path
}

// without are the messages of damagedFile but those of second 4.
func without() (all []string) {
	for n := range 40 {
		if n/4 != 4 {
			all = append(all, strconv.Itoa(n))
		}
	}
	return all
}

// A damaged chunk is left out, told with what it had, and all else is read, with and without the
// end of the file. A repaired file is whole also for other programs.
func TestDamagedChunk(t *testing.T) {
	inside := func(f []byte, x *mcap.ChunkIndex) { f[x.ChunkStartOffset+x.ChunkLength-30] ^= 0xff }
	head := func(f []byte, x *mcap.ChunkIndex) { f[x.ChunkStartOffset+2] ^= 0xff }
	length := func(change uint64) func(f []byte, x *mcap.ChunkIndex) {
		return func(f []byte, x *mcap.ChunkIndex) { addTo(f[x.ChunkStartOffset+1:], change) }
	}
	for _, how := range []Compression{mcap.CompressionNone, mcap.CompressionLZ4, mcap.CompressionZSTD} {
		for _, c := range []struct {
			name string
			cut  bool
			harm func([]byte, *mcap.ChunkIndex)
		}{
			{"inside", false, inside},
			{"inside, cut", true, inside},
			{"head", false, head},
			{"short, cut", true, length(math.MaxUint64)},
			{"shorter, cut", true, length(math.MaxUint64 - 59)},
			{"long, cut", true, length(1)},
			{"longer, cut", true, length(300)},
			{"out of the file, cut", true, length(1 << 20)},
			{"too long, cut", true, length(1 << 40)},
			{"negative, cut", true, length(1 << 63)},
		} {
			t.Run(string(how)+" "+c.name, func(t *testing.T) {
				f, err := Open(damagedFile(t, how, c.cut, c.harm))
				ipctest.NoErr(t, err)
				defer func() { ipctest.NoErr(t, f.Close()) }()
				if c.cut != (f.Lost != nil) {
					t.Errorf("it is cut: %v", f.Lost)
				}
				if d := f.Damaged(0, math.MaxInt64, everything); c.cut != (len(d) == 1) {
					t.Errorf("before it is read: %+v", d)
				}
				want := without()
				if got, err := read(t, f, Forward); err != nil || !slices.Equal(got, want) {
					t.Errorf("%q, %v", got, err)
				}
				slices.Reverse(want)
				if got, err := read(t, f, Backward); err != nil || !slices.Equal(got, want) {
					t.Errorf("backward: %q, %v", got, err)
				}
				d := f.Damaged(0, math.MaxInt64, everything)
				if len(d) != 1 || fmt.Sprint(d[0].Lost, d[0].Messages, d[0].Unknown) != "map[a:3 b:1] 4 false" || d[0].Why == "" ||
					d[0].Begin.UnixNano() != begin+4e9 || d[0].End.UnixNano() != begin+4e9+3e8 {
					t.Errorf("%+v", d)
				}
				i, err := f.Info()
				ipctest.NoErr(t, err)
				if a := i.Topics[0]; i.Messages != 36 || a.Messages != 27 || a.Lost != 3 || len(i.DamagedChunks) != 1 {
					t.Errorf("%+v", i)
				}
				path := filepath.Join(ipctest.Dir(t), "repaired.mcap")
				repair(t, f, path)
				if n := messages(t, path); n != 36 {
					t.Errorf("%d messages after the repair", n)
				}
				b, err := os.ReadFile(path)
				ipctest.NoErr(t, err)
				if s, err := scan(bytes.NewReader(b)); err != nil || s.lost != nil || len(s.broken) > 0 || s.stats.MessageCount != 36 {
					t.Errorf("%+v, %v after the repair", s, err)
				}
				g, err := Open(path)
				ipctest.NoErr(t, err)
				slices.Reverse(want)
				if got, err := read(t, g, Forward); err != nil || g.Lost != nil || !slices.Equal(got, want) {
					t.Errorf("%v, %q, %v after the repair", g.Lost, got, err)
				}
				if i, err := g.Info(); err != nil || i.Messages != 36 || len(i.DamagedChunks) > 0 {
					t.Errorf("%+v, %v after the repair", i, err)
				}
				ipctest.NoErr(t, g.Close())
			})
		}
	}
}

// addTo adds to a number of a file.
func addTo(b []byte, n uint64) { binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)+n) }

// A file without its end has an index whose length is damaged. Nothing is lost, and a repaired file
// is whole.
func TestDamagedLengthOfIndex(t *testing.T) {
	for _, chunk := range []int{0, 4, 9} {
		for _, id := range []uint16{1, 2} {
			for _, change := range []uint64{1, 16, 300, 1 << 20, 1 << 40, 1 << 63} {
				t.Run(fmt.Sprint(chunk, id, change), func(t *testing.T) {
					f, err := Open(damagedFileAt(t, mcap.CompressionNone, true, chunk, func(f []byte, x *mcap.ChunkIndex) { addTo(f[x.MessageIndexOffsets[id]+1:], change) }))
					ipctest.NoErr(t, err)
					defer func() { ipctest.NoErr(t, f.Close()) }()
					if got, err := read(t, f, Forward); err != nil || len(got) != 40 {
						t.Errorf("%q, %v", got, err)
					}
					if i, err := f.Info(); err != nil || i.Messages != 40 || len(i.DamagedChunks) > 0 || f.Lost == nil {
						t.Errorf("%+v, %v, %v", i, f.Lost, err)
					}
					path := filepath.Join(ipctest.Dir(t), "repaired.mcap")
					repair(t, f, path)
					if n := messages(t, path); n != 40 {
						t.Errorf("%d messages after the repair", n)
					}
					b, err := os.ReadFile(path)
					ipctest.NoErr(t, err)
					if s, err := scan(bytes.NewReader(b)); err != nil || s.lost != nil || len(s.broken) > 0 || s.stats.MessageCount != 40 {
						t.Errorf("%+v, %v after the repair", s, err)
					}
				})
			}
		}
	}
}

// What a damaged chunk had is not known if its index of messages is damaged, too.
func TestDamagedIndex(t *testing.T) {
	for at, want := range map[uint64]string{0: "map[b:1] 1 true", 20: "map[b:1] 1 true"} {
		f, err := Open(damagedFile(t, mcap.CompressionNone, false, func(f []byte, x *mcap.ChunkIndex) {
			f[x.ChunkStartOffset+x.ChunkLength-1] ^= 1
			f[x.MessageIndexOffsets[1]+at] ^= 0xff
		}))
		ipctest.NoErr(t, err)
		if d := f.Damaged(0, math.MaxInt64, everything); len(d) > 0 {
			t.Errorf("before it is read: %+v", d)
		}
		f.Check()
		d := f.Damaged(0, math.MaxInt64, everything)
		if len(d) != 1 || fmt.Sprint(d[0].Lost, d[0].Messages, d[0].Unknown) != want {
			t.Errorf("%+v, want %s", d, want)
		}
		ipctest.NoErr(t, f.Close())
	}
}

// A player goes on after a damaged chunk, and counts what it could not play of what was wanted.
func TestPlayDamaged(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	for _, c := range []struct {
		from, to time.Duration
		topic    string
		want     string // what is lost
		begin    string // the first message, and the last
	}{
		{0, 0, "a", "map[a:3]", "1 39"},
		{0, 4250 * time.Millisecond, "a", "map[a:2]", "1 15"},
		{4200 * time.Millisecond, 0, "a", "map[a:2]", "6 39"}, // the history has 8, of those that are left
		{4200 * time.Millisecond, 0, "b", "", "8 36"},
		{0, 4 * time.Second, "b", "", "0 12"},
		{5 * time.Second, 0, "a", "", "6 39"},
	} {
		f, err := Open(damagedFile(t, mcap.CompressionLZ4, false, func(f []byte, x *mcap.ChunkIndex) { f[x.ChunkStartOffset+x.ChunkLength-30] ^= 1 }))
		ipctest.NoErr(t, err)
		p, err := NewPlayer(f, PlayOptions{Rate: 1e6, From: c.from, To: c.to, Want: func(name string) bool { return name == c.topic }})
		ipctest.NoErr(t, err)
		s, err := pubsub.OpenSubscriber(c.topic, nil)
		ipctest.NoErr(t, err)
		done := make(chan error, 1)
		go func() { done <- errors.Join(p.Play(t.Context()), p.Close()) }()
		all := rest(t, s)
		ipctest.NoErr(t, <-done)
		got := ""
		for _, d := range p.Damaged() {
			got += fmt.Sprint(d.Lost)
		}
		if all := all[0] + " " + all[len(all)-1]; got != c.want || all != c.begin {
			t.Errorf("%v: lost %s, played %s", c, got, all)
		}
		ipctest.NoErr(t, s.Close())
		ipctest.NoErr(t, f.Close())
	}
}

package record

import (
	"io"
	"testing"

	"github.com/foxglove/mcap/go/mcap"
)

// What a message costs: in chunks, and with the writer of the library. The reasons for chunks of
// our own are in docs/decisions.

func benchmarkChunks(b *testing.B, size int) {
	data := make([]byte, size)
	ch := &channel{id: 1, topic: "t", encoding: encodingBytes}
	f, err := newFile(io.Discard, mcap.CompressionNone, "")
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 0, chunkSize+messageSize(size))
	c := &chunk{b: buf, ready: make(chan struct{})}
	b.SetBytes(int64(size))
	for n := int64(0); b.Loop(); n++ {
		c.add(ch, uint64(n), n, n, data)
		if len(c.b) > chunkSize {
			c.seal(mcap.CompressionNone)
			if err := f.put(c); err != nil {
				b.Fatal(err)
			}
			c = &chunk{b: buf, ready: make(chan struct{})}
		}
	}
}

func benchmarkLibrary(b *testing.B, size int) {
	data := make([]byte, size)
	w, err := mcap.NewWriter(io.Discard, &mcap.WriterOptions{Chunked: true, ChunkSize: chunkSize, IncludeCRC: true})
	if err == nil {
		err = w.WriteHeader(&mcap.Header{})
	}
	if err == nil {
		err = w.WriteChannel(&mcap.Channel{ID: 1, Topic: "t"})
	}
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(size))
	var m mcap.Message
	for n := uint64(0); b.Loop(); n++ {
		m = mcap.Message{ChannelID: 1, Sequence: uint32(n), LogTime: n, PublishTime: n, Data: data}
		if err := w.WriteMessage(&m); err != nil {
			b.Fatal(err)
		}
	}
}

const fullHDBytes = 1920 * 1080 * 3

func BenchmarkChunksSmall(b *testing.B)    { benchmarkChunks(b, 64) }
func BenchmarkLibrarySmall(b *testing.B)   { benchmarkLibrary(b, 64) }
func BenchmarkChunksPicture(b *testing.B)  { benchmarkChunks(b, fullHDBytes) }
func BenchmarkLibraryPicture(b *testing.B) { benchmarkLibrary(b, fullHDBytes) }

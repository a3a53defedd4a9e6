package record

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/foxglove/mcap/go/mcap"

	"samepage/internal/ipctest"
	"samepage/pubsub"
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

// fastProcess publishes as many messages of 64 bytes as its input says, and computes for so many
// microseconds before each. It answers with the time that it took. -1 waits for a recorder.
func fastProcess(args []string) {
	work, _ := strconv.Atoi(args[0])
	depth, _ := strconv.Atoi(args[1])
	p, err := pubsub.CreatePublisher("t", &pubsub.Options{MaxSize: 64, Depth: depth})
	fmt.Println("ready", err)
	b := make([]byte, 64)
	for {
		var n int
		if _, err := fmt.Scanln(&n); err != nil {
			return
		}
		if n < 0 {
			if err := p.WaitReliableSubscribers(context.Background(), 1); err != nil {
				fmt.Println(err)
				return
			}
		}
		begin := time.Now()
		for range n {
			for busy := time.Now(); work > 0 && time.Since(busy) < time.Duration(work)*time.Microsecond; {
			}
			if err := p.Send(context.Background(), b); err != nil {
				fmt.Println(err)
				return
			}
		}
		fmt.Println("done", time.Since(begin).Nanoseconds())
	}
}

// BenchmarkPublisher compares a publisher of small messages that is recorded with the same
// publisher alone, in turn. The publisher computes for so many microseconds before each message.
// recorded-% is the median of the rounds, in percent of the time alone.
//
// The publisher has processor 0 for itself if this runs on the others:
//
//	taskset -c 1 go test ./cmd/samepage/internal/record -run '^$' -bench Publisher -benchtime 9x
func BenchmarkPublisher(b *testing.B) {
	for _, work := range []int{0, 10, 100} {
		for _, depth := range []int{0, 1024} {
			b.Run(fmt.Sprintf("work-%dus-depth-%d", work, depth), func(b *testing.B) { publisher(b, work, depth) })
		}
	}
}

func publisher(b *testing.B, work, depth int) {
	ipctest.NeedNames(b)
	ipctest.Store(b)
	path := filepath.Join(ipctest.Dir(b), "bench.mcap")
	c := ipctest.Command(b, "fast", fmt.Sprint(work), fmt.Sprint(depth))
	ipctest.Pin(c, 0)
	p := ipctest.StartCmd(b, c)
	p.Line()
	n := 1
	publish := func() time.Duration {
		var ns int64
		if _, err := fmt.Sscanf(p.Ask("%d", n), "done %d", &ns); err != nil {
			b.Fatal(err)
		}
		return time.Duration(ns)
	}
	for publish() < 200*time.Millisecond {
		n *= 2
	}
	var percent []float64
	for b.Loop() {
		alone := publish()
		r := ipctest.Start(b, "load", path, "t")
		p.Ask("-1")
		recorded := publish()
		r.Send("end")
		if missed := r.Line(); missed != "0 missed" {
			b.Error(missed)
		}
		r.Wait()
		ipctest.NoErr(b, os.Remove(path))
		percent = append(percent, 100*float64(recorded)/float64(alone))
		b.ReportMetric(float64(alone)/float64(n), "ns/message")
	}
	slices.Sort(percent)
	b.ReportMetric(percent[len(percent)/2], "recorded-%")
	b.ReportMetric(0, "ns/op")
}

package record

import (
	"bytes"
	"io"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/foxglove/mcap/go/mcap"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// Whatever is in a file: reading, repairing and reading again ends, with messages or with an error.
func FuzzFile(f *testing.F) {
	for _, how := range []Compression{mcap.CompressionNone, mcap.CompressionLZ4, mcap.CompressionZSTD} {
		var out bytes.Buffer
		w, err := newFile(&out, how, "test")
		ipctest.NoErr(f, err)
		topic := &channel{id: 1, topic: "t", encoding: encodingBytes, source: &Source{Kind: samepage.KindTopic, Options: pubsub.Options{MaxSize: 16}}}
		events := &channel{id: 2, topic: eventTopic, encoding: encodingJSON, schema: eventSchema()}
		events.schema.ID = 1
		c := &chunk{ready: make(chan struct{})}
		c.add(topic, 1, 1, 1, []byte("one"))
		c.add(events, 1, 2, 2, []byte(`{"topic":"t","event":"1 missed","missed":1}`))
		c.seal(how)
		ipctest.NoErr(f, w.put(c))
		f.Add(bytes.Clone(out.Bytes()))
		ipctest.NoErr(f, w.end())
		f.Add(out.Bytes())
	}
	path := filepath.Join(ipctest.Dir(f), "fuzz.mcap")
	f.Fuzz(func(t *testing.T, b []byte) {
		ipctest.NoErr(t, os.WriteFile(path, b, 0o600))
		r, err := Open(path)
		if err != nil {
			return
		}
		defer func() { ipctest.NoErr(t, r.Close()) }()
		_, _ = r.Info()
		for _, order := range []Order{Forward, Backward} {
			next, err := r.Messages(0, math.MaxInt64, order, func(*mcap.Channel) bool { return true })
			for n := 0; err == nil && n < 1000; n++ {
				var m *Message
				var buf []byte
				if m, err = next(); err == nil {
					_, _ = m.original(&buf)
				}
			}
		}
		if err := r.Repair(io.Discard); err != nil {
			ipctest.WantErr(t, err, samepage.ErrCorrupt)
		}
	})
}

// A message that is longer than its record says, and other lies of the index, are errors.
func TestHostileIndex(t *testing.T) {
	b, err := os.ReadFile(made(t, 20, mcap.CompressionNone))
	ipctest.NoErr(t, err)
	path := filepath.Join(ipctest.Dir(t), "hostile.mcap")
	for i := range b {
		if i%7 > 0 && (i < len(b)-900 || runtime.GOOS == "windows") { // the summary is at the end
			continue
		}
		old := b[i]
		for _, v := range []byte{0xff, old ^ 1} {
			b[i] = v
			ipctest.NoErr(t, os.WriteFile(path, b, 0o600))
			r, err := Open(path)
			if err != nil {
				continue
			}
			next, err := r.Messages(0, math.MaxInt64, Forward, func(*mcap.Channel) bool { return true })
			for n := 0; err == nil; n++ {
				if _, err = next(); n > 1000 {
					t.Fatalf("byte %d: messages without an end", i)
				}
			}
			if err == nil || err != io.EOF && err.Error() == "" {
				t.Error(err)
			}
			ipctest.NoErr(t, r.Close())
		}
		b[i] = old
	}
}

package record

import (
	"context"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/foxglove/mcap/go/mcap"

	"samepage"
	"samepage/cell"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// fix is another type than pose.
type fix struct{ Lat, Lon float64 }

// types reads which schemas the messages of a topic have, one after the other, in a file that may
// still be written.
func types(t *testing.T, path, topic string) (schemas []string) {
	t.Helper()
	f, err := Open(path)
	ipctest.NoErr(t, err)
	defer func() { ipctest.NoErr(t, f.Close()) }()
	next, err := f.Messages(0, math.MaxInt64, Forward, func(c *mcap.Channel) bool { return c.Topic == topic })
	ipctest.NoErr(t, err)
	for {
		m, err := next()
		if err == io.EOF {
			return schemas
		}
		ipctest.NoErr(t, err)
		name := ""
		if m.Schema != nil {
			name = m.Schema.Name
		}
		schemas = append(schemas, strings.TrimPrefix(name, "samepage/msg/"))
	}
}

// await waits until the messages of a topic in a file have these schemas.
func await(t *testing.T, path, topic string, want ...string) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	for got := types(t, path, topic); !slices.Equal(got, want); got = types(t, path, topic) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: the messages have the schemas %q, want %q", topic, got, want)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// A topic is retired while it is recorded, and created anew with another type, and then with none.
// Each message has the schema that it had when it was published. Such a file cannot be played as
// one topic.
func TestTypeOfTopicChanges(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	path := filepath.Join(ipctest.Dir(t), "types.mcap")
	r, err := New(Options{Path: path, Buffer: 64 << 20})
	ipctest.NoErr(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Topic(ctx, samepage.Local, "t", false) }()
	p, err := pubsub.CreatePublisherOf[pose]("t", nil)
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, p.WaitReliableSubscribers(ctx, 1))
	ipctest.NoErr(t, p.Send(ctx, &pose{}))
	ipctest.NoErr(t, p.Close())
	// It waits until the recorder has closed the topic before, and so until it has all messages.
	q, err := pubsub.ReplacePublisherOf[fix](ctx, "t", nil)
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, q.WaitReliableSubscribers(ctx, 1))
	ipctest.NoErr(t, q.Send(ctx, &fix{1, 2}))
	ipctest.NoErr(t, q.Close())
	b, err := pubsub.ReplacePublisher(ctx, "t", nil)
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, b.WaitReliableSubscribers(ctx, 1))
	ipctest.NoErr(t, b.Send(ctx, []byte("bytes")))
	await(t, path, "t", "Pose", "Fix", "")
	cancel()
	ipctest.NoErr(t, <-done)
	ipctest.NoErr(t, b.Close())
	_, _, err = r.Close()
	ipctest.NoErr(t, err)

	f, err := Open(path)
	ipctest.NoErr(t, err)
	defer func() { ipctest.NoErr(t, f.Close()) }()
	_, err = NewPlayer(f, PlayOptions{})
	ipctest.WantErr(t, err, samepage.ErrKindMismatch)
}

// The same with a cell that is removed.
func TestTypeOfCellChanges(t *testing.T) {
	ipctest.NeedNames(t)
	dir := ipctest.Store(t)
	path := filepath.Join(ipctest.Dir(t), "types.mcap")
	r, err := New(Options{Path: path, Buffer: 64 << 20})
	ipctest.NoErr(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Cell(ctx, samepage.Local, "c") }()
	c, err := cell.CreateWriterOf[pose]("c", nil)
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, c.Set(ctx, &pose{}))
	await(t, path, "c", "Pose")
	ipctest.Wipe(t, dir)
	ipctest.NoErr(t, c.Close())
	d, err := cell.CreateWriterOf[fix]("c", nil)
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, d.Set(ctx, &fix{3, 4}))
	await(t, path, "c", "Pose", "Fix")
	cancel()
	ipctest.NoErr(t, <-done)
	ipctest.NoErr(t, d.Close())
	_, _, err = r.Close()
	ipctest.NoErr(t, err)
}

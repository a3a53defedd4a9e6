package inspect

import (
	"context"
	"fmt"
	"io/fs"
	"time"

	"samepage"
	"samepage/internal/lane"
	"samepage/internal/laneseg"
	"samepage/internal/object"
	"samepage/internal/option"
	"samepage/internal/segment"
	"samepage/layout"
)

// Watcher copies the messages of a topic, or the values of a cell, without joining it. So it works
// when all places for members are taken, and with the right to read only. Nobody waits for it and
// nobody notices it: what it has not copied before it is overwritten, it misses. Nobody rings it
// either, so its user looks from time to time.
//
// It does not keep the name: the object can be removed, and made again, while it is watched. Then
// the Watcher sees nothing new, and Writers says so.
//
// Only one goroutine at a time may call the methods.
type Watcher struct {
	w    *laneseg.Watcher
	what string
}

// WatchOptions say what a Watcher looks at. The zero value, and nil, mean the default of each
// field.
type WatchOptions struct {
	Scope samepage.Scope
	Owner string // as samepage.InspectOptions.Owner; "*" accepts everybody's objects
	// From says where Next begins. The default is the next message or value.
	From From
	// Most is the largest number of bytes of a message that are copied. The default, 0, means all;
	// NoData means none. Checksums are compared only if all bytes were copied.
	Most int
}

// NoData is a WatchOptions.Most: no bytes are copied.
const NoData = -1

// From says where a Watcher begins.
type From int

const (
	FromNow    From = iota // with the next message or value
	FromNewest             // with the newest one, if there is one
	FromOldest             // with the oldest message that still exists
)

// Message is a copy of a message or value.
type Message struct {
	Seq       uint64 // number of the message of its publisher, or generation of the value
	Publisher int    // its place: the index in pubsub.State.Lanes
	Missed    uint64 // how many messages of this place, or values, before this one were not copied
	Time      time.Time
	Size      int    // bytes of the message
	Data      []byte // the message, or its first WatchOptions.Most bytes
}

// Watch begins to watch a topic or a cell.
//
// Errors: fs.ErrInvalid (another kind, or options out of range), fs.ErrNotExist,
// samepage.ErrCorrupt, samepage.ErrTooLarge (no address space has room for it),
// samepage.ErrNoSpace (this process has no address space left), and those of samepage.Open.
func Watch(kind samepage.Kind, name string, opts *WatchOptions) (*Watcher, error) {
	w, err := watch(kind, name, opts)
	if err != nil {
		return nil, fmt.Errorf("inspect: watch %v %q: %w", kind, name, segment.Deadline(err))
	}
	return w, nil
}

// AwaitWatcher waits until the object exists, and then watches it like Watch. If the call does not
// have to wait, it ignores ctx.
//
// Errors: those of Watch except fs.ErrNotExist, and the error of ctx.
func AwaitWatcher(ctx context.Context, kind samepage.Kind, name string, opts *WatchOptions) (*Watcher, error) {
	return segment.Await(ctx,
		func() (*Watcher, error) { return Watch(kind, name, opts) },
		func(err error) error {
			return fmt.Errorf("inspect: wait for %v %q: %w", kind, name, segment.Deadline(err))
		})
}

func watch(kind samepage.Kind, name string, opts *WatchOptions) (*Watcher, error) {
	if opts == nil {
		opts = &WatchOptions{}
	}
	if k := layout.Kind(kind); k.Words() != layout.LaneState {
		return nil, fmt.Errorf("a %v has neither messages nor values: %w", kind, fs.ErrInvalid)
	}
	if opts.From < FromNow || opts.From > FromOldest {
		return nil, option.Range("From", int64(opts.From), int64(FromNow), int64(FromOldest))
	}
	most := opts.Most
	switch {
	case most < NoData:
		return nil, option.Bad("Most", most, "NoData or more")
	case most == NoData:
		most = 0
	case most == 0:
		most = -1
	}
	spec := object.Spec{Name: name, Scope: layout.Scope(opts.Scope), Owner: opts.Owner, Kind: layout.Kind(kind), Access: layout.ReadOnly}
	from := map[From]uint64{FromNow: lane.Now, FromNewest: lane.Newest, FromOldest: lane.Oldest}[opts.From]
	w, err := laneseg.Watch(&spec, from, most)
	if err != nil {
		return nil, err
	}
	return &Watcher{w, fmt.Sprintf("%v %q", kind, name)}, nil
}

func (w *Watcher) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("inspect: %s: %w", w.what, err)
}

// Next copies the next message or value, if there is one. Messages of one publisher come in order.
// Data is in buf if that has room, so it can be passed again.
//
// Errors: samepage.ErrChecksum (for this message; the next call goes on), samepage.ErrCorrupt,
// samepage.ErrClosed.
func (w *Watcher) Next(buf []byte) (m Message, ok bool, err error) {
	c, ok, err := w.w.Next(buf)
	return message(c), ok, w.wrap(err)
}

// Newest copies the newest message or value, also if it was copied before. Next then goes on after
// it. If a topic has several publishers, it is the message with the latest time; without times it
// is the newest message of one that has published since the call before. ok is false if there is no
// message yet, or if each was overwritten before it was copied: that happens if they are large and
// many come.
//
// Errors: those of Next.
func (w *Watcher) Newest(buf []byte) (m Message, ok bool, err error) {
	c, ok, err := w.w.Newest(buf)
	return message(c), ok, w.wrap(err)
}

func message(c laneseg.Copy) Message {
	return Message{Seq: c.Seq, Publisher: c.Lane, Missed: c.Missed, Time: c.Time, Size: c.Size, Data: c.Data}
}

// Writers returns the number of living publishers, or writers of a cell. If there are none, the
// error says why nothing more can come; it is nil if somebody may still come. It opens the object
// again, by its name.
//
// Errors: io.EOF (all publishers since Watch have ended their streams), samepage.ErrPeerDied (a
// publisher has died, or called Abort), samepage.ErrNameGone (the name leads to no object, or to
// another one), samepage.ErrClosed, and those of samepage.Open.
func (w *Watcher) Writers() (int, error) {
	n, err := w.w.Writers()
	return n, w.wrap(err)
}

// ID identifies the object, as samepage.Info.ID.
func (w *Watcher) ID() samepage.ID { return samepage.ID(w.w.ID()) }

// Schema describes the Go type of the messages or values, see docs/layout.md and
// layout.ParseSchema. It is empty for bytes.
func (w *Watcher) Schema() string { return w.w.Type().Schema }

// Close ends the watching. A second call does nothing.
func (w *Watcher) Close() error { return w.wrap(w.w.Close()) }

// Package record writes the messages of topics and the values of cells into files of the format
// MCAP, reads and repairs such files, and plays them. docs/recording.md is the page for users.
//
// A message is copied once, into a chunk: the records of several messages, which are written at
// once. One goroutine for each topic fills chunks. Another one writes them, in the order in which
// they were sealed. A chunk is sealed when it is large, or after flushAfter. So a recorder that is
// killed loses at most what came in the last part of a second.
package record

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/foxglove/mcap/go/mcap"

	"samepage"
	"samepage/pubsub"
)

const (
	chunkSize  = 4 << 20                // a chunk of more bytes is sealed
	largeSize  = 256 << 10              // a larger message has a chunk of its own
	flushAfter = 250 * time.Millisecond // an older chunk is sealed
)

// Options say what is recorded, and where to. Path and Buffer must be set.
type Options struct {
	// Path is the name of the file. If SplitSize, SplitTime or Last is set, it has a place for a
	// number, such as %d, and several files are made, counted from 1. Numbers of files that exist are
	// left out.
	Path string
	// Buffer is how many bytes may wait for the disk. If they are more, topics wait.
	Buffer      int64
	Compression Compression
	SplitSize   int64         // begin a new file when one has more bytes; 0: never
	SplitTime   time.Duration // begin a new file when one has messages of a longer time; 0: never
	// Last makes a Recorder keep only the messages of this time, as far as Buffer has room for them,
	// and write them when Trigger is called.
	Last time.Duration

	Library string // the program that records
	Owner   string
	From    pubsub.From
	// BestEffort: publishers never wait for the recorder.
	BestEffort bool
	// JPEG is the quality of the JPEGs, 1 to 100, as which frames are recorded. 0: without loss. Frames
	// that a JPEG cannot carry are recorded without loss.
	JPEG int
	// Note is told what happens, such as that messages are missed. It may be called by several
	// goroutines at the same time.
	Note func(text string)
}

// Total is what was recorded of a topic or a cell.
type Total struct {
	Name     string        `json:"name"`
	Kind     samepage.Kind `json:"kind"`
	Messages uint64        `json:"messages"` // in the files
	Bytes    uint64        `json:"bytes"`    // of the data of these messages, before compression of chunks
	Missed   uint64        `json:"missed"`
	Damaged  uint64        `json:"damaged,omitempty"`
	// Lost is how many messages were taken, and are not in the files because writing has failed.
	Lost uint64 `json:"lost,omitempty"`
}

// Recorder records. All its methods may be called concurrently, except Close.
type Recorder struct {
	o     Options
	start time.Time
	last  atomic.Int64 // the latest log time
	queue chan queued
	done  chan struct{} // closed when nothing is written any more
	ended chan struct{} // closed when writing has failed
	pack  chan *chunk   // chunks that wait for compression

	mu       sync.Mutex
	room     sync.Cond // used has become less
	cur      *chunk    // nil: no message since the last one was sealed
	used     int64     // bytes of chunks that are not written yet
	free     [][]byte  // buffers for chunks
	ids      uint16    // of the last channel
	schemas  map[string]*mcap.Schema
	events   *channel
	takers   []*taker
	err      error // the first one of the writer
	skipped  error // names that are not recorded any more
	finished bool

	w writer // only its goroutine uses it, until done is closed
}

// queued is what the writer gets: a chunk, or the order to write what the Recorder keeps.
type queued struct {
	c       *chunk
	trigger chan triggered
}

// triggered is the result of a trigger.
type triggered struct {
	file string
	err  error
}

// New begins a recording.
//
// Errors: fs.ErrExist (the file exists), and those of os.OpenFile.
func New(o Options) (*Recorder, error) {
	r := &Recorder{
		o: o, start: time.Now(), done: make(chan struct{}), ended: make(chan struct{}),
		// All chunks that Buffer allows have a place, so send never waits.
		queue: make(chan queued, o.Buffer/largeSize+64), pack: make(chan *chunk, o.Buffer/largeSize+64),
		schemas: map[string]*mcap.Schema{},
	}
	r.room.L = &r.mu
	r.events = &channel{topic: eventTopic, encoding: encodingJSON}
	if err := r.register(r.events, eventSchema()); err != nil {
		return nil, err
	}
	r.w.r = r
	if o.Last == 0 {
		if err := r.w.open(); err != nil {
			return nil, err
		}
	}
	for range runtime.GOMAXPROCS(0) {
		go func() {
			for c := range r.pack {
				c.seal(o.Compression)
			}
		}()
	}
	go r.w.run()
	go r.tick()
	return r, nil
}

// now is the log time of a message that is taken now, in nanoseconds since 1970. Each message has
// one of its own, because readers go by it, and the clocks of some systems have long steps.
func (r *Recorder) now() int64 {
	t := r.start.UnixNano() + int64(time.Since(r.start))
	for {
		last := r.last.Load()
		if t = max(t, last+1); r.last.CompareAndSwap(last, t) {
			return t
		}
	}
}

// register gives a channel its number and, if s is not nil, its schema.
func (r *Recorder) register(c *channel, s *mcap.Schema) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ids == 1<<16-1 {
		return errTooMany
	}
	r.ids++
	c.id = r.ids
	if s != nil {
		key := s.Name + "\x00" + s.Encoding + "\x00" + string(s.Data)
		if r.schemas[key] == nil {
			s.ID = uint16(len(r.schemas) + 1)
			r.schemas[key] = s
		}
		c.schema = r.schemas[key]
	}
	return nil
}

// errTooMany ends the recording of one name.
var errTooMany = errors.New("there are more than 65535 channels, which is more than a recording can have")

// ended handles the error that ends the recording of a name. If writing has failed, Close returns
// the error. If it is errTooMany, other names go on, and Close returns it, too.
func (t *taker) ended(err error) error {
	t.r.mu.Lock()
	defer t.r.mu.Unlock()
	if err == t.r.err {
		return nil
	}
	if !errors.Is(err, errTooMany) {
		return err
	}
	err = fmt.Errorf("%v %q is not recorded any more: %w", t.total.Kind, t.total.Name, err)
	t.r.skipped = errors.Join(t.r.skipped, err)
	return nil
}

// put records a message. Only one goroutine may call put for a channel at a time.
func (r *Recorder) put(c *channel, seq uint64, published time.Time, parts ...[]byte) error {
	size := messageSize(0)
	for _, p := range parts {
		size += len(p)
	}
	if size > largeSize {
		return r.putLarge(c, size, seq, published, parts)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.putLocked(c, size, seq, published, parts)
}

func (r *Recorder) putLocked(c *channel, size int, seq uint64, published time.Time, parts [][]byte) error {
	for r.cur == nil || len(r.cur.b)+size > chunkSize {
		if r.cur != nil {
			r.sealLocked()
		}
		c := r.beginLocked(chunkSize)
		if r.cur != nil { // beginLocked waited, and another goroutine has begun one meanwhile
			r.sealLocked()
		}
		c.begun = time.Now()
		r.cur = c
	}
	at := r.now()
	r.cur.add(c, seq, at, nanos(published, at), parts...)
	return r.err
}

// putLarge records a message in a chunk of its own. Others are not blocked while it is copied.
func (r *Recorder) putLarge(c *channel, size int, seq uint64, published time.Time, parts [][]byte) error {
	r.mu.Lock()
	x := r.beginLocked(size)
	r.mu.Unlock()
	x.summed = true
	at := r.now()
	x.add(c, seq, at, nanos(published, at), parts...)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.send(x)
	return r.err
}

func nanos(t time.Time, otherwise int64) int64 {
	if t.IsZero() {
		return otherwise
	}
	return t.UnixNano()
}

// beginLocked returns an empty chunk with room for n bytes, when the bytes that wait for the disk
// allow it.
func (r *Recorder) beginLocked(n int) *chunk {
	for r.used > 0 && r.used+int64(n) > r.o.Buffer && r.err == nil {
		if r.cur != nil {
			r.sealLocked()
		}
		r.room.Wait()
	}
	c := &chunk{ready: make(chan struct{})}
	for i, b := range r.free {
		if cap(b) >= n && cap(b) <= 2*n {
			r.free = slices.Delete(r.free, i, i+1)
			c.b = b[:0]
			break
		}
	}
	if c.b == nil {
		c.b = make([]byte, 0, n)
	}
	c.room = int64(cap(c.b))
	r.used += c.room
	return c
}

// written says that c does not wait for the disk any more.
func (r *Recorder) written(c *chunk) {
	r.used -= c.room
	r.room.Broadcast()
}

// maxFree is how many buffers are kept for later chunks.
const maxFree = 8

// reuse keeps the buffer of a chunk that is not used any more.
func (r *Recorder) reuse(c *chunk) {
	if len(r.free) == maxFree {
		r.free = slices.Delete(r.free, 0, 1)
	}
	r.free = append(r.free, c.b)
}

// sealLocked gives the current chunk to the writer.
func (r *Recorder) sealLocked() {
	c := r.cur
	r.cur = nil
	r.send(c)
}

// send gives a chunk to the writer. r.mu is locked, so that chunks keep their order.
func (r *Recorder) send(c *chunk) {
	if r.err != nil {
		r.written(c)
		return
	}
	r.pack <- c
	r.queue <- queued{c: c}
}

// tick seals chunks that are old.
func (r *Recorder) tick() {
	t := time.NewTicker(flushAfter / 2)
	defer t.Stop()
	for range t.C {
		r.mu.Lock()
		if r.cur != nil && time.Since(r.cur.begun) >= flushAfter {
			r.sealLocked()
		}
		end := r.finished
		r.mu.Unlock()
		if end {
			return
		}
	}
}

// Trigger writes the messages of the time Options.Last into a new file, and returns its name.
func (r *Recorder) Trigger(ctx context.Context) (file string, err error) {
	done := make(chan triggered, 1)
	r.mu.Lock()
	if r.cur != nil {
		r.sealLocked()
	}
	r.queue <- queued{trigger: done}
	r.mu.Unlock()
	select {
	case t := <-done:
		return t.file, t.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// Close ends the recording, and returns what was recorded. Precondition: all calls of Topic and
// Cell have returned.
func (r *Recorder) Close() ([]Total, []string, error) {
	r.mu.Lock()
	if r.cur != nil {
		r.sealLocked()
	}
	r.finished = true
	close(r.queue)
	r.mu.Unlock()
	<-r.done
	close(r.pack)
	var all []Total
	for _, t := range r.takers {
		if r.o.Last == 0 { // else only what came before a trigger is written
			t.total.Lost = t.taken - t.total.Messages
		}
		all = append(all, t.total)
	}
	return all, r.w.files, errors.Join(r.err, r.skipped)
}

// fail keeps the first error of the writer. Takers end then. Those that wait for room get it, because
// the writer goes on to take chunks.
func (r *Recorder) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil {
		r.err = err
		close(r.ended)
	}
}

func (r *Recorder) failure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// Failed returns a channel that is closed when writing has failed. Close returns the error.
func (r *Recorder) Failed() <-chan struct{} { return r.ended }

// eventTopic is the topic of the events of a recording.
const eventTopic = "samepage.events"

// Event is something that happened to a topic while it was recorded.
type Event struct {
	Topic  string `json:"topic"`
	Event  string `json:"event"`            // what happened, in words
	Missed uint64 `json:"missed,omitempty"` // messages that were lost just before this moment
	// Damaged is the number of messages that were skipped because their checksum did not match.
	Damaged uint64 `json:"damaged,omitempty"`
}

func eventSchema() *mcap.Schema {
	return &mcap.Schema{Name: "samepage.Event", Encoding: "jsonschema", Data: []byte(`{"type":"object","properties":{` +
		`"topic":{"type":"string"},"event":{"type":"string"},"missed":{"type":"integer"},"damaged":{"type":"integer"}}}`)}
}

// event records an event.
func (r *Recorder) event(e Event) error {
	b, err := json.Marshal(e)
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.putLocked(r.events, messageSize(len(b)), 0, time.Time{}, [][]byte{b})
}

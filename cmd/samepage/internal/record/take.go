package record

import (
	"context"
	"fmt"
	"time"

	"github.com/foxglove/mcap/go/mcap"

	"samepage"
	"samepage/cell"
	"samepage/cmd/samepage/internal/picture"
	"samepage/pubsub"
)

// taker takes the messages of one name.
type taker struct {
	r        *Recorder
	scope    samepage.Scope
	total    Total
	taken    uint64 // messages and values
	source   Source // of the object, without the publisher
	channels map[key]*channel
	typed    *form // of the type of the object; nil: it has no type that others can read
	told     map[string]bool

	head, tail []byte // buffers for picture
	jpeg       picture.JPEGEncoder
}

// key tells the channels of an object apart.
type key struct {
	publisher int
	form      *form
}

func (r *Recorder) taker(scope samepage.Scope, name string, kind samepage.Kind) *taker {
	t := &taker{r: r, scope: scope, total: Total{Name: name, Kind: kind}, told: map[string]bool{}}
	r.mu.Lock()
	r.takers = append(r.takers, t)
	r.mu.Unlock()
	return t
}

// note tells a text once.
func (t *taker) note(format string, args ...any) {
	text := fmt.Sprintf("%s %q: ", t.total.Kind, t.total.Name) + fmt.Sprintf(format, args...)
	if !t.told[text] && t.r.o.Note != nil {
		t.told[text] = true
		t.r.o.Note(text)
	}
}

// Topic records a topic until ctx ends, across all objects that have the name one after the other.
// If once is set, it also ends when the last publisher has ended its stream, or died.
//
// When writing has failed, it ends without an error: Close returns that.
//
// Errors: those of pubsub.Follow except that of ctx.
func (r *Recorder) Topic(ctx context.Context, scope samepage.Scope, name string, once bool) error {
	t := r.taker(scope, name, samepage.KindTopic)
	opts := &pubsub.FollowOptions{
		SubscriberOptions: pubsub.SubscriberOptions{Scope: scope, Owner: r.o.Owner, From: r.o.From, BestEffort: r.o.BestEffort},
		News:              true,
	}
	for m, err := range pubsub.Follow(ctx, name, opts) {
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if m.Since != (samepage.Since{}) {
			if m.Since.New {
				t.channels = nil
			}
			if err := t.happened(m.Since); err != nil {
				return t.ended(err)
			}
		}
		if m.OK() {
			if err := t.message(&m.Message); err != nil {
				return t.ended(err)
			}
		}
		if once && !m.OK() && (m.Since.Ended > 0 || m.Since.Died > 0) {
			return nil
		}
	}
	return nil
}

// happened records what has happened to the topic.
func (t *taker) happened(s samepage.Since) error {
	t.total.Missed += s.Missed
	t.total.Damaged += uint64(s.Damaged)
	return t.r.event(Event{Topic: t.total.Name, Event: s.String(), Missed: s.Missed, Damaged: uint64(s.Damaged)})
}

func (t *taker) message(m *pubsub.Message) error {
	if t.channels == nil {
		t.object(Source{Kind: samepage.KindTopic, Object: m.ID(), Options: m.Options(), Schema: m.Schema()})
	}
	published := time.Time{}
	if t.source.Options.Times {
		published = m.Time()
	}
	return t.put(m.Publisher(), m.Seq(), published, m.Bytes())
}

// put records a message in the channel of its encoding.
func (t *taker) put(publisher int, seq uint64, published time.Time, b []byte) error {
	t.taken++
	switch {
	case t.typed != nil:
		return t.write(t.typed, publisher, seq, published, cdrHeader, b)
	case t.source.Kind == samepage.KindTopic && t.source.Schema == "" && isFrame(b):
		return t.picture(publisher, seq, published, b)
	}
	return t.write(asBytes, publisher, seq, published, b)
}

// write records a message in the channel of a form.
func (t *taker) write(f *form, publisher int, seq uint64, published time.Time, parts ...[]byte) error {
	c, err := t.channel(publisher, f)
	if err != nil {
		return err
	}
	return t.r.put(c, seq, published, parts...)
}

// picture records a frame.
func (t *taker) picture(publisher int, seq uint64, published time.Time, b []byte) error {
	at := nanos(published, t.r.now())
	if t.r.o.JPEG > 0 {
		parts, why, err := t.jpegOf(b, at)
		if err != nil {
			return err
		}
		if why == "" {
			return t.write(asJPEG, publisher, seq, published, parts[:]...)
		}
		t.note("%s: these frames are recorded without loss", why)
	}
	parts, format, ok := imageOf(b, t.total.Name, at, t.head, t.tail)
	if !ok {
		if format.Known() {
			t.note("foxglove.RawImage has no encoding for frames of %v: they are recorded as they are, which only samepage reads", format)
		}
		return t.write(asFrame, publisher, seq, published, b)
	}
	t.head, t.tail = parts[0], parts[2]
	return t.write(asImage, publisher, seq, published, parts[:]...)
}

// object begins with the channels of another object.
func (t *taker) object(s Source) {
	t.channels = map[key]*channel{}
	t.source, t.typed = s, nil
	if s.Schema == "" {
		return
	}
	if ros := rosSchema(s.Schema); ros != nil {
		t.typed = &form{encodingCDR, func() *mcap.Schema { return ros }}
	} else {
		t.note("its type has no description for other programs: it is recorded as bytes")
	}
}

// channel returns the channel of this form for the place of a publisher.
func (t *taker) channel(publisher int, f *form) (*channel, error) {
	k := key{publisher, f}
	if c := t.channels[k]; c != nil {
		return c, nil
	}
	s := t.source
	s.Publisher = publisher
	c := &channel{topic: t.total.Name, encoding: f.encoding, source: &s, total: &t.total}
	var described *mcap.Schema
	if f.schema != nil {
		described = f.schema()
	}
	if err := t.r.register(c, described); err != nil {
		return nil, err
	}
	t.channels[k] = c
	return c, nil
}

// Cell records the values of a cell until ctx ends, across all objects that have the name one after
// the other. It records the latest value each time that it has changed: of values that follow each
// other fast it misses some, as each reader does.
//
// When writing has failed, it ends without an error: Close returns that.
//
// Errors: those of cell.Follow except that of ctx.
func (r *Recorder) Cell(ctx context.Context, scope samepage.Scope, name string) error {
	t := r.taker(scope, name, samepage.KindCell)
	opts := &cell.FollowOptions{ReaderOptions: cell.ReaderOptions{Scope: scope, Owner: r.o.Owner}, News: true}
	for v, err := range cell.Follow(ctx, name, opts) {
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if v.Since != (samepage.Since{}) {
			if v.Since.New {
				t.channels = nil
			}
			if err := t.happened(v.Since); err != nil {
				return t.ended(err)
			}
		}
		if v.OK() {
			if err := t.value(&v.Value); err != nil {
				return t.ended(err)
			}
		}
	}
	return nil
}

func (t *taker) value(v *cell.Value) error {
	if t.channels == nil {
		s := Source{Kind: samepage.KindCell, Schema: v.Schema(), Options: pubsub.Options{MaxSize: len(v.Bytes())}}
		// The cell may have been replaced since. Then these are the options of the next one.
		st, err := cell.Inspect(t.total.Name, &samepage.InspectOptions{Scope: t.scope, Owner: t.r.o.Owner})
		if err == nil && st.Schema == s.Schema {
			s.Options = pubsub.Options{MaxSize: st.Cap, Members: st.Room, Checksums: st.Checksums, Times: st.Times}
		}
		t.object(s)
	}
	return t.put(0, v.Generation(), v.Time(), v.Bytes())
}

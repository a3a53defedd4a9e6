package bridge

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// store is how a source stores its topic: in a stream of JetStream, one for each name. It waits
// until the server has stored an envelope, and sends it again if it does not hear that. The server
// drops what comes twice.
type store struct {
	s  *source
	js jetstream.JetStream
}

// metaKey is the key of Meta in the metadata of a stream.
const metaKey = "samepage"

// streamName returns the name of the stream of a topic. Names that are too long for the server are
// hashed.
func (s subjects) streamName(far string) string {
	name := "samepage-" + escape(s.space) + "-" // escape makes no hyphen
	if text := escape(far); len(name)+len(text) <= 200 {
		return name + text
	}
	sum := sha256.Sum256([]byte(far))
	return name + hex.EncodeToString(sum[:]) + "-hash"
}

// positions returns the name of the bucket that has the positions of subscribing bridges. It has no
// = in it.
func (s subjects) positions() string {
	return "samepage-" + strings.ReplaceAll(escape(s.space), "=", "-")
}

// storeTimeout is how long other requests to JetStream may take.
const storeTimeout = 5 * time.Second

// open makes the stream, or opens it, and stores Meta.
func (st *store) open(ctx context.Context) {
	s := st.s
	s.mu.Lock()
	m := s.meta
	for _, p := range s.at {
		m.Next, m.Deaths = append(m.Next, p.next), append(m.Deaths, p.deaths)
	}
	text, _ := json.Marshal(m)
	e := envelope{kind: kindOpen, session: s.session, number: s.number, id: m.ID}
	s.mu.Unlock()
	st.again(ctx, func(ctx context.Context) (err error) {
		if st.js == nil {
			if st.js, err = jetstream.New(s.b.o.Conn); err != nil {
				return err
			}
		}
		_, err = st.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
			Name: s.b.s.streamName(s.far), Subjects: []string{s.b.s.stored(s.far)}, MaxBytes: cmp.Or(s.b.o.Keep, -1),
			Discard: jetstream.DiscardOld, Metadata: map[string]string{metaKey: string(text)},
		})
		return err
	})
	b := append(s.header(), text...)
	e.seal(b)
	st.send(ctx, b)
}

// send stores an envelope.
func (st *store) send(ctx context.Context, b []byte) {
	e, _ := parse(b)
	id := fmt.Sprintf("%x-%d-%d", e.session, e.number, e.kind)
	if ctx.Err() != nil { // the bridge stops: it tries once
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
		defer cancel()
		_, _ = st.js.Publish(ctx, st.s.b.s.stored(st.s.far), b, jetstream.WithMsgID(id))
		return
	}
	st.again(ctx, func(ctx context.Context) error {
		ack, err := st.js.Publish(ctx, st.s.b.s.stored(st.s.far), b, jetstream.WithMsgID(id), jetstream.WithRetryAttempts(0))
		if err == nil && ack.Duplicate {
			st.s.c.resent.Add(1)
		}
		return err
	})
}

// again calls f until it succeeds, or ctx ends.
func (st *store) again(ctx context.Context, f func(context.Context) error) {
	told := ""
	patience := st.s.b.o.Tick // more after each failure: the way to the server may be long
	for ctx.Err() == nil {
		within, cancel := context.WithTimeout(ctx, patience)
		err := f(within)
		cancel()
		if err == nil {
			if told != "" {
				st.s.b.tell("storing", st.s.name, 0, "the server stores messages again")
			}
			return
		}
		patience = min(2*patience, time.Minute)
		if text := err.Error(); text != told && ctx.Err() == nil {
			told = text
			st.s.b.tell("waiting", st.s.name, 0, "the server does not store messages: %v", err)
		}
		pause(ctx, 100*time.Millisecond)
	}
}

// findStored starts the sinks of topics that are stored, also if nobody publishes them now.
func (b *Bridge) findStored(ctx context.Context) {
	js, err := jetstream.New(b.o.Conn)
	if err != nil {
		return
	}
	within, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	all := js.ListStreams(within)
	for info := range all.Info() {
		if m := metaOf(info.Config.Metadata[metaKey]); m != nil && info.Config.Name == b.s.streamName(m.Name) && matches(b.o.Patterns, m.Name) {
			if s := b.sink(ctx, m.Name); s != nil {
				s.stored(ctx)
			}
		}
	}
	// Without JetStream there are none.
	if err := all.Err(); err != nil && !errors.Is(err, jetstream.ErrJetStreamNotEnabled) && !errors.Is(err, nats.ErrNoResponders) && ctx.Err() == nil {
		b.tell("error", "", 0, "list the stored topics: %v", err)
	}
}

// stored makes the sink take what is stored.
func (s *sink) stored(ctx context.Context) {
	s.once.Do(func() {
		s.isStored.Store(true)
		s.b.wg.Go(func() {
			for ctx.Err() == nil {
				if err := s.consume(ctx); err != nil && ctx.Err() == nil {
					s.b.tell("error", s.name, 0, "take the stored messages: %v", err)
				}
				pause(ctx, time.Second)
			}
		})
	})
}

// consume takes the stored envelopes, in their order, after those that the bridge of this host had
// last time.
func (s *sink) consume(ctx context.Context) error {
	js, err := jetstream.New(s.b.o.Conn)
	if err != nil {
		return err
	}
	kv, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: s.b.s.positions()})
	if err != nil {
		return err
	}
	key := escape(s.b.o.Host) + "/" + escape(s.name)
	from := uint64(1)
	if e, err := kv.Get(ctx, key); err == nil {
		if n := s.resume(e.Value()); n > 0 {
			from = n + 1
		}
	} else if !errors.Is(err, jetstream.ErrKeyNotFound) {
		return err
	}
	stream, err := js.Stream(ctx, s.b.s.streamName(s.far))
	if err != nil {
		return err
	}
	if from > stream.CachedInfo().State.LastSeq+1 { // another stream of that name
		from = 1
	}
	c, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: from})
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	meta := func() *Meta {
		info, err := stream.Info(ctx)
		if err != nil {
			return nil
		}
		return metaOf(info.Config.Metadata[metaKey])
	}
	run, err := c.Consume(func(m jetstream.Msg) {
		s.take(m.Data(), meta)
		if at, err := m.Metadata(); err == nil && ctx.Err() == nil && s.whole() {
			s.position.Store(at.Sequence.Stream)
		}
	}, jetstream.PullMaxBytes(max(4*s.b.largest(), 8<<20)), jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
		if errors.Is(err, jetstream.ErrConsumerDeleted) || errors.Is(err, jetstream.ErrStreamNotFound) {
			select {
			case failed <- err:
			default:
			}
		}
	}))
	if err != nil {
		return err
	}
	defer func() {
		run.Stop()
		<-run.Closed()
	}()
	kept := uint64(0)
	keep := func(ctx context.Context) {
		if at, text := s.record(); at != kept {
			if _, err := kv.Put(ctx, key, text); err == nil {
				kept = at
			}
		}
	}
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			within, cancel := context.WithTimeout(ctx, storeTimeout)
			keep(within)
			cancel()
		case err := <-failed:
			return err
		case <-ctx.Done():
			within, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
			keep(within)
			cancel()
			return nil
		}
	}
}

// record is where a subscribing bridge is in a stream, as JSON. A bridge that comes again goes on
// with it.
type record struct {
	Position uint64   `json:"position"` // of the last envelope that is done
	Meta     Meta     `json:"meta"`     // of the topic there
	Next     []uint64 `json:"next"`     // of each place: the number of the message that comes next
}

// record returns the position in the stream, and a record with it.
func (s *sink) record() (at uint64, text []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := record{Position: s.position.Load(), Meta: s.meta}
	_, r.Meta.Number = s.at.get()
	for i := range s.places {
		r.Next = append(r.Next, s.places[i].next)
		r.Meta.Deaths = append(r.Meta.Deaths[:i:i], s.places[i].deaths)
	}
	text, _ = json.Marshal(r) // it has no value that JSON has not
	return r.Position, text
}

// resume goes on with a record, if the sink has begun with nothing yet. It returns the position.
func (s *sink) resume(text []byte) uint64 {
	var r record
	if json.Unmarshal(text, &r) != nil {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.meta.Name == "" && s.session() == 0 && r.Meta.Name != "" && r.Meta.Publishers > 0 {
		r.Meta.Next, r.Meta.Known, r.Meta.Living = r.Next, nil, 0
		s.open(&r.Meta)
	}
	return r.Position
}

// whole says whether no message is put together now.
func (s *sink) whole() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.part.active
}

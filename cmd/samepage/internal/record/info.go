package record

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"math"
	"slices"
	"time"

	"github.com/foxglove/mcap/go/mcap"
)

// Info tells what is in a recording.
type Info struct {
	File        string    `json:"file"`
	Size        int64     `json:"size"` // bytes
	Begin       time.Time `json:"begin,omitzero"`
	End         time.Time `json:"end,omitzero"`
	Seconds     float64   `json:"seconds"`
	Messages    uint64    `json:"messages"`
	Chunks      int       `json:"chunks"`
	Compression []string  `json:"compression"`
	// Lost says why the end of the file is missing. It is empty if the file is whole. LostBytes are
	// the bytes after those that are whole.
	Lost      string       `json:"lost,omitempty"`
	LostBytes int64        `json:"lost_bytes,omitempty"`
	Topics    []TopicInfo  `json:"topics"`
	Events    []TimedEvent `json:"events"`
}

// TimedEvent is an Event with the time at which it was recorded.
type TimedEvent struct {
	Time time.Time `json:"time"`
	Event
}

// TopicInfo tells what is in a recording of one topic or cell.
type TopicInfo struct {
	Topic    string    `json:"topic"`
	Kind     string    `json:"kind,omitempty"` // topic or cell; empty: another program wrote it
	Encoding []string  `json:"encoding"`
	Schema   []string  `json:"schema,omitempty"`
	Messages uint64    `json:"messages"`
	Begin    time.Time `json:"begin,omitzero"`
	End      time.Time `json:"end,omitzero"`
	Rate     float64   `json:"rate"`             // messages a second, between the first and the last
	Missed   uint64    `json:"missed,omitempty"` // messages that the recorder has missed
	Damaged  uint64    `json:"damaged,omitempty"`
}

// Info reads what is in the recording.
func (r *File) Info() (*Info, error) {
	st := r.info.Statistics
	i := &Info{File: r.Path, Size: r.Size, Messages: st.MessageCount, Chunks: len(r.info.ChunkIndexes), Topics: []TopicInfo{}, Events: []TimedEvent{}}
	if st.MessageCount > 0 {
		i.Begin, i.End = nanoTime(st.MessageStartTime), nanoTime(st.MessageEndTime)
		i.Seconds = i.End.Sub(i.Begin).Seconds()
	}
	if r.Lost != nil {
		i.Lost, i.LostBytes = r.Lost.Error(), r.Size-r.Whole
	}
	for _, c := range r.info.ChunkIndexes {
		add(&i.Compression, cmp.Or(string(c.Compression), "none"))
	}
	topics := map[string]*TopicInfo{}
	var names []string
	for id, c := range r.info.Channels {
		if c.Topic == eventTopic {
			continue
		}
		t := topics[c.Topic]
		if t == nil {
			t = &TopicInfo{Topic: c.Topic}
			topics[c.Topic] = t
			names = append(names, c.Topic)
		}
		add(&t.Encoding, c.MessageEncoding)
		if s := r.info.Schemas[c.SchemaID]; s != nil {
			add(&t.Schema, s.Name)
		}
		if s := r.sources[id]; s != nil {
			t.Kind = s.Kind.String()
		}
		t.Messages += st.ChannelMessageCounts[id]
	}
	if err := r.readEvents(i, topics); err != nil {
		return nil, err
	}
	slices.Sort(names)
	for _, n := range names {
		t := topics[n]
		slices.Sort(t.Encoding)
		if err := r.span(t); err != nil {
			return nil, err
		}
		i.Topics = append(i.Topics, *t)
	}
	return i, nil
}

func nanoTime(n uint64) time.Time { return time.Unix(0, int64(min(n, math.MaxInt64))).UTC() }

func add(all *[]string, s string) {
	if !slices.Contains(*all, s) {
		*all = append(*all, s)
	}
}

func (r *File) readEvents(i *Info, topics map[string]*TopicInfo) error {
	next, err := r.Messages(0, math.MaxInt64, Forward, func(c *mcap.Channel) bool { return c.Topic == eventTopic })
	if err != nil {
		return err
	}
	for {
		m, err := next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		e := TimedEvent{Time: nanoTime(m.LogTime)}
		if err := json.Unmarshal(m.Data, &e.Event); err != nil {
			return corrupt("an event: %v", err)
		}
		i.Events = append(i.Events, e)
		if t := topics[e.Topic]; t != nil {
			t.Missed += e.Missed
			t.Damaged += e.Damaged
		}
	}
}

// span reads the first and the last message of a topic.
func (r *File) span(t *TopicInfo) error {
	want := func(c *mcap.Channel) bool { return c.Topic == t.Topic }
	for _, x := range []struct {
		order Order
		at    *time.Time
	}{{Forward, &t.Begin}, {Backward, &t.End}} {
		next, err := r.Messages(0, math.MaxInt64, x.order, want)
		if err != nil {
			return err
		}
		m, err := next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		*x.at = nanoTime(m.LogTime)
	}
	if s := t.End.Sub(t.Begin).Seconds(); s > 0 {
		t.Rate = float64(t.Messages-1) / s
	}
	return nil
}

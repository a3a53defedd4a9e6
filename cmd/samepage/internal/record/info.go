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
	Messages    uint64    `json:"messages"` // without those in damaged chunks
	Chunks      int       `json:"chunks"`
	Compression []string  `json:"compression"`
	// Lost says why the end of the file is missing. It is empty if the file is whole. LostBytes are
	// the bytes after those that are whole.
	Lost      string `json:"lost,omitempty"`
	LostBytes int64  `json:"lost_bytes,omitempty"`
	// DamagedChunks are the chunks that cannot be read: all after Check, else those that Info has read.
	DamagedChunks []Damage     `json:"damaged_chunks,omitempty"`
	Topics        []TopicInfo  `json:"topics"`
	Events        []TimedEvent `json:"events"`
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
	Messages uint64    `json:"messages"`       // without those in damaged chunks
	Lost     uint64    `json:"lost,omitempty"` // messages in damaged chunks
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
	for _, order := range []Order{Forward, Backward} {
		if err := r.ends(topics, order); err != nil {
			return nil, err
		}
	}
	i.DamagedChunks = r.Damaged(0, math.MaxInt64, everything)
	counted := r.Lost == nil // the summary counts the messages of damaged chunks, and scan does not
	for _, d := range i.DamagedChunks {
		for name, n := range d.Lost {
			if t := topics[name]; t != nil {
				t.Lost += n
			}
		}
		if counted {
			i.Messages -= min(d.Messages, i.Messages)
		}
	}
	slices.Sort(names)
	for _, n := range names {
		t := topics[n]
		if counted {
			t.Messages -= min(t.Lost, t.Messages)
		}
		if s := t.End.Sub(t.Begin).Seconds(); s > 0 && t.Messages > 0 {
			t.Rate = float64(t.Messages-1) / s
		}
		slices.Sort(t.Encoding)
		slices.Sort(t.Schema)
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

// ends finds the time of the first message of each topic, or of the last one.
func (r *File) ends(topics map[string]*TopicInfo, order Order) error {
	found := map[string]bool{}
	next, err := r.Messages(0, math.MaxInt64, order, func(c *mcap.Channel) bool { return topics[c.Topic] != nil && !found[c.Topic] })
	for err == nil && len(found) < len(topics) {
		var m *Message
		if m, err = next(); err != nil || found[m.Channel.Topic] {
			continue
		}
		found[m.Channel.Topic] = true
		t := topics[m.Channel.Topic]
		if order == Forward {
			t.Begin = nanoTime(m.LogTime)
		} else {
			t.End = nanoTime(m.LogTime)
		}
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

package record

import (
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/foxglove/mcap/go/mcap"

	"samepage"
	"samepage/pubsub"
)

// Source tells where the messages of a channel came from: the place of a publisher in a topic, or a
// cell. Files of other programs do not have it.
type Source struct {
	Kind      samepage.Kind  // KindTopic or KindCell
	Object    samepage.ID    // which object of the name it was
	Publisher int            // the number of the publisher's place
	Options   pubsub.Options // those of the topic; of a cell MaxSize, Checksums, Times and Members are used
	Schema    string         // the type, see docs/layout.md; empty: bytes
}

// The keys in the metadata of a channel.
const (
	keyKind      = "samepage.kind"
	keyObject    = "samepage.object"
	keyPublisher = "samepage.publisher"
	keyOptions   = "samepage.options"
	keySchema    = "samepage.schema"
)

// metadata is the inverse of sourceOf.
func (s *Source) metadata() map[string]string {
	options, err := json.Marshal(s.Options)
	if err != nil {
		panic(err) // impossible: numbers and texts
	}
	m := map[string]string{
		keyKind: s.Kind.String(), keyObject: s.Object.String(), keyPublisher: strconv.Itoa(s.Publisher), keyOptions: string(options),
	}
	if s.Schema != "" {
		m[keySchema] = s.Schema
	}
	return m
}

// sourceOf reads the metadata of a channel. It returns nil if another program wrote the channel.
func sourceOf(c *mcap.Channel) (*Source, error) {
	kind, ok := c.Metadata[keyKind]
	if !ok {
		return nil, nil
	}
	s := &Source{Schema: c.Metadata[keySchema]}
	err := s.Kind.UnmarshalText([]byte(kind))
	if err == nil && s.Kind != samepage.KindTopic && s.Kind != samepage.KindCell {
		err = fmt.Errorf("kind %v", s.Kind)
	}
	if err == nil {
		s.Publisher, err = strconv.Atoi(c.Metadata[keyPublisher])
	}
	if err == nil {
		err = json.Unmarshal([]byte(c.Metadata[keyOptions]), &s.Options)
	}
	if err == nil {
		err = s.Object.UnmarshalText([]byte(c.Metadata[keyObject]))
	}
	if err == nil && s.Publisher < 0 {
		err = fmt.Errorf("publisher %d", s.Publisher)
	}
	if err != nil {
		return nil, corrupt("the metadata of channel %d (%q): %v", c.ID, c.Topic, err)
	}
	return s, nil
}

// The encodings of messages.
const (
	encodingBytes = "x-bytes"          // the message itself
	encodingFrame = "x-samepage-frame" // a frame that foxglove.RawImage cannot carry, see package frame
	encodingCDR   = "cdr"              // a value of a Go type, as ROS 2 has it
	encodingProto = "protobuf"         // a frame as foxglove.RawImage or foxglove.CompressedImage
	encodingJSON  = "json"             // an event
)

// form is how messages are written: their encoding and its schema.
type form struct {
	encoding string
	schema   func() *mcap.Schema // returns a new one; nil: there is none
}

// The forms of messages, besides those of Go types.
var (
	asBytes = &form{encodingBytes, nil}
	asFrame = &form{encodingFrame, nil}
	asImage = &form{encodingProto, func() *mcap.Schema { return &mcap.Schema{Name: imageName, Encoding: "protobuf", Data: imageSchema()} }}
	asJPEG  = &form{encodingProto, func() *mcap.Schema { return &mcap.Schema{Name: jpegName, Encoding: "protobuf", Data: jpegSchema()} }}
)

// channel is a channel of the recording: messages of one source in one encoding.
type channel struct {
	id       uint16
	topic    string
	encoding string
	schema   *mcap.Schema // nil: none
	source   *Source      // nil: the events
	total    *Total       // its Messages and Bytes are those of the writer; nil: the events

	in    *chunk // the chunk of its last message
	place int    // of the channel in that chunk
}

func (c *channel) record() *mcap.Channel {
	r := &mcap.Channel{ID: c.id, Topic: c.topic, MessageEncoding: c.encoding}
	if c.schema != nil {
		r.SchemaID = c.schema.ID
	}
	if c.source != nil {
		r.Metadata = c.source.metadata()
	}
	return r
}

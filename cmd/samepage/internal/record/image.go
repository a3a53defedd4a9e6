package record

import (
	"encoding/binary"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"samepage/frame"
	"samepage/layout"
)

// A frame is recorded as a foxglove.RawImage, if that has an encoding for its format. Two fields
// that other readers skip have the bytes of the message that are not pixels. So a player makes the
// same message again.
const (
	imageTime     protowire.Number = 1
	imageWidth    protowire.Number = 2
	imageHeight   protowire.Number = 3
	imageEncoding protowire.Number = 4
	imageStep     protowire.Number = 5
	imageData     protowire.Number = 6
	imageFrameID  protowire.Number = 7
	imageBefore   protowire.Number = 1001 // the bytes before the pixels: the header of the frame
	imageAfter    protowire.Number = 1002 // the bytes after the pixels
)

const imageName = "foxglove.RawImage"

// imageSchema describes foxglove.RawImage.
var imageSchema = sync.OnceValue(func() []byte {
	return protoSchema("RawImage",
		protoField{"timestamp", imageTime, protoMessage}, protoField{"frame_id", imageFrameID, protoString},
		protoField{"width", imageWidth, protoFixed32}, protoField{"height", imageHeight, protoFixed32},
		protoField{"encoding", imageEncoding, protoString}, protoField{"step", imageStep, protoFixed32}, protoField{"data", imageData, protoBytes})
})

// protoField is a field of a message of protobuf.
type protoField struct {
	name   string
	number protowire.Number
	kind   descriptorpb.FieldDescriptorProto_Type
}

const (
	protoBytes   = descriptorpb.FieldDescriptorProto_TYPE_BYTES
	protoFixed32 = descriptorpb.FieldDescriptorProto_TYPE_FIXED32
	protoString  = descriptorpb.FieldDescriptorProto_TYPE_STRING
	protoMessage = descriptorpb.FieldDescriptorProto_TYPE_MESSAGE // google.protobuf.Timestamp
)

// protoSchema describes a message of the package foxglove.
func protoSchema(name string, fields ...protoField) []byte {
	m := &descriptorpb.DescriptorProto{Name: proto.String(name)}
	for _, f := range fields {
		d := &descriptorpb.FieldDescriptorProto{
			Name: proto.String(f.name), Number: proto.Int32(int32(f.number)), Type: f.kind.Enum(), Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum(),
		}
		if f.kind == protoMessage {
			d.TypeName = proto.String(".google.protobuf.Timestamp")
		}
		m.Field = append(m.Field, d)
	}
	set := &descriptorpb.FileDescriptorSet{File: []*descriptorpb.FileDescriptorProto{
		protodesc.ToFileDescriptorProto(timestamppb.File_google_protobuf_timestamp_proto),
		{
			Name: proto.String("foxglove/" + name + ".proto"), Package: proto.String("foxglove"), Syntax: proto.String("proto3"),
			Dependency: []string{"google/protobuf/timestamp.proto"}, MessageType: []*descriptorpb.DescriptorProto{m},
		},
	}}
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(set)
	if err != nil {
		panic(err) // impossible: the descriptors are constants
	}
	return b
}

// imageEncodings are the formats that foxglove.RawImage has an encoding for.
var imageEncodings = map[frame.Format]string{
	frame.Gray: "mono8", frame.Gray16: "mono16", frame.RGB: "rgb8", frame.BGR: "bgr8", frame.RGBA: "rgba8", frame.BGRA: "bgra8", frame.NV12: "nv12",
}

// isFrame says whether a message begins as a frame.
func isFrame(b []byte) bool {
	return len(b) >= layout.FrameHeaderSize && binary.LittleEndian.Uint64(b) == layout.FrameMagic
}

// imageOf splits the message of a frame into parts, which together are a foxglove.RawImage. The
// bytes of b may change at any time. head and tail are buffers; the results use them. ok is false
// if the message is no frame, or one that foxglove.RawImage cannot carry; then format is its
// format.
func imageOf(b []byte, topic string, at int64, head, tail []byte) (parts [3][]byte, format frame.Format, ok bool) {
	var private [layout.FrameHeaderSize]byte
	copy(private[:], b)
	h, err := layout.ParseFrame(private[:], int64(len(b)))
	if err != nil {
		return parts, 0, false
	}
	format = frame.Format(h.Format)
	encoding := imageEncodings[format]
	n := uint64(h.Stride[0]) * uint64(h.Height)
	if format == frame.NV12 {
		if h.Offset[1] != h.Offset[0]+n || h.Stride[1] != h.Stride[0] || h.Height%2 != 0 {
			encoding = "" // its planes do not follow each other
		}
		n += n / 2
	}
	if encoding == "" {
		return parts, format, false
	}
	from := h.Offset[0]
	to := min(from+n, uint64(len(b))) // the padding of the last row may be missing
	if h.Time != 0 {
		at = h.Time
	}
	head = appendTime(head[:0], imageTime, at)
	head = appendText(head, imageFrameID, topic)
	head = appendFixed(head, imageWidth, h.Width)
	head = appendFixed(head, imageHeight, h.Height)
	head = appendText(head, imageEncoding, encoding)
	head = appendFixed(head, imageStep, h.Stride[0])
	head = protowire.AppendTag(head, imageBefore, protowire.BytesType)
	head = protowire.AppendVarint(head, from)
	head = append(head, private[:]...)
	head = append(head, b[len(private):from]...)
	head = protowire.AppendTag(head, imageData, protowire.BytesType)
	head = protowire.AppendVarint(head, to-from)
	tail = tail[:0]
	if rest := b[to:]; len(rest) > 0 {
		tail = protowire.AppendTag(tail, imageAfter, protowire.BytesType)
		tail = protowire.AppendBytes(tail, rest)
	}
	return [3][]byte{head, b[from:to], tail}, format, true
}

func appendTime(b []byte, n protowire.Number, at int64) []byte {
	b = protowire.AppendTag(b, n, protowire.BytesType)
	ts := protowire.AppendVarint(protowire.AppendTag(nil, 1, protowire.VarintType), uint64(at/1e9))
	ts = protowire.AppendVarint(protowire.AppendTag(ts, 2, protowire.VarintType), uint64(at%1e9))
	return protowire.AppendBytes(b, ts)
}

func appendText(b []byte, n protowire.Number, s string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, n, protowire.BytesType), s)
}

func appendFixed(b []byte, n protowire.Number, v uint32) []byte {
	return protowire.AppendFixed32(protowire.AppendTag(b, n, protowire.Fixed32Type), v)
}

// rawImage is a foxglove.RawImage.
type rawImage struct {
	encoding             string
	width, height, step  uint32
	seconds, nanoseconds uint64
	data, before, after  []byte
}

// parseImage reads a foxglove.RawImage.
//
// Errors: samepage.ErrCorrupt.
func parseImage(b []byte) (i rawImage, err error) {
	for len(b) > 0 {
		n, ty, k := protowire.ConsumeTag(b)
		if k < 0 {
			return i, corrupt("a foxglove.RawImage: %v", protowire.ParseError(k))
		}
		b = b[k:]
		if k = i.field(n, ty, b); k < 0 {
			return i, corrupt("a foxglove.RawImage: field %d: %v", n, protowire.ParseError(k))
		}
		b = b[k:]
	}
	return i, nil
}

// field reads a field, and returns its length, or less than 0 if it makes no sense.
func (i *rawImage) field(n protowire.Number, ty protowire.Type, b []byte) int {
	switch ty {
	case protowire.Fixed32Type:
		v, k := protowire.ConsumeFixed32(b)
		switch n {
		case imageWidth:
			i.width = v
		case imageHeight:
			i.height = v
		case imageStep:
			i.step = v
		}
		return k
	case protowire.BytesType:
		v, k := protowire.ConsumeBytes(b)
		switch n {
		case imageEncoding:
			i.encoding = string(v)
		case imageData:
			i.data = v
		case imageBefore:
			i.before = v
		case imageAfter:
			i.after = v
		case imageTime:
			var t timestamppb.Timestamp
			if k >= 0 && proto.Unmarshal(v, &t) == nil {
				i.seconds, i.nanoseconds = uint64(t.Seconds), uint64(t.Nanos)
			}
		}
		return k
	}
	return protowire.ConsumeFieldValue(n, ty, b)
}

// original returns the bytes of the message as they were in the topic, or in the cell. They are
// good until the next call with the same buf.
func (m *Message) original(buf *[]byte) ([]byte, error) {
	if m.Source == nil {
		return m.Data, nil
	}
	switch m.Channel.MessageEncoding {
	case encodingProto:
		if m.Schema != nil && m.Schema.Name == jpegName {
			err := drawn(m.Data, buf)
			return *buf, err
		}
		i, err := parseImage(m.Data)
		*buf = append(append(append((*buf)[:0], i.before...), i.data...), i.after...)
		return *buf, err
	case encodingCDR:
		if len(m.Data) < len(cdrHeader) {
			return nil, corrupt("a value of %d bytes", len(m.Data))
		}
		return m.Data[len(cdrHeader):], nil
	}
	return m.Data, nil
}

package record

import (
	"fmt"
	"math"
	"slices"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"

	"samepage/cmd/samepage/internal/picture"
)

// With Options.JPEG a frame is recorded as a foxglove.CompressedImage. Other readers skip the last
// three fields. They have what a player needs to make a message of the same form, with pixels that
// are only nearly the same.
const (
	jpegTime    protowire.Number = 1
	jpegData    protowire.Number = 2
	jpegFormat  protowire.Number = 3
	jpegFrameID protowire.Number = 4
	jpegHeader  protowire.Number = 1001 // the header of the frame
	jpegExtra   protowire.Number = 1002 // the bytes after the frame
	jpegSize    protowire.Number = 1003 // of the message
)

const jpegName = "foxglove.CompressedImage"

// jpegSchema describes foxglove.CompressedImage.
var jpegSchema = sync.OnceValue(func() []byte {
	return protoSchema("CompressedImage",
		protoField{"timestamp", jpegTime, protoMessage}, protoField{"frame_id", jpegFrameID, protoString},
		protoField{"data", jpegData, protoBytes}, protoField{"format", jpegFormat, protoString})
})

// jpegOf makes a foxglove.CompressedImage of the message of a frame: its parts together. The bytes
// of b may change at any time. The result is good until the next call. why says why there is no
// JPEG of this message.
func (t *taker) jpegOf(b []byte, at int64) (parts [3][]byte, why string, err error) {
	m, why, err := t.jpeg.Message(b, t.r.o.JPEG)
	if why != "" || err != nil {
		return parts, why, err
	}
	if m.Time != 0 {
		at = m.Time
	}
	head := appendTime(t.head[:0], jpegTime, at)
	head = appendText(head, jpegFrameID, t.total.Name)
	head = appendText(head, jpegFormat, "jpeg")
	head = protowire.AppendTag(head, jpegHeader, protowire.BytesType)
	head = protowire.AppendBytes(head, m.Header)
	head = protowire.AppendTag(head, jpegSize, protowire.VarintType)
	head = protowire.AppendVarint(head, uint64(m.Size))
	head = protowire.AppendTag(head, jpegData, protowire.BytesType)
	head = protowire.AppendVarint(head, uint64(len(m.Data)))
	tail := t.tail[:0]
	if len(m.Extra) > 0 {
		tail = protowire.AppendTag(tail, jpegExtra, protowire.BytesType)
		tail = protowire.AppendBytes(tail, m.Extra)
	}
	t.head, t.tail = head, tail
	return [3][]byte{head, m.Data, tail}, "", nil
}

// drawn makes the message of a frame of a foxglove.CompressedImage, in buf.
//
// Errors: samepage.ErrCorrupt.
func drawn(b []byte, buf *[]byte) error {
	var m picture.JPEGMessage
	size := uint64(0)
	for rest := b; len(rest) > 0; {
		n, ty, k := protowire.ConsumeTag(rest)
		if k < 0 {
			return corrupt("a %s: %v", jpegName, protowire.ParseError(k))
		}
		rest = rest[k:]
		switch {
		case ty == protowire.VarintType && n == jpegSize:
			size, k = protowire.ConsumeVarint(rest)
		case ty == protowire.BytesType:
			var v []byte
			v, k = protowire.ConsumeBytes(rest)
			switch n {
			case jpegHeader:
				m.Header = v
			case jpegData:
				m.Data = v
			case jpegExtra:
				m.Extra = v
			}
		default:
			k = protowire.ConsumeFieldValue(n, ty, rest)
		}
		if k < 0 {
			return corrupt("a %s: field %d: %v", jpegName, n, protowire.ParseError(k))
		}
		rest = rest[k:]
	}
	if size > math.MaxInt || tooLarge(size, uint64(len(b))) {
		return corrupt("a %s of a message of %d bytes", jpegName, size)
	}
	m.Size = int64(size)
	*buf = slices.Grow((*buf)[:0], int(size))[:size]
	if err := m.Draw(*buf); err != nil {
		return fmt.Errorf("a %s: %w", jpegName, err)
	}
	return nil
}

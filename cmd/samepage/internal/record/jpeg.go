package record

import (
	"math"
	"slices"
	"sync"

	"google.golang.org/protobuf/encoding/protowire"

	"samepage/cmd/samepage/internal/picture"
	"samepage/frame"
	"samepage/layout"
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
	var private [layout.FrameHeaderSize]byte
	copy(private[:], b)
	h, err := layout.ParseFrame(private[:], int64(len(b)))
	if err != nil {
		return parts, "a message is no frame", nil
	}
	if why := picture.NoJPEG(frame.Format(h.Format)); why != "" {
		return parts, why, nil
	}
	// The frame has a header of its own, which was read later.
	if f := &t.frame; f.Attach(b) != nil || f.Width() != int(h.Width) || f.Height() != int(h.Height) || f.Format() != frame.Format(h.Format) {
		return parts, "a message changed while it was read", nil
	}
	data, err := t.jpeg.Encode(&t.frame, t.r.o.JPEG)
	if err != nil {
		return parts, "", err
	}
	if h.Time != 0 {
		at = h.Time
	}
	head := appendTime(t.head[:0], jpegTime, at)
	head = appendText(head, jpegFrameID, t.total.Name)
	head = appendText(head, jpegFormat, "jpeg")
	head = protowire.AppendTag(head, jpegHeader, protowire.BytesType)
	head = protowire.AppendBytes(head, private[:])
	head = protowire.AppendTag(head, jpegSize, protowire.VarintType)
	head = protowire.AppendVarint(head, uint64(len(b)))
	head = protowire.AppendTag(head, jpegData, protowire.BytesType)
	head = protowire.AppendVarint(head, uint64(len(data)))
	tail := t.tail[:0]
	if extra := b[h.Size:]; len(extra) > 0 {
		tail = protowire.AppendTag(tail, jpegExtra, protowire.BytesType)
		tail = protowire.AppendBytes(tail, extra)
	}
	t.head, t.tail = head, tail
	return [3][]byte{head, data, tail}, "", nil
}

// drawn makes the message of a frame of a foxglove.CompressedImage, in buf.
//
// Errors: samepage.ErrCorrupt.
func drawn(b []byte, buf *[]byte) error {
	var header, data, extra []byte
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
				header = v
			case jpegData:
				data = v
			case jpegExtra:
				extra = v
			}
		default:
			k = protowire.ConsumeFieldValue(n, ty, rest)
		}
		if k < 0 {
			return corrupt("a %s: field %d: %v", jpegName, n, protowire.ParseError(k))
		}
		rest = rest[k:]
	}
	if size < layout.FrameHeaderSize || size > math.MaxInt || len(header) != layout.FrameHeaderSize || uint64(len(extra)) > size-layout.FrameHeaderSize || tooLarge(size, uint64(len(b))) {
		return corrupt("a %s of a message of %d bytes, with a header of %d bytes and %d bytes after the pixels", jpegName, size, len(header), len(extra))
	}
	*buf = slices.Grow((*buf)[:0], int(size))[:size]
	clear(*buf)
	copy(*buf, header)
	copy((*buf)[int(size)-len(extra):], extra)
	f, err := frame.Open(*buf)
	if err != nil {
		return corrupt("a %s: %v", jpegName, err)
	}
	if int(size)-len(extra) != len(f.Bytes()) {
		return corrupt("a %s: the frame has %d bytes, and its message %d before those after the frame", jpegName, len(f.Bytes()), int(size)-len(extra))
	}
	return picture.DrawJPEG(f, data)
}

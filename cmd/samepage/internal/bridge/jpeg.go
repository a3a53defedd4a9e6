package bridge

import (
	"encoding/binary"
	"fmt"
	"slices"

	"samepage/cmd/samepage/internal/picture"
	"samepage/layout"
)

// With Options.JPEG frames cross as JPEGs, in envelopes of kindPicture. The parts of a picture are
// together:
//
//	 0  [256]   header of the frame
//	256 uint32  size of the message
//	260 uint32  bytes after the frame
//	264         these bytes, and then the JPEG
const pictureSize = layout.FrameHeaderSize + 8

// appendPicture appends a picture.
func appendPicture(b []byte, m *picture.JPEGMessage) []byte {
	b = append(b, m.Header...)
	b = binary.LittleEndian.AppendUint32(b, uint32(m.Size))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(m.Extra)))
	return append(append(b, m.Extra...), m.Data...)
}

// parsePicture is the inverse of appendPicture.
func parsePicture(b []byte) (m picture.JPEGMessage, err error) {
	if len(b) < pictureSize {
		return m, fmt.Errorf("a picture of %d bytes: %w", len(b), errEnvelope)
	}
	le := binary.LittleEndian
	m.Header, b = b[:layout.FrameHeaderSize], b[layout.FrameHeaderSize:]
	size, extra := le.Uint32(b), le.Uint32(b[4:])
	if b = b[8:]; uint64(extra) > uint64(len(b)) {
		return m, fmt.Errorf("a picture with %d bytes after the frame, of %d: %w", extra, len(b), errEnvelope)
	}
	m.Size, m.Extra, m.Data = int64(size), b[:extra], b[extra:]
	return m, nil
}

// maxTold is how many reasons are told. A publisher can make as many as it likes.
const maxTold = 20

// jpegSource makes pictures of the frames of a topic.
type jpegSource struct {
	encoder picture.JPEGEncoder
	buf     []byte
	told    []string // why frames cross as they are
}

// picture returns a message as a picture, until the next call. It returns nil if the message
// crosses as it is, because it is no frame, has what a JPEG cannot carry, or would not be shorter.
func (s *source) picture(b []byte) []byte {
	if s.jpeg == nil || s.meta.Schema != "" || len(b) < pictureSize || binary.LittleEndian.Uint64(b) != layout.FrameMagic {
		return nil
	}
	j := s.jpeg
	m, why, err := j.encoder.Message(b, s.b.o.JPEG)
	if err != nil {
		why = err.Error()
	}
	if why != "" {
		if len(j.told) < maxTold && !slices.Contains(j.told, why) {
			j.told = append(j.told, why)
			s.b.tell("lossless", s.name, 0, "%s: these frames are sent without loss", why)
		}
		return nil
	}
	if j.buf = appendPicture(j.buf[:0], &m); len(j.buf) >= len(b) {
		return nil
	}
	return j.buf
}

// addPicture adds a part to a picture. It keeps only what can become a message of the topic.
func (s *sink) addPicture(p *part) error {
	if int64(p.total) > int64(s.meta.MaxSize) {
		return s.refusePicture(p, fmt.Errorf("a picture of %d bytes in a topic of %d bytes a message: %w", p.total, s.meta.MaxSize, errEnvelope))
	}
	s.jpeg = append(s.jpeg, p.bytes...)
	return nil
}

// draw makes the message of a picture in a loan. p is its last part.
func (s *sink) draw(p *part) error {
	m, err := parsePicture(s.jpeg)
	if err != nil {
		return s.refusePicture(p, err)
	}
	pub := s.publisher(p.place)
	if pub == nil {
		s.discard()
		return nil
	}
	l, err := pub.Loan(int(m.Size))
	if err != nil {
		return s.refusePicture(p, err)
	}
	if err := m.Draw(l.Bytes()); err != nil {
		l.Discard()
		return s.refusePicture(p, err)
	}
	s.part.kind, s.part.loan = kindPart, l // as if the message had come without loss
	return nil
}

// refusePicture counts a picture as lost. It returns err.
func (s *sink) refusePicture(p *part, err error) error {
	s.discard()
	s.advance(p.place, p.seq)
	s.advance(p.place, p.seq+1)
	return err
}

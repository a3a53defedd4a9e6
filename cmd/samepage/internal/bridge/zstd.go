package bridge

import (
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// mostBytes is the largest body of an envelope, after it was decompressed.
const mostBytes = 32 << 20

// newEncoder returns an encoder for the bodies of envelopes. It is fast, because it works while a
// publisher publishes.
func newEncoder() *zstd.Encoder {
	e, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil { // impossible: the options are valid
		panic(err)
	}
	return e
}

// compress returns an envelope with the body of b compressed, or b if that is not shorter. It uses
// the memory of into.
func compress(z *zstd.Encoder, into, b []byte) (_ []byte, flags uint8) {
	out := z.EncodeAll(b[headerSize:], append(into[:0], b[:headerSize]...))
	if len(out) >= len(b) {
		return b, 0
	}
	return out, flagZstd
}

// decompress returns the body of an envelope. It is good until the next one.
func (s *sink) decompress(body []byte) ([]byte, error) {
	if s.z == nil {
		z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(mostBytes))
		if err != nil {
			return nil, err
		}
		s.z = z
	}
	out, err := s.z.DecodeAll(body, s.plain[:0])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errEnvelope, err)
	}
	s.plain = out
	return out, nil
}

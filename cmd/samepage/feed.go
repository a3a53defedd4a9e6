package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// feed is an input that a goroutine reads ahead. So a Read ends when the context ends, even
// if no input comes. Read is for one goroutine.
type feed struct {
	ctx    context.Context
	filled chan piece
	empty  chan []byte
	cur    piece
	rest   []byte // of cur
}

type piece struct {
	b   []byte
	err error // comes after b
}

func newFeed(ctx context.Context, r io.Reader) *feed {
	f := &feed{ctx: ctx, filled: make(chan piece, 2), empty: make(chan []byte, 2)}
	for range cap(f.empty) {
		f.empty <- make([]byte, copyPiece)
	}
	go f.fill(r)
	return f
}

func (f *feed) fill(r io.Reader) {
	for b := range f.empty {
		n, err := r.Read(b[:cap(b)])
		// This does not block: the channel has room for all buffers.
		f.filled <- piece{b[:n], err}
		if err != nil {
			return
		}
	}
}

func (f *feed) Read(p []byte) (int, error) {
	for len(f.rest) == 0 {
		if f.cur.err != nil {
			return 0, f.cur.err
		}
		if f.cur.b != nil {
			f.empty <- f.cur.b
			f.cur.b = nil
		}
		select {
		case f.cur = <-f.filled:
			f.rest = f.cur.b
		case <-f.ctx.Done():
			return 0, f.ctx.Err()
		}
	}
	n := copy(p, f.rest)
	f.rest = f.rest[n:]
	return n, nil
}

// source cuts an input into messages.
type source interface {
	// next returns the next message, which is valid until the next call. At the end it
	// returns io.EOF.
	next() ([]byte, error)
	// more says whether next would return a message at once.
	more() bool
}

// sourceBuffer is larger than the buffer of a pipe.
const sourceBuffer = 256 << 10

// lineSource makes a message of each line, without the '\n'.
type lineSource struct {
	r    *bufio.Reader
	most int // the largest message, in bytes
	n    int // lines so far
	buf  []byte
}

func newLineSource(r io.Reader, most int) *lineSource {
	return &lineSource{r: bufio.NewReaderSize(r, sourceBuffer), most: most}
}

func (s *lineSource) next() ([]byte, error) {
	line, err := s.r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		line, err = s.long(line)
	}
	if err == io.EOF && len(line) > 0 {
		err = nil // the last line has no line end
	}
	if err != nil {
		return nil, err
	}
	s.n++
	line = bytes.TrimSuffix(line, []byte{'\n'})
	if len(line) > s.most {
		return nil, s.tooLong(int64(len(line)), true)
	}
	return line, nil
}

// long reads the rest of a line that is longer than the buffer of r.
func (s *lineSource) long(start []byte) ([]byte, error) {
	s.buf = append(s.buf[:0], start...)
	for {
		more, err := s.r.ReadSlice('\n')
		if len(s.buf)+len(more) > s.most+1 {
			s.n++
			return nil, s.rest(int64(len(s.buf)+len(more)), err)
		}
		s.buf = append(s.buf, more...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return s.buf, err
		}
	}
}

// rest finds out the length of a line that is too long: n bytes of it have been read. It
// stops at 1 GiB.
func (s *lineSource) rest(n int64, err error) error {
	for errors.Is(err, bufio.ErrBufferFull) && n < 1<<30 {
		var more []byte
		more, err = s.r.ReadSlice('\n')
		n += int64(len(more))
	}
	switch {
	case err == nil:
		return s.tooLong(n-1, true)
	case err == io.EOF:
		return s.tooLong(n, true)
	case errors.Is(err, bufio.ErrBufferFull):
		return s.tooLong(n, false)
	}
	return err
}

func (s *lineSource) tooLong(n int64, all bool) error {
	than := ""
	if !all {
		than = "more than "
	}
	return fmt.Errorf("line %d has %s%s, but a message of this topic has at most %d: %w", s.n, than, numBytes(n), s.most, errTooLong)
}

// errTooLong is the end of the error about an input that does not fit.
var errTooLong = errors.New("--size creates a topic for larger messages")

func (s *lineSource) more() bool {
	b, _ := s.r.Peek(s.r.Buffered())
	return bytes.IndexByte(b, '\n') >= 0
}

// recordSource makes messages of one size.
type recordSource struct {
	r       *bufio.Reader
	buf     []byte
	partial bool // the last record may be shorter
	n       int
}

func newRecordSource(r io.Reader, size int, partial bool) *recordSource {
	return &recordSource{r: bufio.NewReaderSize(r, sourceBuffer), buf: make([]byte, size), partial: partial}
}

func (s *recordSource) next() ([]byte, error) {
	n, err := io.ReadFull(s.r, s.buf)
	s.n++
	if errors.Is(err, io.ErrUnexpectedEOF) {
		if s.partial {
			return s.buf[:n], nil
		}
		return nil, fmt.Errorf("record %d ends after %d of its %s; --partial would publish it", s.n, n, count(len(s.buf), "byte"))
	}
	return s.buf[:n], err
}

func (s *recordSource) more() bool { return s.r.Buffered() >= len(s.buf) }

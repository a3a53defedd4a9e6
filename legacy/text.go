package legacy

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"

	"samepage"
)

// What the C++ programs of the text agree on.
const (
	TextName = "ZJ"    // of the section
	TextSize = 1 << 20 // of the section and of each view of theirs, in bytes
	// MaxText is the longest text that Get returns, in bytes.
	MaxText = 256 << 20
)

// Text is a text in a section that two programs share, often over a file: bytes up
// to a NUL, in the code page of those who write them (on Windows mostly the ANSI
// code page of the machine, not UTF-8). It is data: who prints it must not take it
// for a format, as the existing programs do.
//
// The layout has no lock, and nothing that tells of a change. Who reads while
// another writes gets at worst a mixture of the two texts, or a part of one; who
// wants to know of a change looks again.
//
// Its methods may be called concurrently. The zero value is not usable; CreateText
// and OpenText make one.
type Text struct {
	m       *samepage.Memory
	setting sync.Mutex // held by Set, for of two at a time the texts would mix
}

// CreateText makes the section and takes the part of the server, whose text is
// empty at first. The name "" is TextName, and size, in bytes, 0 is TextSize: the
// existing clients map that much, cannot open a smaller section, and run past
// their view in a longer text. The section lies over file, which is made, or
// loses what it has (CREATE_ALWAYS), and stays afterwards; nobody else can open
// that by its path meanwhile. With file "" it lies over the page file.
//
// Errors: fs.ErrExist (a server runs, or a client of a former one still does;
// neither is touched, nor the file, unless the other server has begun at the same
// moment), samepage.ErrBusy (somebody has the file
// open), samepage.ErrName, ErrNegativeSize, ErrTooLarge, ErrNoSpace,
// fs.ErrPermission, samepage.ErrKindMismatch (the name belongs to an event, say).
func CreateText(name, file string, size int64) (*Text, error) {
	if name == "" {
		name = TextName
	}
	if size == 0 {
		size = TextSize
	}
	o := memoryOptions()
	o.File, o.Exclusive, o.Truncate = file, file != "", file != ""
	m, err := samepage.Create(name, size, o)
	if err != nil {
		return nil, fmt.Errorf("legacy: serve text: %w", err)
	}
	return &Text{m: m}, nil
}

// OpenText opens the section of a server and takes the part of a client. The name
// "" is TextName.
//
// Errors: fs.ErrNotExist (no server runs), fs.ErrPermission, samepage.ErrName,
// samepage.ErrKindMismatch.
func OpenText(name string) (*Text, error) {
	if name == "" {
		name = TextName
	}
	m, err := samepage.Open(name, memoryOptions())
	if err != nil {
		return nil, fmt.Errorf("legacy: open text: %w", err)
	}
	return &Text{m: m}, nil
}

// Name is that of the section.
func (t *Text) Name() string { return t.m.Name() }

// Size is that of the section in bytes, of which the NUL takes one. On Windows it
// is rounded up to a page for a client of a section over the page file.
func (t *Text) Size() int64 { return t.m.Size() }

// textPiece is how much is copied out of the section at a time.
const textPiece = 64 << 10

// Get returns the text: the bytes up to the first NUL.
//
// Errors: samepage.ErrCorrupt (no NUL in the whole section, or the file below has
// shrunk), samepage.ErrTooLarge (more than MaxText), samepage.ErrClosed.
func (t *Text) Get() (string, error) {
	s, err := t.get()
	if err != nil {
		return "", fmt.Errorf("legacy: read text %q: %w", t.Name(), err)
	}
	return s, nil
}

func (t *Text) get() (string, error) {
	var text strings.Builder
	piece := make([]byte, 4096) // most texts are short
	for off := int64(0); ; off = int64(text.Len()) {
		n, err := t.m.ReadAt(piece, off)
		if err != nil && err != io.EOF {
			return "", err
		}
		end := bytes.IndexByte(piece[:n], 0)
		if text.Len()+max(end, 0) > MaxText || end < 0 && text.Len()+n > MaxText {
			return "", fmt.Errorf("more than %d bytes without a NUL: %w", MaxText, samepage.ErrTooLarge)
		}
		if end >= 0 {
			text.Write(piece[:end])
			return text.String(), nil
		}
		text.Write(piece[:n])
		if n < len(piece) {
			return "", fmt.Errorf("no NUL in all of its %d bytes: %w", t.Size(), samepage.ErrCorrupt)
		}
		if len(piece) < textPiece {
			piece = make([]byte, textPiece)
		}
	}
}

// Set replaces the text. Behind it there are zeros up to the end of the section,
// whatever longer text was there. A text longer than the section less one byte,
// or longer than MaxText, is refused.
//
// Of two programs that set at a time, parts of both texts may stay.
//
// Errors: samepage.ErrTooLarge, fs.ErrInvalid (a NUL in s), samepage.ErrCorrupt
// (the file below has shrunk), samepage.ErrClosed.
func (t *Text) Set(s string) error {
	if err := t.set(s); err != nil {
		return fmt.Errorf("legacy: set text %q: %w", t.Name(), err)
	}
	return nil
}

func (t *Text) set(s string) error {
	n := int64(len(s))
	if i := strings.IndexByte(s, 0); i >= 0 {
		return fmt.Errorf("a NUL at %d of %d bytes, where the text would end: %w", i, n, fs.ErrInvalid)
	}
	if room := min(t.Size()-1, MaxText); n > room {
		return fmt.Errorf("%d bytes, there is room for %d and a NUL: %w", n, room, samepage.ErrTooLarge)
	}
	t.setting.Lock()
	defer t.setting.Unlock()
	// The NUL comes first, so that from here on there is always one at n or before
	// it, and no reader runs past that: the last byte of the section is never
	// anything else. Then what others have left behind the first NUL goes, before
	// the text goes over that.
	if _, err := t.m.WriteAt([]byte{0}, n); err != nil {
		return err
	}
	if err := t.clear(); err != nil {
		return err
	}
	_, err := t.m.WriteAt([]byte(s), 0)
	return err
}

// clear makes all bytes behind the first NUL zero. What is zero is not written, so
// that pages that nobody has touched take no space.
func (t *Text) clear() error {
	piece, zeros := make([]byte, textPiece), make([]byte, textPiece)
	behind := false
	for off := int64(0); off < t.Size(); {
		n, err := t.m.ReadAt(piece, off)
		if err != nil && err != io.EOF {
			return err
		}
		from := 0
		if !behind {
			if from = bytes.IndexByte(piece[:n], 0); from < 0 {
				from = n
			}
			behind = from < n
		}
		if !bytes.Equal(piece[from:n], zeros[from:n]) {
			if _, err := t.m.WriteAt(zeros[from:n], off+int64(from)); err != nil {
				return err
			}
		}
		off += int64(n)
	}
	return nil
}

// Close gives the section up. It goes, with its name, when server and clients have
// all closed it or ended; the file stays, as large as the section and with the
// text in it. A second Close does nothing.
func (t *Text) Close() error {
	if err := t.m.Close(); err != nil {
		return fmt.Errorf("legacy: close text: %w", err)
	}
	return nil
}

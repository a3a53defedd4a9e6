// Package text shares a text in a section, byte for byte as existing C++ programs do. The server
// makes the section, and clients open it. A program of this package can be either.
//
// The text is the bytes from the start of the section to the first NUL. Programs on Windows mostly
// use the ANSI code page of the machine, not UTF-8. This package does not convert the bytes. Do not
// use the text as a format string, as the existing programs do: another program wrote it.
//
// On Windows the section has the same name as in the C++ programs, without a prefix or suffix. On
// other systems there are no such C++ programs. There servers and clients of this package find each
// other, so that the port of a program can be written and tested.
//
// docs/legacy.md says what this layout cannot protect. legacy/wire.h describes it for C and C++.
// For new programs package cell is better.
package text

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"strings"
	"sync"

	"samepage"
	"samepage/internal/segment"
)

const (
	// DefaultName is the name of the section in the existing programs.
	DefaultName = "ZJ"
	// DefaultSize is the size of the section in the existing programs, in bytes. They map
	// all of it, so they cannot open a smaller section.
	DefaultSize = 1 << 20
	// MaxLen is the length of the longest text that Get and Set accept, in bytes.
	MaxLen = 256 << 20
)

// Text is a text in a section, open in this process. All methods may be called
// concurrently. The zero value is not usable: call Create, Open or Await.
//
// The layout has no lock and no signal of a change. A program that reads while another one writes
// can get a mixture of the two texts, or a part of one. To notice a change, read again.
type Text struct {
	m       *samepage.Memory
	setting sync.Mutex // held by Set: two texts at the same time would mix
}

// Create makes the section, as the server does. The text is empty at first. The name "" is
// DefaultName. The size is in bytes; 0 is DefaultSize. If the text is longer than DefaultSize, the
// existing clients read past the end of their view.
//
// If file is a path, the section has the bytes of that file. Create makes the file, or empties it
// if it exists (like CREATE_ALWAYS). While the section is open, nobody else can open the file by
// its path. The file stays afterwards. If file is "", the section uses the page file.
//
// Errors: fs.ErrExist (a server runs, or a client of an earlier server still has the
// section open; the file keeps its content, except when the other server started at the
// same moment), samepage.ErrBusy (another process has the file open), samepage.ErrName,
// samepage.ErrNegativeSize, samepage.ErrTooLarge, samepage.ErrNoSpace, fs.ErrPermission,
// samepage.ErrKindMismatch (the name belongs to an object of another kind, such as an
// event).
func Create(name, file string, size int64) (*Text, error) {
	name = orDefault(name)
	if size == 0 {
		size = DefaultSize
	}
	o := options()
	o.File, o.Exclusive, o.Truncate = file, file != "", file != ""
	m, err := samepage.Create(name, size, o)
	if err != nil {
		return nil, fmt.Errorf("text: create section: %w", err)
	}
	return &Text{m: m}, nil
}

// Open opens the section of a server, as a client does. The name "" is DefaultName.
//
// Errors: fs.ErrNotExist (no server runs), fs.ErrPermission, samepage.ErrName,
// samepage.ErrKindMismatch.
func Open(name string) (*Text, error) {
	m, err := samepage.Open(orDefault(name), options())
	if err != nil {
		return nil, fmt.Errorf("text: open section: %w", err)
	}
	return &Text{m: m}, nil
}

// Await waits until a server has made the section, and opens it. The name "" is DefaultName. If
// the call does not have to wait, it ignores ctx.
//
// Errors: those of Open except fs.ErrNotExist, and the error of ctx (a deadline also matches
// os.ErrDeadlineExceeded).
func Await(ctx context.Context, name string) (*Text, error) {
	var m *samepage.Memory
	err := segment.Until(ctx, func() (_ bool, err error) {
		m, err = samepage.Open(orDefault(name), options())
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return nil, fmt.Errorf("text: wait for section %q: %w", orDefault(name), segment.Deadline(err))
	}
	return &Text{m: m}, nil
}

func orDefault(name string) string {
	if name == "" {
		return DefaultName
	}
	return name
}

// options returns the options of the section. On Windows, where the C++ programs run, its name has
// no prefix or suffix.
func options() *samepage.Options { return &samepage.Options{Exact: runtime.GOOS == "windows"} }

// Name returns the name of the section.
func (t *Text) Name() string { return t.m.Name() }

// Size returns the size of the section in bytes. The NUL takes one of them. On Windows a
// client of a section over the page file sees the size rounded up to a page.
func (t *Text) Size() int64 { return t.m.Size() }

// pieceSize is how many bytes are copied out of the section at a time.
const pieceSize = 64 << 10

// Get returns a copy of the text: the bytes before the first NUL.
//
// Errors: samepage.ErrCorrupt (the section has no NUL, or somebody has truncated the file),
// samepage.ErrTooLarge (the text is longer than MaxLen), samepage.ErrClosed.
func (t *Text) Get() (string, error) {
	s, err := t.get()
	if err != nil {
		return "", fmt.Errorf("text: read section %q: %w", t.Name(), err)
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
		if text.Len()+max(end, 0) > MaxLen || end < 0 && text.Len()+n > MaxLen {
			return "", fmt.Errorf("more than %d bytes without a NUL: %w", MaxLen, samepage.ErrTooLarge)
		}
		if end >= 0 {
			text.Write(piece[:end])
			return text.String(), nil
		}
		text.Write(piece[:n])
		if n < len(piece) {
			return "", fmt.Errorf("none of its %d bytes is a NUL: %w", t.Size(), samepage.ErrCorrupt)
		}
		if len(piece) < pieceSize {
			piece = make([]byte, pieceSize)
		}
	}
}

// Set replaces the text and writes zeros after it up to the end of the section, over
// whatever was there. Set refuses a text that is longer than MaxLen or that leaves no room
// for a NUL: it writes nothing then.
//
// If two programs set a text at the same time, parts of both can stay.
//
// Errors: samepage.ErrTooLarge, fs.ErrInvalid (s contains a NUL), samepage.ErrCorrupt
// (somebody has truncated the file), samepage.ErrClosed.
func (t *Text) Set(s string) error {
	if err := t.set(s); err != nil {
		return fmt.Errorf("text: write section %q: %w", t.Name(), err)
	}
	return nil
}

func (t *Text) set(s string) error {
	n := int64(len(s))
	if i := strings.IndexByte(s, 0); i >= 0 {
		return fmt.Errorf("byte %d of %d is a NUL, which would end the text: %w", i, n, fs.ErrInvalid)
	}
	if room := min(t.Size()-1, MaxLen); n > room {
		return fmt.Errorf("the text has %d bytes, the section has room for %d and a NUL: %w", n, room, samepage.ErrTooLarge)
	}
	t.setting.Lock()
	defer t.setting.Unlock()
	// First write the NUL at n. From here on there is always a NUL at n or before it, so no
	// reader runs past n: nobody ever writes anything else into the last byte of the section.
	// Then clear what others have left behind the first NUL. Last write the text over it.
	if _, err := t.m.WriteAt([]byte{0}, n); err != nil {
		return err
	}
	if err := t.clear(); err != nil {
		return err
	}
	_, err := t.m.WriteAt([]byte(s), 0)
	return err
}

// clear makes all bytes behind the first NUL zero. It does not write where there are zeros
// already, so that pages that nobody has used take no space.
func (t *Text) clear() error {
	piece, zeros := make([]byte, pieceSize), make([]byte, pieceSize)
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

// Close closes the section. The section and its name go when the server and all clients
// have closed it or have ended. The file stays: it is as large as the section and contains
// the text. A second Close does nothing.
func (t *Text) Close() error {
	if err := t.m.Close(); err != nil {
		return fmt.Errorf("text: close section: %w", err)
	}
	return nil
}

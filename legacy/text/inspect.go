package text

import (
	"bytes"
	"fmt"
	"io"

	"samepage"
)

// State is what a section said at one moment. Any program that has it open can change it.
type State struct {
	Size int64 `json:"size"` // bytes of the section; on Windows over the page file rounded up to a page
	// Len is the number of bytes before the first NUL. It is -1 if there is no NUL in the first
	// 65,536 bytes.
	Len int `json:"len"`
}

// String says in a few words what the section has.
func (s *State) String() string {
	switch {
	case s.Len < 0 && s.Size <= pieceSize:
		return "no text: there is no NUL in the section"
	case s.Len < 0:
		return fmt.Sprintf("text of more than %d bytes", pieceSize)
	case s.Len == 0:
		return "empty text"
	}
	return fmt.Sprintf("text of %d bytes", s.Len)
}

// Inspect looks at the section of that name. It opens the section for a moment, for reading. The
// name "" is DefaultName.
//
// Errors: those of Open.
func Inspect(name string) (*State, error) {
	s, err := inspect(name)
	if err != nil {
		return nil, fmt.Errorf("text: inspect: %w", err)
	}
	return s, nil
}

func inspect(name string) (*State, error) {
	o := options()
	o.Access = samepage.ReadOnly
	m, err := samepage.Open(orDefault(name), o)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	b := make([]byte, min(m.Size(), pieceSize))
	if _, err := m.ReadAt(b, 0); err != nil && err != io.EOF {
		return nil, err
	}
	return &State{Size: m.Size(), Len: bytes.IndexByte(b, 0)}, nil
}

package baseimage

import (
	"encoding/binary"
	"fmt"

	"samepage"
)

// State is what a section said at one moment. Any program that has it open can change it.
type State struct {
	Size int64 `json:"size"` // bytes of the section; on Windows rounded up to a page

	// These are the words of the header as they are, even if they are wrong. All of them are 0
	// before the first picture. While a receiver copies, Length can be one too small.
	Length int32 `json:"length"` // bytes of the pixels
	Width  int32 `json:"width"`
	Height int32 `json:"height"`
	Bits   int32 `json:"bits"` // of a pixel

	// Problem is nil if the header describes a picture, or if there is none yet. Otherwise it is
	// the error of a receiver: samepage.ErrCorrupt.
	Problem error `json:"-"`
}

// String says in a few words what the section has.
func (s *State) String() string {
	switch h := s.header(); {
	case h == header{}:
		return "no picture yet"
	case s.Problem != nil:
		return s.Problem.Error()
	}
	return fmt.Sprintf("picture of %d x %d, %d bits a pixel", s.Width, s.Height, s.Bits)
}

func (s *State) header() header { return header{s.Length, s.Width, s.Height, s.Bits} }

// Inspect looks at the section of that name. It opens the section for a moment, for reading, and
// not the event. The name "" is BaseImage.
//
// Errors: fs.ErrNotExist, samepage.ErrCorrupt (the section is too small), and those of
// samepage.Open.
func Inspect(name string) (*State, error) {
	s, err := inspect(name)
	if err != nil {
		return nil, fmt.Errorf("baseimage: inspect: %w", err)
	}
	return s, nil
}

func inspect(name string) (*State, error) {
	if name == "" {
		name = defaultName
	}
	o := memoryOptions()
	o.Access = samepage.ReadOnly
	m, err := samepage.Open(name, o)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	if err := checkSize(m.Size()); err != nil {
		return nil, err
	}
	var b [headerSize]byte
	if _, err := m.ReadAt(b[:], 0); err != nil {
		return nil, err
	}
	at := func(off int) int32 { return int32(binary.LittleEndian.Uint32(b[off:])) }
	s := &State{Size: m.Size(), Length: at(0), Width: at(4), Height: at(8), Bits: at(12)}
	if h := s.header(); h != (header{}) {
		_, s.Problem = h.shape(int(min(m.Size(), maxSection)) - headerSize)
	}
	return s, nil
}

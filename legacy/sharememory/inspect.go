package sharememory

import (
	"cmp"
	"fmt"

	"samepage"
)

// State is what a section said at one moment, without its lock. Any program that has it open can
// change it.
type State struct {
	Layout Layout `json:"layout"`
	Size   int64  `json:"size"` // bytes of the section; on Windows rounded up to a page
	// Len and Cap are the bytes of the value, and of the largest that fits. They are 0 if the sizes
	// in the header cannot be right.
	Len int `json:"len"`
	Cap int `json:"cap"`
	// Checksum says what the checksum of the value is.
	Checksum Checksum `json:"checksum"`
	// Problem is nil if the header makes sense and the value is whole, as far as that is known.
	// Otherwise it is samepage.ErrCorrupt, samepage.ErrVersion or samepage.ErrChecksum.
	Problem error `json:"-"`
}

// Checksum is what Inspect says about the checksum of a value. The words do not change.
type Checksum string

const (
	// Right: it is the checksum of the value.
	Right Checksum = "right"
	// Wrong: it is not, and nobody writes: two looks saw the same. A writer has died, was stopped
	// in the middle, or is wrong.
	Wrong Checksum = "wrong"
	// Changing: somebody writes at the moment.
	Changing Checksum = "changing"
	// NotCompared: the value is larger than 1 MiB, or the header is wrong. Reader.Stat compares the
	// checksums of values of all sizes.
	NotCompared Checksum = "not compared"
)

// mostCompared is the size of the largest value whose checksum Inspect compares.
const mostCompared = 1 << 20

// String says in a few words what the section has.
func (s *State) String() string {
	if s.Checksum == NotCompared && s.Problem != nil {
		return fmt.Sprintf("layout %v: %v", s.Layout, s.Problem)
	}
	sum := "checksum " + string(s.Checksum)
	if s.Checksum == Changing {
		sum = "somebody writes it"
	}
	return fmt.Sprintf("value of %d bytes, room for %d, layout %v, %s", s.Len, s.Cap, s.Layout, sum)
}

// Inspect looks at the block of that name. It opens the section for a moment, for reading. It does
// not take the lock: nobody waits for it.
//
// Errors: fs.ErrNotExist, samepage.ErrName, fs.ErrInvalid (the layout), and those of
// samepage.Open.
func Inspect(name string, l Layout) (*State, error) {
	s, err := inspect(name, l)
	if err != nil {
		return nil, fmt.Errorf("sharememory: inspect block %q: %w", name, err)
	}
	return s, nil
}

func inspect(name string, l Layout) (*State, error) {
	b := block{name: name, opts: Options{Layout: l}}
	var err error
	if b.section, err = l.section(name); err != nil {
		return nil, err
	}
	m, err := b.open(samepage.ReadOnly)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	b.opened = &opened{mem: m}
	var before header
	var sum uint64
	for range 3 {
		s := &State{Layout: l, Size: m.Size(), Checksum: NotCompared}
		h, err := b.readHeader()
		if err == nil {
			s.Len, err = l.size(&h, s.Size)
		}
		if s.Problem = err; err != nil {
			return s, nil
		}
		s.Cap = int(h.MemorySize) - l.around()
		if s.Len > mostCompared {
			return s, nil
		}
		computed, err := b.sum(&h, 0, 0)
		if err != nil {
			return nil, err
		}
		if s.Problem = cmp.Or(checkCRC(&h, computed), b.checkTail(&h)); s.Problem == nil {
			s.Checksum = Right
			return s, nil
		}
		if s.Checksum = Wrong; h == before && sum == computed {
			return s, nil
		}
		before, sum = h, computed
	}
	return &State{Layout: l, Size: m.Size(), Len: int(before.ContentSize), Cap: int(before.MemorySize) - l.around(), Checksum: Changing}, nil
}

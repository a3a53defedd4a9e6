package earseimage

import (
	"fmt"
	"io"

	"samepage"
)

// State is what the section said at one moment. Any program that has it open can change it.
type State struct {
	Size int64 `json:"size"` // bytes of the section
	// Source is the path of the picture of the latest job. It is empty if there was none.
	Source string `json:"source,omitempty"`
	// Pending: nobody has answered the job yet.
	Pending bool `json:"pending,omitempty"`
	// Sizes are the bytes of the two results of the latest job, if it has succeeded.
	Sizes []int32 `json:"sizes,omitempty"`
	// Problem is nil if the record makes sense. Otherwise it is an ErrJobFailed, or
	// samepage.ErrCorrupt.
	Problem error `json:"-"`
}

// String says in a few words what the section has.
func (s *State) String() string {
	switch {
	case s.Problem != nil:
		return s.Problem.Error()
	case s.Source == "":
		return "no job yet"
	case s.Pending:
		return "the job for " + plain(s.Source) + " has no answer yet"
	}
	return fmt.Sprintf("the job for %s has two results, of %d and %d bytes", plain(s.Source), s.Sizes[0], s.Sizes[1])
}

// Inspect looks at the section of the jobs. It opens the section for a moment, for reading, and
// looks for no window.
//
// Errors: fs.ErrNotExist, samepage.ErrCorrupt (the section has another size), and those of
// samepage.Open.
func Inspect() (*State, error) {
	s, err := inspect()
	if err != nil {
		return nil, fmt.Errorf("earseimage: inspect: %w", err)
	}
	return s, nil
}

func inspect() (*State, error) {
	o := memoryOptions()
	o.Access = samepage.ReadOnly
	m, err := samepage.Open(sectionName, o)
	if err != nil {
		return nil, err
	}
	defer m.Close()
	if err := checkSection(m); err != nil {
		return nil, err
	}
	b := make([]byte, recordSize)
	if _, err := m.ReadAt(b, 0); err != nil && err != io.EOF {
		return nil, err
	}
	s := &State{Size: m.Size()}
	source, ok := textAt(b, sourceAt, nameUnits)
	switch {
	case isPending(b):
		s.Pending = true
		_, s.Problem = parseRequest(b)
	case source != "" || !ok:
		var results [2]result
		if results, s.Problem = parseAnswer(b); s.Problem == nil {
			s.Sizes = []int32{results[0].size, results[1].size}
		}
	}
	if ok {
		s.Source = source
	}
	return s, nil
}

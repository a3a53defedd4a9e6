package segment

import (
	"errors"
	"fmt"
	"math"

	"samepage/internal/object"
	"samepage/internal/option"
	"samepage/layout"
)

// Mapped is a segment that this process has mapped read-only, with its payload, without joining it.
// It does not use the object: it has no descriptor of it, and does not keep its name.
type Mapped struct {
	h       *Handle // for reading words
	o       *object.Object
	m       *object.Mapping
	id      layout.ID
	payload []byte
}

// MapOnly maps the segment in o. It ends one use of o.
//
// Errors: those of Open except object.ErrTooManyMembers, option.ErrTooLarge, syserr.ErrNoSpace (no
// address space).
func MapOnly(o *object.Object, kind layout.Kind, liveSize int) (*Mapped, error) {
	m, err := mapOnly(o, kind, liveSize)
	if err != nil {
		return nil, errors.Join(o.Damaged(err), o.Release())
	}
	return m, o.Release()
}

func mapOnly(o *object.Object, kind layout.Kind, liveSize int) (*Mapped, error) {
	hd, err := header(o, kind, liveSize)
	if err != nil {
		return nil, err
	}
	if hd.PayloadSize == 0 {
		return nil, fmt.Errorf("segment has no payload: %w", layout.ErrCorrupt)
	}
	if hd.Size > math.MaxInt {
		return nil, fmt.Errorf("map a segment of %d bytes: %w", hd.Size, option.ErrTooLarge)
	}
	m, err := o.Map(0, int(hd.Size), layout.ReadOnly)
	if err != nil {
		return nil, err
	}
	b := m.At(0, int(hd.Size))
	return &Mapped{New(b[:control(hd)], hd, nil, nil), o, m, o.Sys.ID, b[hd.Payload:][:hd.PayloadSize]}, nil
}

// Handle can be used to read live words, and for nothing else, within f of Guard.
func (m *Mapped) Handle() *Handle { return m.h }

// Payload may be read within f of Guard.
func (m *Mapped) Payload() []byte { return m.payload }

// ID identifies the object.
func (m *Mapped) ID() layout.ID { return m.id }

// Guard calls f, which may read the segment. Errors: layout.ErrCorrupt (the object was truncated
// meanwhile; f has not ended).
func (m *Mapped) Guard(f func()) error { return m.o.Damaged(object.Guarded(m.m, f)) }

// Close unmaps the segment.
func (m *Mapped) Close() error { return m.o.Unmap(m.m) }

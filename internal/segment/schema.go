package segment

import (
	"fmt"

	"samepage/layout"
)

// Type describes the type of the payload of a segment.
type Type struct {
	Name        string // "bytes" if the payload has no type
	Fingerprint string // in hexadecimal; empty: bytes
	Schema      string // see layout.Type; empty: bytes, or made by a version that stored none
}

// Type returns the type of the payload. It reads the schema, which other processes can write.
//
// Errors: layout.ErrCorrupt (the schema does not have the fingerprint in the header).
func (h *Handle) Type() (Type, error) {
	if h.hd.Fingerprint == 0 {
		return Type{Name: "bytes"}, nil
	}
	t := Type{Name: layout.Text(h.hd.TypeName[:]), Fingerprint: fmt.Sprintf("%016x", h.hd.Fingerprint)}
	if n := int(h.hd.SchemaSize); n > 0 {
		t.Schema = string(h.b[layout.SegmentHeaderSize:][:n])
		if got := layout.Fingerprint(t.Schema); got != h.hd.Fingerprint {
			return t, fmt.Errorf("the schema of type %s has the fingerprint %016x, want %s: %w", t.Name, got, t.Fingerprint, layout.ErrCorrupt)
		}
	}
	return t, nil
}

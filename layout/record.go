package layout

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"unicode/utf8"
)

// RecordMagic starts each record: "smpgRECD" read as little-endian.
const RecordMagic = 0x4443455267706d73

// RecordVersion is the layout version that this code writes.
const RecordVersion = 1

// These are the limits of a record, in bytes.
const (
	MaxName    = 200  // a name, in UTF-8
	MaxPath    = 4096 // a path, in UTF-8
	RecordHead = 128
	// RecordSize is the size of a file that holds a record: the head, 256 bytes for the name, and
	// the path.
	RecordSize = RecordHead + 256 + MaxPath
)

// MaxSize is the largest object, in bytes: 64 TiB. That is half of what a process can address on
// today's machines.
const MaxSize = 1 << 46

// Record describes a named object. It does not contain the bytes of the object.
//
// On Windows it is the content of the file that belongs to each section. On Linux only a name
// over a file has a record; there the record takes the place of the object's bytes. A record is
// complete before anybody can read it, and then never changes.
//
//	  0  8  magic
//	  8  4  version
//	 12  4  kind
//	 16  4  scope
//	 20  4  lifetime
//	 24  8  size of the object in bytes
//	 32 16  id
//	 48  8  time of creation, nanoseconds since 1970
//	 56  8  boot: identifies the start of the machine
//	 64  4  process that created it
//	 68  4  flags
//	 72  8  device of the file at path (Linux)
//	 80  8  inode of the file at path (Linux)
//	 88  2  length of the name in bytes, up to 200
//	 90  2  length of the path in bytes, up to 4096
//	 92 32  zero
//	124  4  CRC-32C of bytes 0..123 and of the name and the path
//	128    name
//	384    path of the file that holds the bytes; empty: the page file
type Record struct {
	Kind     Kind
	Scope    Scope
	Lifetime Lifetime
	Size     int64
	ID       ID
	Created  int64
	Boot     uint64
	PID      uint32
	Flags    uint32 // RecordOwnFile
	Dev, Ino uint64
	Name     string
	Path     string
}

// RecordOwnFile is a bit of Record.Flags. It says that the file at Path was made for the object
// and is removed with it.
const RecordOwnFile = 1

// Append appends the RecordSize bytes of the record to b. Name and path must be within their
// limits.
func (r *Record) Append(b []byte) []byte {
	n := len(b)
	b = append(b, make([]byte, RecordSize)...)
	p, le := b[n:], binary.LittleEndian
	le.PutUint64(p[0:], RecordMagic)
	le.PutUint32(p[8:], RecordVersion)
	le.PutUint32(p[12:], uint32(r.Kind))
	le.PutUint32(p[16:], uint32(r.Scope))
	le.PutUint32(p[20:], uint32(r.Lifetime))
	le.PutUint64(p[24:], uint64(r.Size))
	copy(p[32:48], r.ID[:])
	le.PutUint64(p[48:], uint64(r.Created))
	le.PutUint64(p[56:], r.Boot)
	le.PutUint32(p[64:], r.PID)
	le.PutUint32(p[68:], r.Flags)
	le.PutUint64(p[72:], r.Dev)
	le.PutUint64(p[80:], r.Ino)
	le.PutUint16(p[88:], uint16(len(r.Name)))
	le.PutUint16(p[90:], uint16(len(r.Path)))
	copy(p[RecordHead:RecordHead+256], r.Name)
	copy(p[RecordHead+256:], r.Path)
	le.PutUint32(p[124:], recordCRC(p, len(r.Name), len(r.Path)))
	return b
}

func recordCRC(p []byte, name, path int) uint32 {
	c := crc32.Checksum(p[:124], castagnoli)
	c = crc32.Update(c, castagnoli, p[RecordHead:RecordHead+name])
	return crc32.Update(c, castagnoli, p[RecordHead+256:RecordHead+256+path])
}

// ParseRecord reads a record and checks every field.
//
// Errors: ErrCorrupt, ErrVersion.
func ParseRecord(p []byte) (*Record, error) {
	le := binary.LittleEndian
	if len(p) < RecordSize {
		return nil, fmt.Errorf("record of %d bytes, want %d: %w", len(p), RecordSize, ErrCorrupt)
	}
	if m := le.Uint64(p); m != RecordMagic {
		return nil, fmt.Errorf("record with magic %#016x, want %#016x: %w", m, uint64(RecordMagic), ErrCorrupt)
	}
	if v := le.Uint32(p[8:]); v != RecordVersion {
		return nil, fmt.Errorf("record of version %d, but this program reads version %d: %w", v, RecordVersion, ErrVersion)
	}
	name, path := int(le.Uint16(p[88:])), int(le.Uint16(p[90:]))
	if name > MaxName || path > MaxPath {
		return nil, fmt.Errorf("record with a name of %d bytes and a path of %d, want at most %d and %d: %w", name, path, MaxName, MaxPath, ErrCorrupt)
	}
	if got, want := le.Uint32(p[124:]), recordCRC(p, name, path); got != want {
		return nil, fmt.Errorf("record has CRC %#08x, but its bytes give %#08x: %w", got, want, ErrCorrupt)
	}
	r := &Record{
		Kind:     Kind(le.Uint32(p[12:])),
		Scope:    Scope(le.Uint32(p[16:])),
		Lifetime: Lifetime(le.Uint32(p[20:])),
		Size:     int64(le.Uint64(p[24:])),
		ID:       ID(p[32:48]),
		Created:  int64(le.Uint64(p[48:])),
		Boot:     le.Uint64(p[56:]),
		PID:      le.Uint32(p[64:]),
		Flags:    le.Uint32(p[68:]),
		Dev:      le.Uint64(p[72:]),
		Ino:      le.Uint64(p[80:]),
		Name:     string(p[RecordHead : RecordHead+name]),
		Path:     string(p[RecordHead+256 : RecordHead+256+path]),
	}
	switch {
	case !r.Kind.Known() || !r.Scope.Known() || !r.Lifetime.Known() || r.Flags&^RecordOwnFile != 0:
		return nil, fmt.Errorf("record has %v, %v, %v, flags %#x, not all known: %w", r.Kind, r.Scope, r.Lifetime, r.Flags, ErrCorrupt)
	case r.Size <= 0 || r.Size > MaxSize:
		return nil, fmt.Errorf("record has size %d, want 1 to %d: %w", r.Size, int64(MaxSize), ErrCorrupt)
	case CheckName(r.Name) != nil || !utf8.ValidString(r.Path):
		return nil, fmt.Errorf("record has name %q and path %q, not both valid: %w", r.Name, r.Path, ErrCorrupt)
	}
	return r, nil
}

// CheckName checks the bare name of an object. The name must be UTF-8 of 1 to MaxName bytes,
// without slash, backslash and NUL. The error says what is wrong.
func CheckName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("it is empty")
	case len(name) > MaxName:
		return fmt.Errorf("it has %d bytes, want at most %d", len(name), MaxName)
	case !utf8.ValidString(name):
		return fmt.Errorf("it is not UTF-8")
	}
	for i := 0; i < len(name); i++ {
		switch name[i] {
		case '/', '\\', 0:
			return fmt.Errorf("byte %d is %q, which is not allowed in names", i, name[i])
		}
	}
	return nil
}

package layout

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

// makePack returns a pack of messages with these lengths. If each is true, the pack has a Size.
func makePack(first uint64, each bool, lengths ...uint32) []byte {
	h := PackHeader{First: first, Count: uint32(len(lengths))}
	if each {
		h.Size = lengths[0]
	}
	b := make([]byte, h.Begin())
	h.Put(b)
	for i, n := range lengths {
		if !each {
			PutPackLength(b, uint32(i), n)
		}
		b = append(b, make([]byte, int(PackAligned(uint32(len(b))))-len(b))...)
		b = append(b, bytes.Repeat([]byte{byte(i + 1)}, int(n))...)
	}
	return b
}

// walkPack calls f with the messages of a pack, in order, until there is an error.
func walkPack(b []byte, largest uint32, f func(q uint64, b []byte)) error {
	h, err := ParsePack(b, largest)
	if err != nil {
		return err
	}
	at := h.Begin()
	for i := range h.Count {
		n := h.Size
		if n == 0 {
			if n, err = PackLength(b, i, at, largest); err != nil {
				return err
			}
		}
		f(h.First+uint64(i), b[at:at+n])
		at += PackAligned(n)
	}
	return nil
}

func TestPack(t *testing.T) {
	for _, c := range []struct {
		each    bool
		lengths []uint32
		size    int
	}{
		{true, []uint32{5}, 16 + 5},
		{true, []uint32{5, 5, 5}, 16 + 8 + 8 + 5},
		{true, []uint32{64, 64}, 16 + 128},
		{false, []uint32{0}, 16 + 8},
		{false, []uint32{3, 0, 8, 1}, 16 + 16 + 8 + 8 + 1},
		{false, []uint32{0, 0, 0}, 16 + 16},
	} {
		b := makePack(7, c.each, c.lengths...)
		if len(b) != c.size {
			t.Errorf("%v has %d bytes, want %d", c.lengths, len(b), c.size)
		}
		var got []uint32
		err := walkPack(b, 64, func(q uint64, m []byte) {
			if q != 7+uint64(len(got)) || !bytes.Equal(m, bytes.Repeat([]byte{byte(len(got) + 1)}, len(m))) {
				t.Errorf("%v: message %d is %v", c.lengths, q, m)
			}
			got = append(got, uint32(len(m)))
		})
		if err != nil || len(got) != len(c.lengths) {
			t.Errorf("%v: %v, %v", c.lengths, got, err)
		}
		for i, n := range got {
			if n != c.lengths[i] {
				t.Errorf("%v: read as %v", c.lengths, got)
			}
		}
		if err := walkPack(b[:len(b)-1], 64, func(uint64, []byte) {}); !errors.Is(err, ErrCorrupt) && c.lengths[len(c.lengths)-1] > 0 {
			t.Errorf("%v without its last byte: %v", c.lengths, err)
		}
	}
}

func TestPackCorrupt(t *testing.T) {
	for name, change := range map[string]func(b []byte){
		"first 0":          func(b []byte) { binary.LittleEndian.PutUint64(b, 0) },
		"first beyond all": func(b []byte) { binary.LittleEndian.PutUint64(b, MaxNumber) },
		"first is -1":      func(b []byte) { binary.LittleEndian.PutUint64(b, 1<<64-1) },
		"count 0":          func(b []byte) { binary.LittleEndian.PutUint32(b[8:], 0) },
		"count 4":          func(b []byte) { binary.LittleEndian.PutUint32(b[8:], 4) },
		"largest count":    func(b []byte) { binary.LittleEndian.PutUint32(b[8:], 1<<32-1) },
		"size 25":          func(b []byte) { binary.LittleEndian.PutUint32(b[12:], 25) },
		"size 65":          func(b []byte) { binary.LittleEndian.PutUint32(b[12:], 65) },
		"largest size":     func(b []byte) { binary.LittleEndian.PutUint32(b[12:], 1<<32-1) },
		"length 65":        func(b []byte) { binary.LittleEndian.PutUint32(b[12:], 0); PutPackLength(b, 0, 65) },
		"second length": func(b []byte) {
			binary.LittleEndian.PutUint32(b[12:], 0)
			PutPackLength(b, 0, 40)
			PutPackLength(b, 1, 17)
		},
	} {
		b := makePack(1, true, 24, 24, 24)
		if name == "count 4" {
			b = b[:len(b)-1]
		}
		change(b)
		if err := walkPack(b, 64, func(uint64, []byte) {}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := walkPack(make([]byte, PackHeaderSize-1), 64, nil); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
}

// Whatever a pack says, its messages lie in it, one after the other, and have at most the largest
// size.
func FuzzPack(f *testing.F) {
	f.Add(makePack(1, true, 24, 24, 24), uint32(64))
	f.Add(makePack(1<<40, false, 3, 0, 64), uint32(64))
	f.Add(makePack(MaxNumber-1, true, 1), uint32(1))
	f.Fuzz(func(t *testing.T, b []byte, largest uint32) {
		if largest > MaxPack {
			return
		}
		at := min(PackHeaderSize, len(b))
		last := uint64(0)
		_ = walkPack(b, largest, func(q uint64, m []byte) {
			if len(m) > int(largest) || len(m) > len(b)-at || q == 0 || last != 0 && q != last+1 {
				t.Fatalf("message %d after %d has %d bytes, %d are left, the largest is %d", q, last, len(m), len(b)-at, largest)
			}
			at += int(PackAligned(uint32(len(m))))
			last = q
		})
	})
}

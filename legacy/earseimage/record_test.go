package earseimage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	_ "image/png"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"samepage"
)

// section is an EarseImage section on the heap.
type section []byte

func (s section) ReadAt(p []byte, off int64) (int, error) { return bytes.NewReader(s).ReadAt(p, off) }

func (s section) WriteAt(p []byte, off int64) (int, error) { return copy(s[off:], p), nil }

func TestMission000_23_RoundTrip(t *testing.T) {
	name := strings.Repeat("n", 257) + "😀" // 259 units
	for _, j := range []Job{
		{`D:\in.tif`, TIFF, ""},
		{"/home/in.png", PNG, "words"},
		{name, Type(-7), strings.Repeat("é", 4095)},
	} {
		b, err := encodeRequest(j)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := parseRequest(b); got != j || err != nil {
			t.Errorf("%v comes back as %v, %v", j, got, err)
		}
		s := make(section, sectionSize)
		copy(s, b)
		first, second := bytes.Repeat([]byte("1"), 1000), []byte("two")
		if err := writeAnswer(s, j.Type, first, second); err != nil {
			t.Fatal(err)
		}
		a, err := takeAnswer(s)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range [][]byte{first, second} {
			if a.Images[i].Type != j.Type || !bytes.Equal(a.Images[i].Data, want) {
				t.Errorf("image %d comes back as %v, %.20q", i, a.Images[i].Type, a.Images[i].Data)
			}
		}
		if source, _ := textAt(s, 0, nameUnits); source != j.Source {
			t.Errorf("the answer has changed the source to %q", source)
		}
	}
	for _, c := range []struct {
		job  Job
		want error
	}{
		{Job{}, samepage.ErrName},
		{Job{Source: "a\x00b"}, samepage.ErrName},
		{Job{Source: "a\xff"}, samepage.ErrName},
		{Job{Source: name + "n"}, samepage.ErrTooLarge},
		{Job{Source: "a", Extension: "\x00"}, samepage.ErrName},
		{Job{Source: "a", Extension: strings.Repeat("e", 4096)}, samepage.ErrTooLarge},
	} {
		if _, err := encodeRequest(c.job); !errors.Is(err, c.want) {
			t.Errorf("%.40v: %v, want %v", c.job, err, c.want)
		}
	}
}

// goodRecord returns the record of a job and of its answer.
func goodRecord(t testing.TB) section {
	t.Helper()
	b, err := encodeRequest(Job{Source: "s", Type: BMP})
	if err != nil {
		t.Fatal(err)
	}
	s := make(section, sectionSize)
	copy(s, b)
	if err := writeAnswer(s, BMP, []byte("first"), []byte("second")); err != nil {
		t.Fatal(err)
	}
	return s
}

// The answers of a worker that checks nothing, or is hostile.
func TestEarseImageHostileAnswer(t *testing.T) {
	r1, r2 := resultAt, resultAt+fileSize
	for _, c := range []struct {
		what string
		at   int
		v    int32
		text string // in the error; none: it is good
	}{
		{"status of a C++ worker", statusAt, 0, ""},
		{"status", statusAt, 2, "status 2"},
		{"success", successAt, -1, "success -1"},
		{"negative offset", r1 + offsetIn, -9796, "5 bytes at -9796"},
		{"offset in the record", r1 + offsetIn, 9795, "5 bytes at 9795"},
		{"offset past the end", r2 + offsetIn, sectionSize, "6 bytes at 3145728"},
		{"largest offset", r2 + offsetIn, 1<<31 - 1, "6 bytes at 2147483647"},
		{"at the very end", r2 + offsetIn, sectionSize - 6, ""},
		{"beyond the very end", r2 + offsetIn, sectionSize - 5, "6 bytes at 3145723"},
		{"negative size", r1 + sizeIn, -1, "-1 bytes at 9796"},
		{"no data", r2 + sizeIn, 0, "0 bytes at 9801"},
		{"huge size", r1 + sizeIn, 1<<31 - 1, "2147483647 bytes"},
		{"overlap", r1 + sizeIn, 6, "overlap"},
		{"within each other", r2 + offsetIn, 9796, "overlap"},
		{"another type", r2 + typeIn, 77, ""},
	} {
		s := goodRecord(t)
		putInt32(s, c.at, c.v)
		a, err := takeAnswer(s)
		switch {
		case c.text == "" && err != nil:
			t.Errorf("%s: %v", c.what, err)
		case c.text != "" && (a != nil || !errors.Is(err, samepage.ErrCorrupt) || !strings.Contains(err.Error(), c.text)):
			t.Errorf("%s: %v, %v, want ErrCorrupt with %q", c.what, a, err, c.text)
		}
	}
	if _, err := takeAnswer(goodRecord(t)[:9798]); err == nil {
		t.Error("an answer out of less than a section")
	}
}

func TestEarseImageFailureText(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"no such file", `do the job: no such file`},
		{"", "it gave no reason"},
		{"a\x1b[31mb", `: "a\x1b[31mb"`},
		{"a\x00b", `: a b`},
		{strings.Repeat("x", 5000), strings.Repeat("x", 4095)},
		{strings.Repeat("x", 4094) + "😀", strings.Repeat("x", 4094)},
	} {
		s := goodRecord(t)
		if err := writeFailure(s, errors.New(c.text)); err != nil {
			t.Fatal(err)
		}
		_, err := takeAnswer(s)
		if !errors.Is(err, ErrJobFailed) || errors.Is(err, samepage.ErrCorrupt) || !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%.20q comes back as %.60v", c.text, err)
		}
	}
	// A C++ worker: the extension is the requester's own.
	b, err := encodeRequest(Job{Source: "s", Extension: "mine"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := takeAnswer(append(section(b), 0)); !errors.Is(err, ErrJobFailed) || !strings.Contains(err.Error(), "no reason") {
		t.Errorf("no success, and no more: %v", err)
	}
	for i := range extensionUnits {
		b[extensionAt+2*i] = 'x'
	}
	if _, err := takeAnswer(append(section(b), 0)); !errors.Is(err, ErrJobFailed) || !errors.Is(err, samepage.ErrCorrupt) {
		t.Errorf("a reason without a NUL: %v", err)
	}
}

func TestEarseImageHostileRequest(t *testing.T) {
	garbage := bytes.Repeat([]byte{0xCC}, recordSize)
	clean := func(at, n int) []byte {
		b := bytes.Clone(garbage)
		clear(b[at : at+n])
		return b
	}
	for what, b := range map[string][]byte{
		"all garbage":     garbage,
		"name, no NUL":    clean(statusAt, 4),
		"empty name":      clean(0, recordSize),
		"status not sent": clean(0, fileSize),
	} {
		if j, err := parseRequest(b); !errors.Is(err, samepage.ErrCorrupt) {
			t.Errorf("%s: %v, %v", what, j, err)
		}
	}
	// The stack of a C++ requester all around what it sets.
	b := clean(statusAt, 8)
	copy(b, "s\x00\x00\x00")
	putInt32(b, typeIn, 6)
	if j, err := parseRequest(b); err != nil || j != (Job{"s", TIFF, ""}) {
		t.Errorf("a job among garbage is %v, %v", j, err)
	}
}

func TestImageTypes(t *testing.T) {
	for want, typ := range map[string]Type{
		"unknown": 0, "BMP": 1, "GIF": 2, "JPEG": 3, "PNG": 4, "ICO": 5, "TIFF": 6, "PSD": 20, "type 21": 21, "type -1": -1,
	} {
		if typ.String() != want {
			t.Errorf("%d is %q, want %q", int32(typ), typ, want)
		}
	}
	if fmt.Sprint(TIFF, PSD) != "TIFF PSD" {
		t.Errorf("%v %v", TIFF, PSD)
	}
}

// Any record gives an error of this project, or results at an allowed place.
func FuzzEarseImageRecord(f *testing.F) {
	good := goodRecord(f)
	f.Add([]byte(good[:recordSize]), uint16(0), int32(0))
	f.Add([]byte(good[:recordSize]), uint16(resultAt+offsetIn), int32(-1))
	f.Add([]byte(good[:recordSize]), uint16(resultAt+sizeIn), int32(1<<31-1))
	f.Add([]byte(good[:recordSize]), uint16(successAt), int32(0))
	f.Add(bytes.Repeat([]byte{0xCC}, recordSize), uint16(statusAt), int32(0))
	f.Add([]byte{}, uint16(statusAt), int32(1))
	s := make(section, sectionSize)
	for i := range s {
		s[i] = byte(i)
	}
	f.Fuzz(func(t *testing.T, record []byte, at uint16, v int32) {
		clear(s[:recordSize])
		copy(s[:recordSize], record)
		if int(at) <= recordSize-4 {
			putInt32(s, int(at), v)
		}
		j, err := parseRequest(s[:recordSize])
		if err == nil && (j.Source == "" || !utf8.ValidString(j.Source) || !utf8.ValidString(j.Extension)) {
			t.Errorf("job %q", j)
		}
		if err != nil && !errors.Is(err, samepage.ErrCorrupt) {
			t.Error(err)
		}
		a, err := takeAnswer(s)
		if err != nil {
			if !errors.Is(err, samepage.ErrCorrupt) && !errors.Is(err, ErrJobFailed) {
				t.Error(err)
			}
			return
		}
		if n := len(a.Images[0].Data) + len(a.Images[1].Data); n > Room {
			t.Errorf("%d bytes", n)
		}
	})
}

// A small file whose header says that the picture is huge is refused.
func TestEarseImageClaims(t *testing.T) {
	for _, side := range []uint32{11586, 1 << 16, 1<<31 - 1} { // 11586 squared is just more than 2^27
		b := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR")
		b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, side), side)
		b = append(b, 8, 0, 0, 0, 0)
		b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[12:]))
		a := &Answer{Images: [2]EncodedImage{{PNG, b}}}
		img, err := a.Decode(0)
		if uint64(side)*uint64(side) > math.MaxInt/8 { // the decoder itself refuses it
			if err == nil {
				t.Errorf("%d x %d pixels: %v", side, side, img.Bounds())
			}
		} else if !errors.Is(err, samepage.ErrTooLarge) {
			t.Errorf("%d x %d pixels: %v", side, side, err)
		}
	}
}

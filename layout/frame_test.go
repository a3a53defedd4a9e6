package layout

import (
	"bytes"
	"encoding"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"reflect"
	"strings"
	"testing"
)

const goldenFrameSize = 256 + 64*9 + 2*32*5

// goldenFrame has planes with padding, in an unusual order.
func goldenFrame() *FrameHeader {
	return &FrameHeader{
		Format: FrameI420, Width: 61, Height: 9, Seq: 0x1122334455667788, Time: 1_700_000_000_123_456_789, Size: goldenFrameSize,
		Offset: [4]uint64{256, 256 + 64*9 + 32*5, 256 + 64*9}, Stride: [4]uint32{64, 32, 32},
		RegionX: 100, RegionY: 200, RegionW: 122, RegionH: 18,
		Siting: SitingLeft, Range: RangeLimited, Interlace: InterlaceBottomFirst, AspectNum: 128, AspectDen: 117,
		Matrix: MatrixBT709, RateNum: 30000, RateDen: 1001, Params: [80]byte{'I', 't', 'p', 'p'},
	}
}

func encodeFrame(h *FrameHeader) []byte {
	b := bytes.Repeat([]byte{0xee}, FrameHeaderSize)
	h.Encode(b)
	return b
}

func signFrame(b []byte) {
	binary.LittleEndian.PutUint32(b[frameCRC:], crc32.Checksum(b[:frameCRC], castagnoli))
}

// The golden file is what version 2 writes.
func TestGoldenFrame(t *testing.T) {
	const path = "testdata/v2/frame.bin"
	want := goldenFrame()
	got := encodeFrame(want)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, b) {
		t.Errorf("%s is not what this version writes", path)
	}
	if h, err := ParseFrame(b, goldenFrameSize); err != nil || !reflect.DeepEqual(&h, want) {
		t.Errorf("%s reads as %+v, %v", path, h, err)
	}
}

// docs/layout.md has the offset, width and name of each field, the constants, and
// the formats.
func TestFramePage(t *testing.T) {
	b, err := os.ReadFile("../docs/layout.md")
	if err != nil {
		t.Fatal(err)
	}
	_, page, ok := strings.Cut(strings.ReplaceAll(string(b), "\r\n", "\n"), "\n## FrameHeader\n")
	if !ok {
		t.Fatal("docs/layout.md has no section FrameHeader")
	}
	page, _, _ = strings.Cut(page, "\n## ")
	samePage(t, reflect.TypeFor[FrameHeader]())
	for _, row := range []string{
		fmt.Sprintf("| FrameMagic | `%#x` |", uint64(FrameMagic)), fmt.Sprintf("| FrameVersion | `%d` |", FrameVersion),
		fmt.Sprintf("| FrameHeaderSize | `%d` |", FrameHeaderSize), fmt.Sprintf("| MaxFrameSide | `%d` |", MaxFrameSide),
		fmt.Sprintf("| MaxFrameStride | `%d` |", MaxFrameStride), fmt.Sprintf("| MaxFrameParams | `%d` |", MaxFrameParams), fmt.Sprintf("| MaxFramePlanes | `%d` |", MaxFramePlanes),
	} {
		if !strings.Contains(page, row) {
			t.Errorf("docs/layout.md lacks the row %s", row)
		}
	}
	for f := range frameFormats {
		if row := fmt.Sprintf("\n| %d | %v | %d |", f, f, f.Bits()); f > 0 && !strings.Contains(page, row) {
			t.Errorf("docs/layout.md lacks the row %s", row)
		}
	}
	for kind, words := range map[string]fmt.Stringer{
		"0 unknown, 1 centre, 2 left, 3 paldv":                        SitingPALDV,
		"0 unknown, 1 bt601, 2 bt709, 3 bt2020":                       MatrixBT2020,
		"0 unknown, 1 full, 2 limited":                                RangeLimited,
		"0 unknown, 1 none, 2 top first, 3 bottom first, 4 mixed |\n": InterlaceMixed,
	} {
		if !strings.Contains(page, kind) || !strings.Contains(kind, words.String()) {
			t.Errorf("docs/layout.md lacks %q, or it ends otherwise than in %v", kind, words)
		}
	}
}

func TestFrameVersion(t *testing.T) {
	for name, c := range map[string]struct {
		at   int
		to   uint32
		want error
		text string
	}{
		"no frame":             {0, 0x67706d74, ErrKindMismatch, "not a frame"},
		"version":              {8, 1, ErrVersion, "version 1"},
		"format 0":             {12, 0, ErrVersion, "format 0"},
		"unknown format":       {12, 13, ErrVersion, "format 13"},
		"unknown depth":        {12, 8 | 11<<8, ErrVersion, "format 2824"},
		"deep rgb":             {12, 3 | 10<<8, ErrVersion, "format 2563"},
		"deeper than it is":    {12, 8 | 10<<8, ErrCorrupt, "stride of 64"},
		"a bit too much":       {12, 8 | 1<<16, ErrVersion, "format 65544"},
		"no width":             {16, 0, ErrCorrupt, "0 x 9"},
		"wide":                 {16, 16385, ErrCorrupt, "16385 x 9"},
		"negative width":       {16, 1 << 31, ErrCorrupt, "2147483648"},
		"no height":            {20, 0, ErrCorrupt, "61 x 0"},
		"high":                 {20, ^uint32(0), ErrCorrupt, "4294967295"},
		"higher than it is":    {20, 10, ErrCorrupt, ""},
		"size":                 {40, goldenFrameSize + 1, ErrCorrupt, fmt.Sprint(goldenFrameSize + 1)},
		"large size":           {44, 1 << 31, ErrCorrupt, "bytes in a message"},
		"size below planes":    {40, goldenFrameSize - 2, ErrCorrupt, "plane of 159"},
		"size below header":    {40, 255, ErrCorrupt, "255"},
		"plane in header":      {48, 255, ErrCorrupt, "at 255"},
		"plane outside":        {48, goldenFrameSize, ErrCorrupt, "plane of 573"},
		"plane far outside":    {52, ^uint32(0), ErrCorrupt, "plane of 573"},
		"planes 0, 1 overlap":  {56, 256 + 64*8, ErrCorrupt, "planes at 256 to 829"},
		"planes 1, 2 overlap":  {64, 256 + 64*9 + 32, ErrCorrupt, "planes at 992"},
		"planes 0, 2 overlap":  {64, 256, ErrCorrupt, "planes at 256"},
		"stride small":         {80, 60, ErrCorrupt, "stride of 60"},
		"stride 0":             {80, 0, ErrCorrupt, "stride of 0"},
		"stride large":         {80, 65, ErrCorrupt, "planes"},
		"stride too large":     {80, 1<<20 + 1, ErrCorrupt, "stride of 1048577"},
		"negative stride":      {80, ^uint32(63), ErrCorrupt, "stride of 4294967232"},
		"chroma stride":        {84, 30, ErrCorrupt, "stride of 30"},
		"two strides":          {88, 31, ErrCorrupt, "strides of 32 for Cb and 31"},
		"unknown flag":         {96, 4, ErrVersion, "0x4"},
		"region without sides": {108, 0, ErrCorrupt, "0 x 18"},
		"region without rows":  {112, 0, ErrCorrupt, "122 x 0"},
		"region far out":       {100, 1<<31 - 1, ErrCorrupt, "2147483647"},
		"region far down":      {104, 1<<32 - 1, ErrCorrupt, "4294967295"},
		"siting":               {116, 4, ErrVersion, "siting 4"},
		"range":                {116, 0x300, ErrVersion, "range 3"},
		"interlace":            {116, 0x50000, ErrVersion, "interlace 5"},
		"matrix":               {116, 0x4000000, ErrVersion, "matrix 4"},
		"aspect":               {120, 0, ErrCorrupt, "0:117"},
		"negative aspect":      {124, 1 << 31, ErrCorrupt, "2147483648"},
		"rate":                 {128, 0, ErrCorrupt, "0:1001"},
		"negative rate":        {132, 1 << 31, ErrCorrupt, "2147483648"},
		"line break":           {136, '\n', ErrCorrupt, "parameters"},
		"two texts":            {144, 'x', ErrCorrupt, "parameters"},
	} {
		b := encodeFrame(goldenFrame())
		binary.LittleEndian.PutUint32(b[c.at:], c.to)
		if _, err := ParseFrame(b, goldenFrameSize); c.at > 8 && (!errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "CRC")) {
			t.Errorf("%s, with a CRC that does not fit: %v", name, err)
		}
		signFrame(b)
		if _, err := ParseFrame(b, goldenFrameSize); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want %v with %q", name, err, c.want, c.text)
		}
	}
	b := encodeFrame(goldenFrame())
	for _, size := range []int64{-1, 0, 255, 256, goldenFrameSize - 1} {
		if _, err := ParseFrame(b, size); !errors.Is(err, ErrCorrupt) {
			t.Errorf("in %d bytes: %v", size, err)
		}
	}
	if _, err := ParseFrame(b[:255], goldenFrameSize); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a short header is %v", err)
	}
	if _, err := ParseFrame(b, 1<<40); err != nil {
		t.Errorf("in a longer message: %v", err)
	}
	gray := &FrameHeader{Format: FrameGray, Width: 1, Height: 1, Size: 257, Offset: [4]uint64{256}, Stride: [4]uint32{MaxFrameStride}}
	if err := gray.Validate(257); err != nil {
		t.Errorf("the last row wants padding: %v", err)
	}
	gray.Offset[0] = ^uint64(0) // its end is 0
	if err := gray.Validate(257); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a plane whose end wraps around: %v", err)
	}
	gray.Offset[0], gray.Stride[2] = 256, 1
	if err := gray.Validate(257); !errors.Is(err, ErrCorrupt) {
		t.Errorf("gray with a third plane: %v", err)
	}
	gray.Stride[2], gray.Offset[1] = 0, 256
	if err := gray.Validate(257); !errors.Is(err, ErrCorrupt) {
		t.Errorf("gray with a second plane: %v", err)
	}
}

func TestFrameFormats(t *testing.T) {
	all := FrameFormats()
	if n := int(frameFormats) - 1 + len(frameDepths)*6 - 1; len(all) != n {
		t.Errorf("%d formats, want %d", len(all), n)
	}
	for _, f := range all {
		bits := 0
		for i := range MaxFramePlanes + 1 {
			row, rows := f.Plane(i, 16, 16)
			bits += row * rows * 8
			if (rows == 0) != (i >= f.Planes()) || (row == 0) != (rows == 0) {
				t.Errorf("plane %d of %v has %d x %d", i, f, row, rows)
			}
		}
		if bits != f.Bits()*256 || bits == 0 {
			t.Errorf("%v has %d bits in 256 pixels, %d a pixel", f, bits, f.Bits())
		}
		if f.WithDepth(f.Depth()) != f {
			t.Errorf("%v has %d bits a sample, and with so many is %v", f, f.Depth(), f.WithDepth(f.Depth()))
		}
	}
	for f, want := range map[FrameFormat]FrameFormat{
		FrameI420.WithDepth(10): FrameI420 | 10<<8, FrameGray.WithDepth(16): FrameGray16, FrameGray16.WithDepth(8): FrameGray,
		FrameGray16.WithDepth(12): FrameGray | 12<<8, (FrameI422 | 9<<8).WithDepth(8): FrameI422,
		FrameI420.WithDepth(11): 0, FrameRGB.WithDepth(16): 0, FrameI420.WithDepth(256 + 8): 0, FrameFormat(0).WithDepth(8): 0,
	} {
		if f != want {
			t.Errorf("%v instead of %v", f, want)
		}
	}
	for f, want := range map[FrameFormat]string{FrameGray | 9<<8: "gray9", FrameI444A | 12<<8: "i444ap12", FrameI411: "i411"} {
		if f.String() != want {
			t.Errorf("%v instead of %s", f, want)
		}
	}
	for f, want := range map[FrameFormat][2]int{FrameNV12: {6, 2}, FrameI422: {3, 3}, FrameI411 | 9<<8: {4, 3}, FrameI444A | 16<<8: {10, 3}} {
		if row, rows := f.Plane(1, 5, 3); row != want[0] || rows != want[1] {
			t.Errorf("the colour of 5 x 3 pixels of %v has %d x %d", f, row, rows)
		}
	}
	if none := FrameFormat(0); none.Known() || none.Planes() != 0 || none.Bits() != 0 || none.Depth() != 0 {
		t.Error("the zero value is a format")
	}
	if row, rows := FrameGray.Plane(-1, 5, 3); row != 0 || rows != 0 {
		t.Errorf("plane -1 has %d x %d", row, rows)
	}
}

func TestFrameWords(t *testing.T) {
	roundTrip(t, FrameFormats()...)
	roundTrip(t, SitingUnknown, SitingCentre, SitingLeft, SitingPALDV)
	roundTrip(t, RangeUnknown, RangeFull, RangeLimited)
	roundTrip(t, MatrixUnknown, MatrixBT601, MatrixBT709, MatrixBT2020)
	roundTrip(t, InterlaceUnknown, InterlaceNone, InterlaceTopFirst, InterlaceBottomFirst, InterlaceMixed)
	for _, s := range []fmt.Stringer{FrameFormat(99), FrameSiting(99), FrameRange(99), FrameInterlace(99), FrameMatrix(99)} {
		if !strings.Contains(s.String(), " 99") {
			t.Errorf("an unknown value prints as %q", s)
		}
	}
}

func roundTrip[T interface {
	comparable
	encoding.TextMarshaler
}](t *testing.T, all ...T,
) {
	t.Helper()
	for _, v := range all {
		var got T
		text, err := v.MarshalText()
		if err == nil {
			err = any(&got).(encoding.TextUnmarshaler).UnmarshalText(text)
		}
		if err != nil || got != v {
			t.Errorf("%v writes as %q, which reads as %v, %v", v, text, got, err)
		}
		if err := any(&got).(encoding.TextUnmarshaler).UnmarshalText([]byte("x")); err == nil {
			t.Errorf("%T takes x", got)
		}
	}
}

func FuzzParseFrame(f *testing.F) {
	good := encodeFrame(goldenFrame())
	f.Add(good, 12, uint32(7), true, int64(goldenFrameSize))
	f.Add(good, 48, ^uint32(0), true, int64(goldenFrameSize))
	f.Add(good, 80, uint32(1<<20), true, int64(1<<40))
	f.Add(good, 16, uint32(16384), true, int64(1<<62))
	f.Add(good, 0, uint32(0), false, int64(-1))
	f.Fuzz(func(t *testing.T, b []byte, at int, x uint32, sign bool, size int64) {
		if b = bytes.Clone(b); at >= 0 && at <= len(b)-4 {
			binary.LittleEndian.PutUint32(b[at:], x)
		}
		if sign && len(b) >= FrameHeaderSize { // a forger can compute a CRC
			signFrame(b)
		}
		h, err := ParseFrame(b, size)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) && !errors.Is(err, ErrKindMismatch) {
				t.Error(err)
			}
			return
		}
		type span struct{ from, to uint64 }
		spans := []span{{0, FrameHeaderSize}}
		for i := range h.Format.Planes() {
			row, rows := h.Format.Plane(i, int(h.Width), int(h.Height))
			s := span{h.Offset[i], h.Offset[i] + uint64(h.Stride[i])*uint64(rows-1) + uint64(row)}
			if s.to < s.from || s.to > uint64(size) || int(h.Stride[i]) < row {
				t.Errorf("plane %d of %+v passes in %d bytes", i, h, size)
			}
			for _, o := range spans {
				if s.from < o.to && o.from < s.to {
					t.Errorf("%v and %v overlap in %+v", s, o, h)
				}
			}
			spans = append(spans, s)
		}
		again := make([]byte, FrameHeaderSize)
		h.Encode(again)
		if g, err := ParseFrame(again, size); err != nil || !reflect.DeepEqual(g.Offset, h.Offset) || g.RegionX != h.RegionX {
			t.Errorf("%+v reads back as %+v, %v", h, g, err)
		}
	})
}

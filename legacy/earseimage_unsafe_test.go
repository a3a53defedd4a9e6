package legacy

import (
	"testing"
	"unsafe"
)

// The record as C compilers lay it out: see wire.h.
type earseFileC struct {
	name   [260]uint16
	offset int32
	size   int32
	typ    int32
}

type earseJobC struct {
	source    earseFileC
	results   [2]earseFileC
	status    int32
	success   int32
	extension [4096]uint16
}

func TestMission000_23_Layout(t *testing.T) {
	var f earseFileC
	var j earseJobC
	for _, c := range []struct {
		what           string
		got, ours, doc uintptr
	}{
		{"size of a file's record", unsafe.Sizeof(f), earseFileSize, 532},
		{"name, units", uintptr(len(f.name)), earseName, 260},
		{"offset", unsafe.Offsetof(f.offset), earseOffsetIn, 520},
		{"size", unsafe.Offsetof(f.size), earseSizeIn, 524},
		{"type", unsafe.Offsetof(f.typ), earseTypeIn, 528},
		{"size of the record", unsafe.Sizeof(j), earseRecordSize, 9796},
		{"source", unsafe.Offsetof(j.source), earseSourceAt, 0},
		{"result 1", unsafe.Offsetof(j.results), earseResultAt, 532},
		{"result 2", unsafe.Offsetof(j.results) + unsafe.Sizeof(f), earseResultAt + earseFileSize, 1064},
		{"status", unsafe.Offsetof(j.status), earseStatusAt, 1596},
		{"success", unsafe.Offsetof(j.success), earseSuccessAt, 1600},
		{"extension", unsafe.Offsetof(j.extension), earseExtensionAt, 1604},
		{"extension, units", uintptr(len(j.extension)), earseExtension, 4096},
		{"section", 3 << 20, earseSize, 3145728},
		{"room", 3<<20 - unsafe.Sizeof(j), EarseImageRoom, 3135932},
		{"message to the worker", 0x400 + 110, earseWritten, 1134},
		{"message to the requester", 0x400 + 111, earseReady, 1135},
	} {
		if c.got != c.doc || c.ours != c.doc {
			t.Errorf("%s: in C %d, here %d, documented %d", c.what, c.got, c.ours, c.doc)
		}
	}
}

// What C code would read in a job that Go wrote.
func TestMission000_23_RequestInC(t *testing.T) {
	b, err := encodeEarseRequest(EarseImageJob{Source: `C:\Bilder\ä😀.tif`, Type: ImageTIFF, Extension: "x"})
	if err != nil {
		t.Fatal(err)
	}
	aligned := make([]uint64, earseRecordSize/8+1)
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&aligned[0])), earseRecordSize), b)
	want := earseJobC{source: earseFileC{offset: 9796, typ: 6}, extension: [4096]uint16{'x'}}
	copy(want.source.name[:], []uint16{'C', ':', '\\', 'B', 'i', 'l', 'd', 'e', 'r', '\\', 0xE4, 0xD83D, 0xDE00, '.', 't', 'i', 'f'})
	if got := *(*earseJobC)(unsafe.Pointer(&aligned[0])); got != want {
		t.Errorf("the record is %+v, want %+v", got, want)
	}
}

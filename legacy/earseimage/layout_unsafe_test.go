package earseimage

import (
	"testing"
	"unsafe"
)

// The record has the layout that C compilers give it: see wire.h.
type fileC struct {
	name   [260]uint16
	offset int32
	size   int32
	typ    int32
}

type recordC struct {
	source    fileC
	results   [2]fileC
	status    int32
	success   int32
	extension [4096]uint16
}

func TestMission000_23_Layout(t *testing.T) {
	var f fileC
	var j recordC
	for _, c := range []struct {
		what           string
		got, ours, doc uintptr
	}{
		{"size of a file's record", unsafe.Sizeof(f), fileSize, 532},
		{"name, units", uintptr(len(f.name)), nameUnits, 260},
		{"offset", unsafe.Offsetof(f.offset), offsetIn, 520},
		{"size", unsafe.Offsetof(f.size), sizeIn, 524},
		{"type", unsafe.Offsetof(f.typ), typeIn, 528},
		{"size of the record", unsafe.Sizeof(j), recordSize, 9796},
		{"source", unsafe.Offsetof(j.source), sourceAt, 0},
		{"result 1", unsafe.Offsetof(j.results), resultAt, 532},
		{"result 2", unsafe.Offsetof(j.results) + unsafe.Sizeof(f), resultAt + fileSize, 1064},
		{"status", unsafe.Offsetof(j.status), statusAt, 1596},
		{"success", unsafe.Offsetof(j.success), successAt, 1600},
		{"extension", unsafe.Offsetof(j.extension), extensionAt, 1604},
		{"extension, units", uintptr(len(j.extension)), extensionUnits, 4096},
		{"section", 3 << 20, sectionSize, 3145728},
		{"room", 3<<20 - unsafe.Sizeof(j), Room, 3135932},
		{"message to the worker", 0x400 + 110, msgWritten, 1134},
		{"message to the requester", 0x400 + 111, msgReady, 1135},
	} {
		if c.got != c.doc || c.ours != c.doc {
			t.Errorf("%s: in C %d, here %d, documented %d", c.what, c.got, c.ours, c.doc)
		}
	}
}

// C code reads the right values in a job that Go wrote.
func TestMission000_23_RequestInC(t *testing.T) {
	b, err := encodeRequest(Job{Source: `C:\Bilder\ä😀.tif`, Type: TIFF, Extension: "x"})
	if err != nil {
		t.Fatal(err)
	}
	aligned := make([]uint64, recordSize/8+1)
	copy(unsafe.Slice((*byte)(unsafe.Pointer(&aligned[0])), recordSize), b)
	want := recordC{source: fileC{offset: 9796, typ: 6}, extension: [4096]uint16{'x'}}
	copy(want.source.name[:], []uint16{'C', ':', '\\', 'B', 'i', 'l', 'd', 'e', 'r', '\\', 0xE4, 0xD83D, 0xDE00, '.', 't', 'i', 'f'})
	if got := *(*recordC)(unsafe.Pointer(&aligned[0])); got != want {
		t.Errorf("the record is %+v, want %+v", got, want)
	}
}

package record

import (
	"bytes"
	"testing"

	"github.com/foxglove/mcap/go/mcap"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"

	"samepage"
	"samepage/frame"
	"samepage/internal/ipctest"
)

// bySchema reads a message as a program does that has only the schema of the file.
func bySchema(t *testing.T, s *mcap.Schema, b []byte) *dynamicpb.Message {
	t.Helper()
	var set descriptorpb.FileDescriptorSet
	ipctest.NoErr(t, proto.Unmarshal(s.Data, &set))
	files, err := protodesc.NewFiles(&set)
	ipctest.NoErr(t, err)
	d, err := files.FindDescriptorByName(protoreflect.FullName(s.Name))
	ipctest.NoErr(t, err)
	m := dynamicpb.NewMessage(d.(protoreflect.MessageDescriptor))
	ipctest.NoErr(t, proto.Unmarshal(b, m))
	return m
}

// A program that has only the schema of the file reads the pictures.
func TestRawImage(t *testing.T) {
	for format, encoding := range imageEncodings {
		spec := frame.Spec{Format: format, Width: 6, Height: 4, Stride: 32}
		b := make([]byte, spec.Size()+5)
		f, err := frame.New(b, spec)
		ipctest.NoErr(t, err)
		for i := range b[256:] {
			b[256+i] = byte(i)
		}
		parts, got, ok := imageOf(b, "cam", 5_000_000_007, nil, nil)
		if !ok || got != format {
			t.Errorf("%v: %v, %v", format, got, ok)
			continue
		}
		m := bySchema(t, asImage.schema(), bytes.Join(parts[:], nil))
		get := func(name string) protoreflect.Value {
			return m.Get(m.Descriptor().Fields().ByName(protoreflect.Name(name)))
		}
		if get("width").Uint() != 6 || get("height").Uint() != 4 || get("step").Uint() != 32 || get("encoding").String() != encoding || get("frame_id").String() != "cam" {
			t.Errorf("%v: %v", format, m)
		}
		ts := get("timestamp").Message()
		if ts.Get(ts.Descriptor().Fields().ByName("seconds")).Int() != 5 || ts.Get(ts.Descriptor().Fields().ByName("nanos")).Int() != 7 {
			t.Errorf("%v: %v", format, m)
		}
		if data := get("data").Bytes(); !bytes.HasPrefix(data, f.Pix(0)) {
			t.Errorf("%v: the pixels differ", format)
		}
	}
	for _, format := range []frame.Format{frame.I420, frame.Gray.WithDepth(12)} {
		spec := frame.Spec{Format: format, Width: 6, Height: 4}
		b := make([]byte, spec.Size())
		_, err := frame.New(b, spec)
		ipctest.NoErr(t, err)
		if _, got, ok := imageOf(b, "cam", 0, nil, nil); ok || got != format {
			t.Errorf("%v: %v, %v", format, got, ok)
		}
		b[20]++
		if _, got, ok := imageOf(b, "cam", 0, nil, nil); ok || got.Known() {
			t.Errorf("a damaged frame: %v, %v", got, ok)
		}
	}
}

func FuzzParseImage(f *testing.F) {
	spec := frame.Spec{Format: frame.RGB, Width: 2, Height: 2}
	b := make([]byte, spec.Size())
	_, err := frame.New(b, spec)
	ipctest.NoErr(f, err)
	parts, _, _ := imageOf(b, "cam", 0, nil, nil)
	f.Add(bytes.Join(parts[:], nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := parseImage(b); err != nil {
			ipctest.WantErr(t, err, samepage.ErrCorrupt)
		}
	})
}

func FuzzRosSchema(f *testing.F) {
	f.Add("a={0 A int8;}1")
	f.Add("[2][3]{0 X complex64;8 _ [4]uint8;12 X uint32;}16")
	f.Add("{0 A int8;8 B int64;}16")
	f.Fuzz(func(_ *testing.T, text string) { rosSchema(text) })
}

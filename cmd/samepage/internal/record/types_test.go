package record

import (
	"strings"
	"testing"
)

func TestRosSchema(t *testing.T) {
	s := rosSchema("pose={0 At time;8 HTTPPort2 uint16;10 _ [2]uint8;12 _ float32;16 P [2][3]{0 X int8;}1;22 ü uint8;23 p uint8;24 C complex128;}40")
	if s == nil {
		t.Fatal("no schema")
	}
	line := strings.Repeat("=", 80)
	want := "int64 at\nuint16 http_port2\nuint8[2] padding\nfloat32 padding2\nsamepage/PoseP[6] p\nuint8 field\nuint8 p2\nsamepage/Complex128 c\n" +
		line + "\nMSG: samepage/PoseP\nint8 x\n" + line + "\nMSG: samepage/Complex128\nfloat64 re\nfloat64 im\n"
	if s.Name != "samepage/msg/Pose" || s.Encoding != "ros2msg" || string(s.Data) != want {
		t.Errorf("%s: %q, want %q", s.Name, s.Data, want)
	}
	if s := rosSchema("[2]float64"); s == nil || string(s.Data) != "float64[2] value\n" {
		t.Errorf("%+v", s)
	}
	// Bytes that are not CDR: a gap, at the end, too, and numbers that are not aligned.
	for _, bad := range []string{"{0 A int8;2 B int16;}4", "{0 A int16;2 B int8;}4", "{0 A int8;1 B int16;}3", "{0 A [2]{0 B int16;2 C int8;}3;}6", "int8 int8", "x"} {
		if s := rosSchema(bad); s != nil {
			t.Errorf("%s: %s", bad, s.Data)
		}
	}
}

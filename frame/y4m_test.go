package frame

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

// y4mStream returns a stream with that header and n pictures, whose bytes count up.
func y4mStream(header string, n, size int) []byte {
	b := []byte(header + "\n")
	for i := range n {
		b = append(b, "FRAME\n"...)
		for j := range size {
			b = append(b, byte(i*100+j))
		}
	}
	return b
}

// throughY4M reads a stream and writes it again, and returns the number of its pictures. If pad is
// not 0, rows of the frames have padding.
func throughY4M(r io.Reader, pad int) ([]byte, *Y4MHeader, int, error) {
	var out bytes.Buffer
	y, err := NewY4MReader(r)
	if err != nil {
		return nil, nil, 0, err
	}
	w, err := NewY4MWriter(&out, y.Header())
	if err != nil {
		return nil, nil, 0, err
	}
	spec := y.Spec()
	if pad > 0 {
		row, _ := spec.Format.Plane(0, spec.Width, spec.Height)
		spec.Stride = row + pad
	}
	f, err := New(make([]byte, spec.Size()), spec)
	if err != nil {
		return nil, nil, 0, err
	}
	for n := 0; ; n++ {
		switch err := y.ReadFrame(f); err {
		case nil:
		case io.EOF:
			return out.Bytes(), y.Header(), n, nil
		default:
			return out.Bytes(), y.Header(), n, err
		}
		if err := w.WriteFrame(f, y.Params()); err != nil {
			return nil, nil, n, err
		}
	}
}

func TestY4M(t *testing.T) {
	for _, c := range []struct {
		header string
		size   int
		want   Y4MHeader
	}{
		{"YUV4MPEG2 W4 H2 F25:1 Ip A1:1 C420jpeg XYSCSS=420JPEG XCOLORRANGE=LIMITED", 12, Y4MHeader{
			Format: I420, Width: 4, Height: 2, Rate: Ratio{25, 1}, Interlace: InterlaceNone, Aspect: Ratio{1, 1},
			Siting: SitingCentre, Range: RangeLimited, Extensions: []string{"YSCSS=420JPEG", "COLORRANGE=LIMITED"},
		}},
		{"YUV4MPEG2 W5 H3 F30000:1001 It A128:117 C420mpeg2 XCOLORRANGE=FULL", 15 + 12, Y4MHeader{
			Format: I420, Width: 5, Height: 3, Rate: Ratio{30000, 1001}, Interlace: InterlaceTopFirst, Aspect: Ratio{128, 117},
			Siting: SitingLeft, Range: RangeFull, Extensions: []string{"COLORRANGE=FULL"},
		}},
		{"YUV4MPEG2 W2 H2 F0:0 Ib A0:0 C420paldv", 6, Y4MHeader{Format: I420, Width: 2, Height: 2, Interlace: InterlaceBottomFirst, Siting: SitingPALDV}},
		{"YUV4MPEG2 W2 H2 F0:0 Im A0:0 C420", 6, Y4MHeader{Format: I420, Width: 2, Height: 2, Interlace: InterlaceMixed}},
		{"YUV4MPEG2 W3 H2 F1:1 I? A0:0 Cmono", 6, Y4MHeader{Format: Gray, Width: 3, Height: 2, Rate: Ratio{1, 1}}},
		{"YUV4MPEG2 W3 H2 F1:1 I? A0:0 Cmono16", 12, Y4MHeader{Format: Gray16, Width: 3, Height: 2, Rate: Ratio{1, 1}}},
	} {
		in := y4mStream(c.header, 3, c.size)
		for _, pad := range []int{0, 1, 64} {
			out, h, n, err := throughY4M(iotest.OneByteReader(bytes.NewReader(in)), pad)
			if err != nil || n != 3 || !bytes.Equal(in, out) {
				t.Errorf("%s, padded with %d: %d pictures, %v\n%q\n%q", c.header, pad, n, err, in, out)
			} else if !reflect.DeepEqual(h, &c.want) {
				t.Errorf("%s reads as %+v", c.header, h)
			}
		}
		for cut := range in {
			if _, _, _, err := throughY4M(bytes.NewReader(in[:cut]), 0); err == nil {
				if n := cut - len(c.header) - 1; n%(c.size+6) != 0 {
					t.Errorf("%s, cut off at %d: nothing is missed", c.header, cut)
				}
			} else if !errors.Is(err, io.ErrUnexpectedEOF) && (cut > 0 || !errors.Is(err, io.EOF)) {
				t.Errorf("%s, cut off at %d: %v", c.header, cut, err)
			}
		}
	}
}

// Samples are stored where the format has them.
func TestY4MPlanes(t *testing.T) {
	y, err := NewY4MReader(bytes.NewReader(y4mStream("YUV4MPEG2 W3 H2 C420", 1, 6+2+2)))
	if err != nil {
		t.Fatal(err)
	}
	spec := y.Spec()
	spec.Stride, spec.Seq = 16, 9
	f := mustNew(t, spec)
	if err := y.ReadFrame(f); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(f.Pix(0)[16:19], []byte{3, 4, 5}) || !bytes.Equal(f.Pix(1), []byte{6, 7}) || !bytes.Equal(f.Pix(2), []byte{8, 9}) || f.Seq() != 9 {
		t.Errorf("%v, %v, %v", f.Pix(0), f.Pix(1), f.Pix(2))
	}
	if f.Spec().Siting != SitingUnknown || f.Spec().Format != I420 {
		t.Errorf("%+v", f.Spec())
	}
}

func TestY4MDefaults(t *testing.T) {
	y, err := NewY4MReader(strings.NewReader("YUV4MPEG2 H2  W3\nFRAME"))
	if err != nil {
		t.Fatal(err)
	}
	if want := (&Y4MHeader{Format: I420, Width: 3, Height: 2, Siting: SitingCentre}); !reflect.DeepEqual(y.Header(), want) {
		t.Errorf("%+v, want %+v", y.Header(), want)
	}
	var out bytes.Buffer
	h := &Y4MHeader{Format: I420, Width: 3, Height: 2, Siting: SitingLeft, Range: RangeFull, Extensions: []string{"A"}}
	if _, err := NewY4MWriter(&out, h); err != nil || out.String() != "YUV4MPEG2 W3 H2 F0:0 I? A0:0 C420mpeg2 XA XCOLORRANGE=FULL\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func TestY4MParams(t *testing.T) {
	in := []byte("YUV4MPEG2 W2 H1 F0:0 Im A0:0 Cmono\nFRAME It XA=1 \nabFRAME\ncdFRAME Ib\nef")
	if out, _, n, err := throughY4M(bytes.NewReader(in), 0); err != nil || n != 3 || !bytes.Equal(in, out) {
		t.Errorf("%q, %d, %v", out, n, err)
	}
	w, err := NewY4MWriter(io.Discard, &Y4MHeader{Format: Gray, Width: 2, Height: 1})
	if err != nil {
		t.Fatal(err)
	}
	f := mustNew(t, Spec{Format: Gray, Width: 2, Height: 1})
	for _, p := range []string{"It\nFRAME", strings.Repeat("x", maxY4MLine)} {
		if err := w.WriteFrame(f, []byte(p)); !errors.Is(err, ErrY4M) {
			t.Errorf("parameters %.9q: %v", p, err)
		}
	}
	if err := w.WriteFrame(mustNew(t, Spec{Format: Gray, Width: 2, Height: 2}), nil); !errors.Is(err, ErrSpec) {
		t.Errorf("another size: %v", err)
	}
	if err := w.WriteFrame(&Frame{}, nil); !errors.Is(err, ErrSpec) {
		t.Errorf("an empty frame: %v", err)
	}
}

func TestY4MRefuses(t *testing.T) {
	for header, want := range map[string]error{
		"YUV4MPEG":                                            io.ErrUnexpectedEOF,
		"RIFF12345678":                                        ErrY4M,
		"YUV4MPEG2W2 H2":                                      ErrY4M,
		"YUV4MPEG2":                                           ErrY4M,
		"YUV4MPEG2 W2":                                        ErrY4M,
		"YUV4MPEG2 W2 H0":                                     ErrY4M,
		"YUV4MPEG2 W-2 H2":                                    ErrY4M,
		"YUV4MPEG2 W2 H16385":                                 ErrY4M,
		"YUV4MPEG2 W99999999999999999999 H2":                  ErrY4M,
		"YUV4MPEG2 W2 H2 F25":                                 ErrY4M,
		"YUV4MPEG2 W2 H2 F25:0":                               ErrY4M,
		"YUV4MPEG2 W2 H2 F-1:1":                               ErrY4M,
		"YUV4MPEG2 W2 H2 A1:4294967296":                       ErrY4M,
		"YUV4MPEG2 W2 H2 I":                                   ErrY4M,
		"YUV4MPEG2 W2 H2 Ix":                                  ErrY4M,
		"YUV4MPEG2 W2 H2 Ipt":                                 ErrY4M,
		"YUV4MPEG2 W2 H2 Zx":                                  ErrY4M,
		"YUV4MPEG2 W2 H2 C444":                                errors.ErrUnsupported,
		"YUV4MPEG2 W2 H2 C422":                                errors.ErrUnsupported,
		"YUV4MPEG2 W2 H2 C420p10":                             errors.ErrUnsupported,
		"YUV4MPEG2 W2 H2 C":                                   errors.ErrUnsupported,
		"YUV4MPEG2 W4 H2 XYSCSS=411":                          errors.ErrUnsupported,
		"YUV4MPEG2 W4 H2 XYSCSS=410":                          errors.ErrUnsupported,
		"YUV4MPEG2 XYSCSS=422 W2 H2":                          errors.ErrUnsupported,
		"YUV4MPEG2 W2 H2 XYSCSS=444 Ip":                       errors.ErrUnsupported,
		"YUV4MPEG2 W2 H2 XYSCSS=444P10":                       errors.ErrUnsupported,
		"YUV4MPEG2 W2 H2 XYSCSS=420P10":                       errors.ErrUnsupported,
		"YUV4MPEG2 W2 H2 XYSCSS=444ALPHA":                     errors.ErrUnsupported,
		"YUV4MPEG2 W2 H2 XYSCSS=MONO":                         errors.ErrUnsupported,
		"YUV4MPEG2 W2 H2 XYSCSS=":                             errors.ErrUnsupported,
		"YUV4MPEG2 W2 H2 XYSCSS=420jpeg":                      errors.ErrUnsupported,
		"YUV4MPEG2 W2 H2 XYSCSS=444 XYSCSS=420JPEG":           errors.ErrUnsupported,
		"YUV4MPEG2 W2 H2 X" + strings.Repeat("x", maxY4MLine): ErrY4M,
	} {
		_, err := NewY4MReader(strings.NewReader(header + "\n"))
		if !errors.Is(err, want) {
			t.Errorf("%.50q: %v, want %v", header, err, want)
		}
		if want == errors.ErrUnsupported && !(strings.Contains(err.Error(), "C420jpeg, C420mpeg2") && strings.Contains(err.Error(), "-pix_fmt yuv420p")) {
			t.Errorf("%q: %v, which does not name what there is", header, err)
		}
	}
	// Without a C tag the extension tells the siting; with one it is not heeded, as ffmpeg
	// does.
	for header, want := range map[string]Siting{
		"": SitingCentre, " XYSCSS=420JPEG": SitingCentre, " XYSCSS=420MPEG2": SitingLeft, " XYSCSS=420PALDV": SitingPALDV,
		" XYSCSS=420": SitingUnknown, " C420mpeg2 XYSCSS=444": SitingLeft, " XYSCSS=411 C420paldv": SitingPALDV,
	} {
		y, err := NewY4MReader(strings.NewReader("YUV4MPEG2 W2 H2" + header + "\n"))
		if err != nil {
			t.Errorf("%q: %v", header, err)
		} else if h := y.Header(); h.Format != I420 || h.Siting != want {
			t.Errorf("%q is %v, %v, want %v", header, h.Format, h.Siting, want)
		}
	}
	for _, c := range []struct {
		h    Y4MHeader
		want error
	}{
		{Y4MHeader{Format: NV12, Width: 2, Height: 2}, errors.ErrUnsupported},
		{Y4MHeader{Format: RGB, Width: 2, Height: 2}, errors.ErrUnsupported},
		{Y4MHeader{Format: I420, Width: 2}, ErrSpec},
		{Y4MHeader{Format: I420, Width: 2, Height: 2, Interlace: 5}, ErrSpec},
		{Y4MHeader{Format: I420, Width: 2, Height: 2, Rate: Ratio{-1, 1}}, ErrSpec},
		{Y4MHeader{Format: I420, Width: 2, Height: 2, Extensions: []string{"A B"}}, ErrY4M},
		{Y4MHeader{Format: I420, Width: 2, Height: 2, Extensions: []string{"A\nFRAME"}}, ErrY4M},
		{Y4MHeader{Format: I420, Width: 2, Height: 2, Extensions: []string{strings.Repeat("x", maxY4MLine)}}, ErrY4M},
	} {
		if _, err := NewY4MWriter(io.Discard, &c.h); !errors.Is(err, c.want) {
			t.Errorf("%.200v: %v, want %v", c.h, err, c.want)
		}
	}
	for _, picture := range []string{"FRAMES\nabcd", "frame\nabcd", "FRAME\tI\nabcd", "\nFRAME\nabcd", "FRAME " + strings.Repeat("x", maxY4MLine) + "\n"} {
		y, err := NewY4MReader(strings.NewReader("YUV4MPEG2 W2 H2 Cmono\n" + picture))
		if err != nil {
			t.Fatal(err)
		}
		if err := y.ReadFrame(&Frame{}); !errors.Is(err, ErrSpec) {
			t.Errorf("on an empty frame: %v", err)
		}
		if err := y.ReadFrame(mustNew(t, y.Spec())); !errors.Is(err, ErrY4M) {
			t.Errorf("%.20q: %v", picture, err)
		}
	}
	broken := errors.New("broken")
	if _, err := NewY4MReader(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("a broken reader: %v", err)
	}
	if _, err := NewY4MReader(strings.NewReader("")); err != io.EOF {
		t.Errorf("an empty stream: %v", err)
	}
}

// The reader takes no byte more than it needs, and allocates nothing for a picture.
func TestY4MReads(t *testing.T) {
	in := bytes.NewReader(y4mStream("YUV4MPEG2 W16 H16 Cmono", 100, 256))
	y, err := NewY4MReader(in)
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewY4MWriter(io.Discard, y.Header())
	if err != nil {
		t.Fatal(err)
	}
	f := mustNew(t, y.Spec())
	left := in.Len()
	turn := func() {
		if err := errors.Join(y.ReadFrame(f), w.WriteFrame(f, nil)); err != nil {
			t.Fatal(err)
		}
		if left -= 256 + 6; in.Len() != left {
			t.Fatalf("%d bytes are left, want %d", in.Len(), left)
		}
	}
	if n := testing.AllocsPerRun(50, turn); n != 0 {
		t.Errorf("%v allocations a picture", n)
	}
}

func FuzzY4M(f *testing.F) {
	f.Add(y4mStream("YUV4MPEG2 W4 H2 F25:1 Ip A1:1 C420jpeg XYSCSS=420JPEG XCOLORRANGE=LIMITED", 2, 12))
	f.Add(y4mStream("YUV4MPEG2 W4 H2 C444", 1, 24))
	f.Add([]byte("YUV4MPEG2 W3 H2 Im Cmono\nFRAME It\n123456"))
	f.Add([]byte("YUV4MPEG2 W16384 H16384\nFRAME\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		known := func(err error) bool {
			return errors.Is(err, ErrY4M) || errors.Is(err, errors.ErrUnsupported) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		}
		y, err := NewY4MReader(bytes.NewReader(in))
		if err != nil {
			if !known(err) {
				t.Error(err)
			}
			return
		}
		if s := y.Spec(); s.Size() > 1<<20 {
			return
		}
		out, h, n, err := throughY4M(bytes.NewReader(in), 0)
		if err != nil && !known(err) {
			t.Error(err)
		}
		if out == nil { // a line that grew by what was not said
			return
		}
		again, h2, n2, err := throughY4M(bytes.NewReader(out), 3)
		if err != nil || n2 != n || !bytes.Equal(out, again) || !reflect.DeepEqual(h, h2) {
			t.Errorf("%q, %d pictures, becomes %q, %d, %v", out, n, again, n2, err)
		}
	})
}

// A stream that ffmpeg writes is written again unchanged, and ffmpeg reads the same pictures from
// it.
func TestY4MFFmpeg(t *testing.T) {
	ffmpeg, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("ffmpeg is not installed (apt-get install ffmpeg)")
	}
	run := func(in []byte, args ...string) []byte {
		t.Helper()
		cmd := exec.Command(ffmpeg, append([]string{"-hide_banner", "-loglevel", "error"}, args...)...)
		var stderr bytes.Buffer
		cmd.Stdin, cmd.Stderr = bytes.NewReader(in), &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("ffmpeg %v: %v\n%s", args, err, &stderr)
		}
		return out
	}
	for _, c := range []struct {
		name   string
		args   string
		format Format
	}{
		{"i420", "-pix_fmt yuv420p", I420},
		{"odd", "-vf scale=321:241 -pix_fmt yuv420p", I420},
		{"mpeg2", "-pix_fmt yuv420p -chroma_sample_location left", I420},
		{"paldv", "-pix_fmt yuv420p -chroma_sample_location topleft", I420},
		{"full range", "-pix_fmt yuvj420p", I420},
		{"aspect and rate", "-vf setsar=128/117 -r 30000/1001 -pix_fmt yuv420p", I420},
		{"interlaced", "-vf setfield=tff -field_order tt -pix_fmt yuv420p", I420},
		{"gray", "-pix_fmt gray", Gray},
		{"gray16", "-pix_fmt gray16le -strict -1", Gray16},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := append(strings.Fields("-f lavfi -i testsrc=size=320x240:rate=25 -frames:v 5"), strings.Fields(c.args)...)
			in := run(nil, append(args, strings.Fields("-f yuv4mpegpipe -")...)...)
			line, _, _ := bytes.Cut(in, []byte("\n"))
			t.Logf("%s", line)
			for _, pad := range []int{0, 5} {
				out, h, n, err := throughY4M(bytes.NewReader(in), pad)
				if err != nil || n != 5 || h.Format != c.format {
					t.Fatalf("%d pictures of %v, %v", n, h.Format, err)
				}
				if !bytes.Equal(in, out) {
					line2, _, _ := bytes.Cut(out, []byte("\n"))
					t.Errorf("%d bytes that begin with %q become %d with %q", len(in), line, len(out), line2)
				}
				md5 := strings.Fields("-f yuv4mpegpipe -i - -f framemd5 -")
				if a, b := run(in, md5...), run(out, md5...); !bytes.Equal(a, b) || bytes.Count(a, []byte("\n0,")) != 5 {
					t.Errorf("framemd5 is\n%s\nand then\n%s", a, b)
				}
			}
		})
	}
	t.Run("made here", func(t *testing.T) {
		var out bytes.Buffer
		w, err := NewY4MWriter(&out, &Y4MHeader{Format: I420, Width: 64, Height: 48, Rate: Ratio{25, 1}, Range: RangeFull, Siting: SitingCentre})
		if err != nil {
			t.Fatal(err)
		}
		rgb := noise(mustNew(t, Spec{Format: RGB, Width: 64, Height: 48}), 1)
		f := mustNew(t, Spec{Format: I420, Width: 64, Height: 48})
		Draw(f, rgb.Image())
		if err := w.WriteFrame(f, nil); err != nil {
			t.Fatal(err)
		}
		want := fmt.Appendf(nil, "%s%s%s", f.Pix(0), f.Pix(1), f.Pix(2))
		if got := run(out.Bytes(), strings.Fields("-f yuv4mpegpipe -i - -f rawvideo -")...); !bytes.Equal(got, want) {
			t.Errorf("ffmpeg sees %d other bytes than the %d written", len(got), len(want))
		}
	})
}

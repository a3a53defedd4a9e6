package frame_test

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"io"
	"time"

	"samepage/frame"
)

// A camera's picture goes from one process to another. Here the message takes the place of the
// memory that both see.
func Example() {
	spec := frame.Spec{Format: frame.BGR, Width: 640, Height: 480}
	message := make([]byte, spec.Size())

	// The process with the camera.
	out, err := frame.New(message, spec)
	check(err)
	copy(out.Pix(0), []byte{255, 128, 0}) // blue, green, red of the first pixel
	out.SetSeq(1)

	// The other process reads the pixels in place.
	in, err := frame.Open(message)
	check(err)
	fmt.Println(in.Format(), in.Width(), in.Height(), in.Bits(), in.Seq())
	fmt.Println(in.Image().At(0, 0))
	// Output:
	// bgr 640 480 24 1
	// {0 128 255 255}
}

// One Frame is enough for a stream whose pictures differ in size. Its messages need room for the
// largest one.
func ExampleFrame() {
	sizes := []frame.Spec{
		{Format: frame.Gray, Width: 640, Height: 480},
		{Format: frame.RGBA, Width: 3840, Height: 2160},
		{Format: frame.Gray, Width: 640, Height: 480},
	}
	message := make([]byte, sizes[1].Size())
	var out, in frame.Frame
	for i, spec := range sizes {
		spec.Seq = uint64(i)
		check(out.Reset(message, spec))
		frame.Draw(&out, image.White)

		check(in.Attach(message))
		fmt.Printf("%d: %T %v\n", in.Seq(), in.Image(), in.Image().Bounds())
	}
	// Output:
	// 0: *image.Gray (0,0)-(640,480)
	// 1: *image.NRGBA (0,0)-(3840,2160)
	// 2: *image.Gray (0,0)-(640,480)
}

func ExampleSpec() {
	spec := frame.Spec{
		Format: frame.Gray16, Width: 512, Height: 256,
		Seq: 7, Time: time.Unix(1_700_000_000, 0),
		Region: image.Rect(1024, 768, 2048, 1280), // of the sensor, of which 2 x 2 pixels make one
	}
	fmt.Println(spec.Size(), "bytes", spec.Check())
	spec.Stride = 1000
	fmt.Println(spec.Check())
	// Output:
	// 262400 bytes <nil>
	// frame: Stride is 1000, want 0, or at least the 1024 bytes of a row: wrong picture specification
}

func ExampleParseFormat() {
	f, err := frame.ParseFormat("nv12")
	check(err)
	fmt.Println(f, f.Planes(), f.Bits())
	// Output: nv12 2 12
}

// A BGR picture, as OpenCV programs have it, becomes gray.
func ExampleDraw() {
	from := frame.Spec{Format: frame.BGR, Width: 2, Height: 1}
	bgr, err := frame.New(make([]byte, from.Size()), from)
	check(err)
	copy(bgr.Pix(0), []byte{0, 0, 255, 255, 255, 255}) // red, white

	to := frame.Spec{Format: frame.Gray, Width: 2, Height: 1}
	gray, err := frame.New(make([]byte, to.Size()), to)
	check(err)
	frame.Draw(gray, bgr.Image())
	fmt.Println(gray.Pix(0))
	// Output: [76 255]
}

func ExamplePackedImage() {
	p := &frame.PackedImage{Format: frame.BGRA, Pix: make([]byte, 4*4), Stride: 8, Rect: image.Rect(0, 0, 2, 2)}
	p.Set(1, 0, color.NRGBA{R: 10, G: 20, B: 30, A: 255})
	fmt.Println(p.Pix[:8])
	// Output: [0 0 0 0 30 20 10 255]
}

func ExampleGray16Image() {
	p := &frame.Gray16Image{Pix: make([]byte, 4), Stride: 4, Rect: image.Rect(0, 0, 2, 1)}
	p.Set(1, 0, color.Gray16{Y: 0x1234})
	fmt.Printf("% x\n", p.Pix)
	// Output: 00 00 34 12
}

// The same samples are white in one range and gray in the other.
func ExampleYUVImage() {
	colours := []byte{128, 128}
	p := &frame.YUVImage{Format: frame.NV12, Y: []byte{235}, Cb: colours, Cr: colours[1:], YStride: 1, CStride: 2, Rect: image.Rect(0, 0, 1, 1)}
	p.Range = frame.RangeLimited
	fmt.Println(p.At(0, 0))
	p.Range = frame.RangeFull
	fmt.Println(p.At(0, 0))
	// Output:
	// {255 255 255 255}
	// {235 235 235 255}
}

// Pictures from a pipe of ffmpeg are read directly into the messages that are sent.
func ExampleY4MReader() {
	pipe := bytes.NewReader([]byte("YUV4MPEG2 W2 H2 F25:1 Ip A1:1 C420jpeg\nFRAME\nabcd12FRAME\nefgh34"))
	y, err := frame.NewY4MReader(pipe)
	check(err)
	spec := y.Spec()
	fmt.Println(spec.Format, spec.Width, spec.Height, y.Header().Rate)
	var f frame.Frame
	message := make([]byte, spec.Size())
	for spec.Seq = 0; ; spec.Seq++ {
		check(f.Reset(message, spec))
		if err := y.ReadFrame(&f); err == io.EOF {
			break
		} else {
			check(err)
		}
		fmt.Printf("%d: %s %s %s\n", f.Seq(), f.Pix(0), f.Pix(1), f.Pix(2))
	}
	// Output:
	// i420 2 2 25:1
	// 0: abcd 1 2
	// 1: efgh 3 4
}

func ExampleY4MWriter() {
	spec := frame.Spec{Format: frame.Gray, Width: 3, Height: 1}
	f, err := frame.New(make([]byte, spec.Size()), spec)
	check(err)
	copy(f.Pix(0), "abc")

	var pipe bytes.Buffer
	w, err := frame.NewY4MWriter(&pipe, &frame.Y4MHeader{Format: spec.Format, Width: 3, Height: 1, Rate: frame.Ratio{Num: 25, Den: 1}})
	check(err)
	check(w.WriteFrame(f))
	fmt.Println(pipe.String())
	// Output:
	// YUV4MPEG2 W3 H1 F25:1 I? A0:0 Cmono
	// FRAME
	// abc
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

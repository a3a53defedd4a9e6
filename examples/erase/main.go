// Erase is a job for a worker in another process. The client sends a picture to a service, as the
// bytes of a file. The worker responds with two pictures: the picture without its middle, and the
// middle. The request and both results are in shared memory.
//
//	go run ./examples/erase [photo.jpg]
//
// With a file it writes photo-erased.png and photo-region.png beside the file. Without a file it
// draws a picture, and writes no files. It ends by itself, or with Ctrl-C.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/draw"
	_ "image/gif"
	_ "image/jpeg"
	"image/png"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"

	"samepage/rpc"
)

func main() {
	run := client
	if len(os.Args) == 3 { // started by the client
		run = func() error { return worker(os.Args[2]) }
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func client() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	photo, path := drawn(), ""
	if len(os.Args) == 2 {
		path = os.Args[1]
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		st, err := f.Stat()
		if err != nil {
			return err
		}
		photo = io.NewSectionReader(f, 0, st.Size())
	}
	info, _, err := image.DecodeConfig(photo)
	if err != nil {
		return err
	}
	service := fmt.Sprintf("erase-%d", os.Getpid())
	c, err := rpc.CreateClient(service, &rpc.Options{
		Calls: 1, Request: int(photo.Size()),
		Response: 5*info.Width*info.Height + 64<<10, // enough for a PNG
	})
	if err != nil {
		return err
	}
	defer c.Close()
	// The first call starts the worker: this program, in another process. It ends with the supervisor,
	// also if the client is killed.
	workers, err := rpc.Supervise(service, rpc.SupervisorOptions{
		Command: func() (*exec.Cmd, error) {
			exe, err := os.Executable()
			return exec.Command(exe, "worker", service), err
		},
		Stop: rpc.StopWithStarter, Restart: rpc.RestartOnDemand,
	})
	if err != nil {
		return err
	}
	defer workers.Close()
	c.StartWith(workers)
	fmt.Printf("client: sending a picture of %d x %d pixels, %d bytes\n", info.Width, info.Height, photo.Size())
	err = send(ctx, c, photo, strings.TrimSuffix(path, filepath.Ext(path)))
	if errors.Is(err, context.Canceled) {
		err = nil // Ctrl-C
	}
	return err
}

// send calls the service, and takes the results one after the other. It saves them if there is a
// path, which begins their names.
func send(ctx context.Context, c *rpc.Client, photo *io.SectionReader, path string) error {
	call, err := c.Begin(ctx)
	if err != nil {
		return err
	}
	defer call.Release()
	n, err := photo.ReadAt(call.Request()[:photo.Size()], 0) // into the shared memory
	if err != nil {
		return err
	}
	result := "erased"
	for part, err := range call.Stream(ctx, n) {
		if err != nil {
			return err
		}
		fmt.Printf("client: the picture %q has %d bytes\n", result, len(part))
		if path != "" {
			if err := os.WriteFile(path+"-"+result+".png", part, 0o666); err != nil {
				return err
			}
		}
		result = "region"
	}
	return nil
}

func worker(service string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	w, err := rpc.OpenWorker(service, nil)
	if err != nil {
		return err
	}
	defer w.Close()
	if err := w.Serve(ctx, erase); ctx.Err() == nil {
		return err
	}
	return nil
}

// erase answers a call with two parts. Its error is the error of the call.
func erase(j *rpc.Job) error {
	src, _, err := image.Decode(bytes.NewReader(j.Request()))
	if err != nil {
		return fmt.Errorf("decode the picture: %w", err)
	}
	b := src.Bounds()
	middle := image.Rect(b.Min.X+b.Dx()/3, b.Min.Y+b.Dy()/3, b.Max.X-b.Dx()/3, b.Max.Y-b.Dy()/3)
	erased, region := image.NewNRGBA(b), image.NewNRGBA(middle)
	draw.Draw(erased, b, src, b.Min, draw.Src)
	draw.Draw(region, middle, src, middle.Min, draw.Src)
	draw.Draw(erased, middle, image.Transparent, image.Point{}, draw.Src)
	for _, m := range []image.Image{erased, region} {
		room, err := j.Response(j.MaxResponse())
		if err != nil {
			return err
		}
		out := bytes.NewBuffer(room[:0]) // in the shared memory
		if err := png.Encode(out, m); err != nil {
			return err
		}
		if _, err := j.Response(out.Len()); err != nil {
			return err
		}
		if err := j.Send(); err != nil {
			return err
		}
	}
	return nil
}

// drawn returns the bytes of a picture.
func drawn() *io.SectionReader {
	m := image.NewGray(image.Rect(0, 0, 640, 480))
	for i := range m.Pix {
		m.Pix[i] = byte(i/640 + i%640)
	}
	var b bytes.Buffer
	_ = png.Encode(&b, m) // memory has no errors
	return io.NewSectionReader(bytes.NewReader(b.Bytes()), 0, int64(b.Len()))
}

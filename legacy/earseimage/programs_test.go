package earseimage_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/legacy/earseimage"
)

func init() {
	helpers["earse worker"] = workerProgram
	helpers["earse requester"] = requesterProgram
}

const sectionName = "EaresImageSharedMemory"

// memory has the section, for tests that look at its bytes.
func memory(t *testing.T) *samepage.Memory {
	t.Helper()
	m, err := samepage.Open(sectionName, &samepage.Options{Exact: runtime.GOOS == "windows"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m
}

func int32In(t *testing.T, m *samepage.Memory, at int64) int32 {
	t.Helper()
	var b [4]byte
	if _, err := m.ReadAt(b[:], at); err != nil {
		t.Fatal(err)
	}
	return int32(binary.LittleEndian.Uint32(b[:]))
}

// picture writes a PNG that is different for each number.
func picture(t *testing.T, dir string, n int) string {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, 5+n%7, 4+n%5))
	for i := range img.Pix {
		img.Pix[i] = byte(i*31 + n*17)
		if i%4 == 3 {
			img.Pix[i] = 255
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, fmt.Sprint(n, ".png"))
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// negative and mirrored make the two results of the workers in these tests.
func negative(img image.Image) image.Image {
	return mapped(img, func(r, g, b uint8) color.NRGBA { return color.NRGBA{255 - r, 255 - g, 255 - b, 255} }, false)
}

func mirrored(img image.Image) image.Image {
	return mapped(img, func(r, g, b uint8) color.NRGBA { return color.NRGBA{r, g, b, 255} }, true)
}

func mapped(img image.Image, f func(r, g, b uint8) color.NRGBA, flip bool) image.Image {
	out := image.NewNRGBA(img.Bounds())
	for y := range img.Bounds().Dy() {
		for x := range img.Bounds().Dx() {
			r, g, b, _ := img.At(x, y).RGBA()
			to := y
			if flip {
				to = img.Bounds().Dy() - 1 - y
			}
			out.SetNRGBA(x, to, f(uint8(r>>8), uint8(g>>8), uint8(b>>8)))
		}
	}
	return out
}

// makeTwo does the jobs of the workers in these tests.
func makeTwo(path string) (first, second []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	img, _, err := image.Decode(f)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	var a, b bytes.Buffer
	err = errors.Join(png.Encode(&a, negative(img)), png.Encode(&b, mirrored(img)))
	return a.Bytes(), b.Bytes(), err
}

// wantResults decodes an answer and compares it with images that the test makes itself.
func wantResults(t *testing.T, path string, a *earseimage.Answer) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	img, _, err := image.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []image.Image{negative(img), mirrored(img)} {
		got, err := a.Decode(i)
		if err != nil {
			t.Errorf("result %d of %s: %v", i, path, err)
			continue
		}
		same := got.Bounds() == want.Bounds()
		for y := 0; same && y < want.Bounds().Dy(); y++ {
			for x := range want.Bounds().Dx() {
				if color.NRGBAModel.Convert(got.At(x, y)) != want.At(x, y) {
					same = false
				}
			}
		}
		if !same {
			t.Errorf("result %d of %s is another picture", i, path)
		}
	}
}

func pngJob(path string) earseimage.Job {
	return earseimage.Job{Source: path, Type: earseimage.PNG}
}

// workerProgram is a worker that does what the extension of a job says, and reports it: with "hang"
// it waits until a line comes or it must end, with "exit" it ends within the job.
func workerProgram([]string) {
	ctx, cancel := context.WithCancel(context.Background())
	lines := make(chan string)
	go func() {
		in := bufio.NewScanner(os.Stdin)
		for in.Scan() {
			if in.Text() == "end" {
				cancel()
				continue
			}
			lines <- in.Text()
		}
		cancel()
	}()
	err := earseimage.Serve(ctx, &earseimage.WorkerOptions{
		Ready: func() { fmt.Println("ready") },
		Log:   func(err error) { fmt.Fprintln(os.Stderr, "worker's log:", err) },
	}, func(ctx context.Context, j earseimage.Job) ([]byte, []byte, error) {
		switch j.Extension {
		case "hang":
			fmt.Println("hangs", filepath.Base(j.Source))
			select {
			case <-lines:
			case <-ctx.Done():
				return nil, nil, ctx.Err()
			}
		case "exit":
			os.Exit(7)
		}
		return makeTwo(j.Source)
	})
	fmt.Println("ended", errors.Is(err, context.Canceled), err)
}

func startWorker(t *testing.T) *ipctest.Child {
	t.Helper()
	c := ipctest.Start(t, "earse worker")
	if l := c.Line(); l != "ready" {
		t.Fatalf("worker says %q", l)
	}
	return c
}

// requesterProgram sends a job at which the worker hangs, until the requester is killed. Or it just
// waits.
func requesterProgram(args []string) {
	r, err := earseimage.CreateRequester(nil)
	if err != nil {
		fmt.Println("err", errors.Is(err, fs.ErrExist), err)
		return
	}
	defer r.Close()
	fmt.Println("ready")
	j := pngJob(args[0])
	j.Extension = "hang"
	wait := func(ctx context.Context) { _, err = r.Do(ctx, j) }
	if len(args) > 1 {
		fmt.Println("ok", ipctest.RestCost(wait))
		return
	}
	wait(context.Background())
	fmt.Println("done", err)
}

// serveHere runs a worker in the process of the test, until the test ends.
func serveHere(t *testing.T, do func(context.Context, earseimage.Job) ([]byte, []byte, error)) (logged func() string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ready, ended := make(chan struct{}), make(chan error, 1)
	var mu sync.Mutex
	var log strings.Builder
	go func() {
		ended <- earseimage.Serve(ctx, &earseimage.WorkerOptions{
			Ready: func() { close(ready) },
			Log: func(err error) {
				mu.Lock()
				defer mu.Unlock()
				fmt.Fprintln(&log, errors.Is(err, samepage.ErrTooLarge), err)
			},
		}, do)
	}()
	select {
	case <-ready:
	case err := <-ended:
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the worker ends with %v", err)
		}
	})
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		return log.String()
	}
}

func newRequester(t *testing.T) *earseimage.Requester {
	t.Helper()
	r, err := earseimage.CreateRequester(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// start begins each test of this package. The tests share names, so they do not run in parallel.
func start(t *testing.T) (ctx context.Context, dir string) {
	t.Helper()
	ipctest.NeedNames(t)
	ipctest.Alone(t, "EarseImage")
	ipctest.Store(t)
	ctx, cancel := context.WithTimeout(context.Background(), 5*ipctest.Patience)
	t.Cleanup(cancel)
	return ctx, ipctest.Dir(t)
}

func wantIs(t *testing.T, err, want error, texts ...string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error is %v, want %v", err, want)
		return
	}
	for _, s := range texts {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("error %q does not have %q", err, s)
		}
	}
}

package rpc_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"strings"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/rpc"
)

// The rows of the articles that the service shows: jobs for a worker in another process.

func init() {
	helpers["eraser"] = eraser
	helpers["idle client"] = idleClient
	helpers["idle worker"] = idleWorker
}

// eraser is a worker. Its request is a picture in PNG, and its response are two: the picture
// without its middle, and the middle. Other requests say what else it does.
func eraser([]string) {
	w, _, err := rpc.OpenOrCreateWorker("s", nil)
	if err != nil {
		panic(err)
	}
	fmt.Println("ready")
	panic(w.Serve(bg, func(j *rpc.Job) error {
		switch string(j.Request()) {
		case "die":
			os.Exit(259) // on Windows this code also means that a process runs
		case "hang":
			fmt.Println("hangs")
			time.Sleep(time.Hour)
		case "wait":
			fmt.Println("waits")
			<-j.Context().Done()
			fmt.Println("ends:", context.Cause(j.Context()))
			return nil
		}
		src, err := png.Decode(bytes.NewReader(j.Request()))
		if err != nil {
			return fmt.Errorf("load the picture: %w", err)
		}
		erased, middle := split(src)
		return respond(j, encode(erased), encode(middle))
	}))
}

// respond responds with parts: the offset and the size of each, and then their bytes.
func respond(j *rpc.Job, parts ...[]byte) error {
	size := 8 * len(parts)
	for _, p := range parts {
		size += len(p)
	}
	b, err := j.Response(size)
	if err != nil {
		return err
	}
	at := 8 * len(parts)
	for i, p := range parts {
		binary.LittleEndian.PutUint32(b[8*i:], uint32(at))
		binary.LittleEndian.PutUint32(b[8*i+4:], uint32(len(p)))
		at += copy(b[at:], p)
	}
	return nil
}

// part returns part i of a response of respond.
func part(t *testing.T, b []byte, i int) image.Image {
	t.Helper()
	at, n := binary.LittleEndian.Uint32(b[8*i:]), binary.LittleEndian.Uint32(b[8*i+4:])
	if uint64(at)+uint64(n) > uint64(len(b)) {
		t.Fatalf("part %d has %d bytes at %d, the response has %d", i, n, at, len(b))
	}
	m, err := png.Decode(bytes.NewReader(b[at:][:n]))
	ipctest.NoErr(t, err)
	return m
}

func encode(m image.Image) []byte {
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		panic(err)
	}
	return b.Bytes()
}

func split(src image.Image) (erased, middle *image.Gray) {
	r := src.Bounds()
	in := r.Inset(r.Dx() / 4)
	erased, middle = image.NewGray(r), image.NewGray(r)
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			to := erased
			if image.Pt(x, y).In(in) {
				to = middle
			}
			to.Set(x, y, src.At(x, y))
		}
	}
	return erased, middle
}

func picture(n int) *image.Gray {
	m := image.NewGray(image.Rect(0, 0, 40, 40))
	for i := range m.Pix {
		m.Pix[i] = byte(i*7 + n)
	}
	return m
}

func startEraser(t *testing.T) (*ipctest.Child, *rpc.Client) {
	t.Helper()
	ipctest.NeedNames(t)
	ipctest.Store(t)
	w := ipctest.Start(t, "eraser")
	if l := w.Line(); l != "ready" {
		t.Fatal(l)
	}
	c, err := rpc.OpenClient("s", nil)
	ipctest.NoErr(t, err)
	t.Cleanup(func() { ipctest.NoErr(t, c.Close()) })
	return w, c
}

// One process asks with a picture, another one makes two pictures of it, and the first one decodes
// both.
func TestMission000_24_Service(t *testing.T) {
	_, c := startEraser(t)
	for n := range ipctest.Repeat(t, 200, 20, "SAMEPAGE_EXCHANGES") {
		src := picture(n)
		resp, err := c.Call(bg, encode(src))
		ipctest.NoErr(t, err)
		erased, middle := split(src)
		for i, want := range []*image.Gray{erased, middle} {
			got := part(t, resp, i)
			if !same(got, want) {
				t.Fatalf("picture %d, result %d is another picture", n, i)
			}
		}
	}
}

func same(a, b image.Image) bool {
	if a.Bounds() != b.Bounds() {
		return false
	}
	r := a.Bounds()
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			if color.GrayModel.Convert(a.At(x, y)) != color.GrayModel.Convert(b.At(x, y)) {
				return false
			}
		}
	}
	return true
}

// A picture that is none is an error with the text of the worker, and the next call works.
func TestMission000_26_Service(t *testing.T) {
	_, c := startEraser(t)
	for range 3 {
		_, err := c.Call(bg, []byte("no picture"))
		var e *rpc.Error
		if !errors.As(err, &e) || !strings.Contains(e.Text, "load the picture: png: invalid format") {
			t.Fatal(err)
		}
		_, err = c.Call(bg, encode(picture(1)))
		ipctest.NoErr(t, err)
	}
}

// Without a worker a call fails at once. A worker that ends or is killed during a call ends the
// call. The next call goes to another worker.
func TestMission000_27_Service(t *testing.T) {
	w, c := startEraser(t)
	pid := w.PID()
	_, err := c.Call(bg, []byte("die"))
	ipctest.WantErr(t, err, samepage.ErrPeerDied)
	var died *rpc.PeerDiedError
	if !errors.As(err, &died) || died.PID != pid || died.Noticed.IsZero() {
		t.Errorf("%+v does not name process %d", died, pid)
	}
	_, err = c.Call(bg, nil)
	ipctest.WantErr(t, err, samepage.ErrPeerNotStarted)
	w = ipctest.Start(t, "eraser")
	w.Line()
	_, err = c.Call(bg, encode(picture(1)))
	ipctest.NoErr(t, err)
	failed := make(chan error)
	go func() { _, err := c.Call(bg, []byte("hang")); failed <- err }()
	if l := w.Line(); l != "hangs" {
		t.Fatal(l)
	}
	w.Kill()
	ipctest.WantErr(t, <-failed, samepage.ErrPeerDied)
}

// deadline is a context whose deadline comes when the test says so.
type deadline struct {
	context.Context
	comes chan struct{}
}

func (d deadline) Done() <-chan struct{} { return d.comes }

func (d deadline) Err() error {
	select {
	case <-d.comes:
		return context.DeadlineExceeded
	default:
		return nil
	}
}

// A caller that gives up returns although its worker hangs, and gets no late answer. The worker
// learns that.
func TestMission000_28_Service(t *testing.T) {
	w, c := startEraser(t)
	for range 20 {
		ctx := deadline{bg, make(chan struct{})}
		failed := make(chan error, 1)
		go func() {
			_, err := c.Call(ctx, []byte("wait"))
			failed <- err
		}()
		if l := w.Line(); l != "waits" {
			t.Fatal(l)
		}
		close(ctx.comes)
		ipctest.WantErr(t, <-failed, os.ErrDeadlineExceeded, "has not answered yet")
		if l := w.Line(); !strings.HasPrefix(l, "ends:") {
			t.Fatal(l)
		}
		src := picture(3)
		resp, err := c.Call(bg, encode(src))
		ipctest.NoErr(t, err)
		if _, middle := split(src); !same(part(t, resp, 1), middle) {
			t.Fatal("the answer is another call's")
		}
	}
}

// One request gives exactly one frame, and without a request there is none.
func TestMission003_05_Service(t *testing.T) {
	taken := 0
	s := serve(t, nil, func(j *rpc.Job) error {
		taken++
		return respond(j, encode(picture(taken)))
	})
	for n := 1; n <= 10; n++ {
		resp, err := s.Call(bg, []byte("capture"))
		ipctest.NoErr(t, err)
		if !same(part(t, resp, 0), picture(n)) {
			t.Fatalf("frame %d is another one", n)
		}
	}
	ipctest.NoErr(t, s.end())
	if taken != 10 {
		t.Errorf("%d frames were taken for 10 requests", taken)
	}
}

// Without a service or a worker there is an error at once, or a wait until it starts.
func TestMission003_17_Service(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	_, err := rpc.OpenClient("s", nil)
	ipctest.WantErr(t, err, os.ErrNotExist)
	came := make(chan error, 1)
	go func() {
		c, err := rpc.AwaitClient(bg, "s", nil)
		if err == nil {
			if err = c.AwaitWorker(bg); err == nil {
				_, err = c.Call(bg, encode(picture(1)))
			}
			err = errors.Join(err, c.Close())
		}
		came <- err
	}()
	w := ipctest.Start(t, "eraser")
	w.Line()
	ipctest.NoErr(t, <-came)
}

// A client and a worker that wait do not poll.
func TestMission000_22_ServiceIdle(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 11 s")
	}
	w, _ := startEraser(t)
	client := ipctest.Start(t, "idle client")
	if l := w.Line(); l != "hangs" {
		t.Fatal(l)
	}
	ipctest.WantIdle(t, client, ipctest.Start(t, "idle worker"))
}

func idleClient([]string) {
	c, err := rpc.OpenClient("s", nil)
	if err != nil {
		panic(err)
	}
	fmt.Println("ok", ipctest.RestCost(func(ctx context.Context) { _, _ = c.Call(ctx, []byte("hang")) }))
}

func idleWorker([]string) {
	w, err := rpc.OpenWorker("s", nil)
	if err != nil {
		panic(err)
	}
	fmt.Println("ok", ipctest.RestCost(func(ctx context.Context) { _ = w.Serve(ctx, func(*rpc.Job) error { return nil }) }))
}

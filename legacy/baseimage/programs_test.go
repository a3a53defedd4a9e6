package baseimage_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"samepage"
	"samepage/frame"
	"samepage/internal/ipctest"
	"samepage/ipcsync"
	"samepage/legacy/baseimage"
)

func init() {
	helpers["base"] = baseProgram
	helpers["algorithm"] = algorithm
}

const (
	baseSection = "BaseImage"
	baseEvent   = "BaseImageMutex"
)

// store gives a test its own objects.
func store(t testing.TB) {
	t.Helper()
	ipctest.Store(t)
	ipctest.Alone(t, baseSection)
}

var bare = runtime.GOOS == "windows" // objects have their bare names there

func formatOf(bits int) frame.Format {
	return map[int]frame.Format{8: frame.Gray, 16: frame.Gray16, 24: frame.BGR, 32: frame.BGRA}[bits]
}

// painting returns a frame with picture k.
func painting(k, width, height, bits int) *frame.Frame {
	spec := frame.Spec{Format: formatOf(bits), Width: width, Height: height}
	f, err := frame.New(make([]byte, spec.Size()), spec)
	if err != nil {
		panic(err)
	}
	ipctest.Paint(f.Pix(0), k)
	return f
}

// rawBase is a base program that can break the rules.
type rawBase struct {
	mem   *samepage.Memory
	view  *samepage.View
	event *ipcsync.Event
	next  []byte // what is left of a picture that was begun; nil: none is
	at    int
}

func newRawBase(size int64, manual bool) (*rawBase, error) {
	b := &rawBase{}
	var err error
	if b.mem, _, err = samepage.OpenOrCreate(baseSection, size, &samepage.Options{Exact: bare}); err != nil {
		return nil, err
	}
	if b.view, err = b.mem.View(0, 0, samepage.ReadWrite); err != nil {
		return nil, err
	}
	b.event, _, err = ipcsync.OpenOrCreateEvent(baseEvent, &ipcsync.EventOptions{Exact: bare, Manual: manual})
	return b, err
}

func (b *rawBase) close() error {
	return errors.Join(b.view.Close(), b.mem.Close(), b.event.Close())
}

func (b *rawBase) header(length, width, height, bits int32) {
	for i, v := range []int32{length, width, height, bits} {
		w, err := b.view.Uint32(4 * i)
		if err != nil {
			panic(err)
		}
		w.Store(uint32(v))
	}
}

func (b *rawBase) length() int32 {
	w, err := b.view.Uint32(0)
	if err != nil {
		panic(err)
	}
	return int32(w.Load())
}

// begin writes the header and the first half of the pixels.
func (b *rawBase) begin(k, width, height, bits int) {
	n := width * height * bits / 8
	pix := make([]byte, n)
	ipctest.Paint(pix, k)
	b.header(int32(n), int32(width), int32(height), int32(bits))
	b.at = copy(b.view.Bytes()[16:], pix[:n/2])
	b.next = pix[n/2:]
}

// finish writes the other half, and signals.
func (b *rawBase) finish() error {
	copy(b.view.Bytes()[16+b.at:], b.next)
	b.next = nil
	return b.event.Set()
}

// baseProgram is the helper that is a base program.
func baseProgram(args []string) {
	var s *baseimage.Sender
	var raw *rawBase
	do := func(cmd string, n []int) (err error) {
		switch cmd {
		case "create":
			s, _, err = baseimage.OpenOrCreateSender(nil)
		case "raw": // makes the objects with nothing of package baseimage
			raw, err = newRawBase(33554432, false)
		case "frame": // K WIDTH HEIGHT BITS
			err = s.SendFrame(context.Background(), painting(n[0], n[1], n[2], n[3]))
		case "begin": // K WIDTH HEIGHT BITS
			raw.begin(n[0], n[1], n[2], n[3])
		case "finish":
			err = raw.finish()
		case "signal":
			err = raw.event.Set()
		case "header": // LENGTH WIDTH HEIGHT BITS: and a signal
			raw.header(int32(n[0]), int32(n[1]), int32(n[2]), int32(n[3]))
			err = raw.event.Set()
		case "loop": // N MICROSECONDS WIDTH HEIGHT BITS
			f := painting(0, n[2], n[3], n[4])
			period := time.Duration(n[1]) * time.Microsecond
			next := time.Now()
			for k := 1; k <= n[0] && err == nil; k++ {
				ipctest.Paint(f.Pix(0), k)
				err = s.SendFrame(context.Background(), f)
				// A machine that is too slow for this leaves a pause for readers all the same.
				next = next.Add(period)
				if least := time.Now().Add(period / 2); next.Before(least) {
					next = least
				}
				time.Sleep(time.Until(next))
			}
		case "close":
			err = s.Close()
		default:
			err = errors.New("unknown command " + cmd)
		}
		return err
	}
	obey(func(cmd string, n []int) (string, error) { return "", do(cmd, n) })
}

// obey serves the lines of standard input: a command and numbers.
func obey(do func(cmd string, n []int) (string, error)) {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		words := strings.Fields(in.Text())
		n := make([]int, len(words)-1)
		for i, w := range words[1:] {
			_, _ = fmt.Sscan(w, &n[i])
		}
		answer, err := do(words[0], n)
		if err != nil {
			fmt.Println("err", err)
			continue
		}
		fmt.Println(strings.TrimSpace("ok " + answer))
	}
}

// algorithm is the helper that is an algorithm's program.
func algorithm([]string) {
	var r *baseimage.Receiver
	grab := func() (string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), ipctest.Patience)
		defer cancel()
		f, err := r.Grab(ctx)
		if err != nil {
			return "", err
		}
		k, err := ipctest.Painted(f.Pix(0))
		return fmt.Sprint(k, f.Width(), f.Height(), f.Bits()), err
	}
	obey(func(cmd string, n []int) (answer string, err error) {
		switch cmd {
		case "open":
			r, err = baseimage.OpenReceiver(&baseimage.ReceiverOptions{Settle: time.Duration(n[0]) * time.Millisecond})
		case "await":
			r, err = baseimage.AwaitReceiver(context.Background(), nil)
		case "grab":
			answer, err = grab()
		case "forever": // grabs and says so until it is killed
			for {
				if answer, err = grab(); err != nil {
					return answer, err
				}
				fmt.Println(answer)
			}
		case "close":
			err = r.Close()
		}
		return answer, err
	})
}

func startHelper(t *testing.T, name, first string) *ipctest.Child {
	t.Helper()
	c := ipctest.Start(t, name)
	c.Want("ok", "%s", first)
	return c
}

func newSender(t *testing.T, o *baseimage.SenderOptions) *baseimage.Sender {
	t.Helper()
	ipctest.NeedNames(t)
	s, _, err := baseimage.OpenOrCreateSender(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { noErr(t, s.Close()) })
	return s
}

func newReceiver(t *testing.T, o *baseimage.ReceiverOptions) *baseimage.Receiver {
	t.Helper()
	r, err := baseimage.OpenReceiver(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { noErr(t, r.Close()) })
	return r
}

// misbehavingBase is a base program in this process that can break the rules.
func misbehavingBase(t *testing.T, size int64) *rawBase {
	t.Helper()
	ipctest.NeedNames(t)
	b, err := newRawBase(size, false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { noErr(t, b.close()) })
	return b
}

func noErr(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), ipctest.Patience)
	t.Cleanup(cancel)
	return ctx
}

// mustGrab grabs a picture, and fails the test if it is not picture k or not whole.
func mustGrab(t *testing.T, r *baseimage.Receiver, k int) *frame.Frame {
	t.Helper()
	f, err := r.Grab(patient(t))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ipctest.Painted(f.Pix(0)); got != k || err != nil {
		t.Fatalf("grabbed picture %d, %v, want %d", got, err, k)
	}
	return f
}

// restless has such a long Settle that only a step of the base ends it. So a base that the machine
// does not run for a while never looks like a base that rests.
var restless = &baseimage.ReceiverOptions{Settle: 2 * ipctest.Patience}

// quick does not settle. It is for bases that surely rest.
var quick = &baseimage.ReceiverOptions{Settle: -1}

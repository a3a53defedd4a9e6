package baseimage_test

import (
	"context"
	"errors"
	"fmt"
	"image"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/ipcsync"
	"samepage/legacy/baseimage"
)

func init() { helpers["spawned"] = spawned }

// spawned is an algorithm's program that a base starts. It writes into a file of the folder which
// pictures it grabs, and runs until it is killed.
func spawned(args []string) {
	path := filepath.Join(args[0], strconv.Itoa(os.Getpid()))
	tell := func(text string) {
		err := os.WriteFile(path+".new", []byte(text), 0o600)
		// Windows does not replace a file that somebody is just reading.
		for begun := time.Now(); err == nil && time.Since(begun) < ipctest.Patience; time.Sleep(time.Millisecond) {
			if os.Rename(path+".new", path+".txt") == nil {
				return
			}
		}
		fmt.Fprintln(os.Stderr, "tell", text, err)
	}
	r, err := baseimage.AwaitReceiver(context.Background(), nil)
	for err == nil {
		f, gerr := r.Grab(context.Background())
		if err = gerr; err == nil {
			k, torn := ipctest.Painted(f.Pix(0))
			tell(fmt.Sprint(k, torn))
		}
	}
	tell(err.Error())
}

// said waits until the spawned program pid has written want. If pid is 0, any program will do. It
// returns the pid of the program.
func said(t *testing.T, dir string, pid int, want string) int {
	t.Helper()
	var all []string
	for begun := time.Now(); time.Since(begun) < ipctest.Patience; time.Sleep(5 * time.Millisecond) {
		files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
		if err != nil {
			t.Fatal(err)
		}
		all = nil
		for _, f := range files {
			b, _ := os.ReadFile(f)
			p, _ := strconv.Atoi(strings.TrimSuffix(filepath.Base(f), ".txt"))
			all = append(all, fmt.Sprintf("%d: %s", p, b))
			if string(b) == want && (pid == 0 || p == pid) {
				return p
			}
		}
	}
	t.Fatalf("nobody says %q; said is %q", want, all)
	return 0
}

func killChild(t *testing.T, pid int) {
	t.Helper()
	p, err := os.FindProcess(pid)
	if err == nil {
		err = p.Kill()
	}
	noErr(t, err)
}

func TestMission003_10_SpawnIsOptional(t *testing.T) {
	store(t)
	// None is named: none is started, and the picture is there.
	s := newSender(t, nil)
	noErr(t, s.SendFrame(t.Context(), painting(1, 64, 48, 24)))
	r := newReceiver(t, nil)
	mustGrab(t, r, 1)
	noErr(t, r.Close())
	noErr(t, s.Close())

	// One is named: it is started with the first picture, and once only.
	dir := ipctest.Dir(t)
	starts := 0
	s = newSender(t, &baseimage.SenderOptions{Start: func() (*exec.Cmd, error) {
		starts++
		return ipctest.Command(t, "spawned", dir), nil
	}})
	if starts != 0 {
		t.Error("one was started before there was a picture")
	}
	pid := 0
	for k := 1; k <= 5; k++ {
		noErr(t, s.SendFrame(t.Context(), painting(k, 64, 48, 24)))
		pid = said(t, dir, pid, fmt.Sprint(k, " <nil>"))
	}
	if starts != 1 {
		t.Errorf("%d were started", starts)
	}
	// Killed, another one is started with the next picture.
	killChild(t, pid)
	for k := 6; starts == 1; k++ {
		noErr(t, s.SendFrame(t.Context(), painting(k, 64, 48, 24)))
		time.Sleep(time.Millisecond)
	}
	noErr(t, s.SendFrame(t.Context(), painting(1000, 64, 48, 24)))
	pid = said(t, dir, 0, "1000 <nil>")
	if starts != 2 {
		t.Errorf("%d were started", starts)
	}
	// It is not killed with the base.
	noErr(t, s.Close())
	said(t, dir, pid, "baseimage: grab from section \"BaseImage\": no other program has the section open: the process at the other end has died")

	// One that cannot be started is an error, and the picture is there all the same.
	gone := errors.New("gone")
	s = newSender(t, &baseimage.SenderOptions{Start: func() (*exec.Cmd, error) { return nil, gone }})
	var err error
	for err == nil { // until the last one has ended, it can take the picture
		err = s.SendFrame(t.Context(), painting(7, 64, 48, 24))
		time.Sleep(time.Millisecond)
	}
	ipctest.WantErr(t, err, gone)
	r = newReceiver(t, nil)
	mustGrab(t, r, 7)
}

func TestMission003_14_BaseImageWait(t *testing.T) {
	store(t)
	ipctest.NeedNames(t)
	a := startHelper(t, "base", "raw")
	r := newReceiver(t, nil)

	// A wait ends with its context.
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := r.Grab(ctx)
	ipctest.WantErr(t, err, context.DeadlineExceeded, baseSection)
	ipctest.WantErr(t, err, os.ErrDeadlineExceeded)
	ctx, stop := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, stop)
	_, err = r.Grab(ctx)
	ipctest.WantErr(t, err, context.Canceled)

	// A picture comes, and then the base dies while it is waited for.
	a.Want("ok", "begin 1 64 48 8")
	a.Want("ok", "finish")
	mustGrab(t, r, 1)
	time.AfterFunc(100*time.Millisecond, func() { _ = a.Cmd.Process.Kill() })
	_, err = r.Grab(patient(t))
	ipctest.WantErr(t, err, samepage.ErrPeerDied, baseSection)
	a.Kill()
	_, err = r.Grab(patient(t))
	ipctest.WantErr(t, err, samepage.ErrPeerDied)

	// It dies in the middle of a picture, and the signal of the one before was not
	// taken: that is refused.
	a = startHelper(t, "base", "raw")
	a.Want("ok", "begin 2 640 480 8")
	a.Want("ok", "finish")
	a.Want("ok", "begin 3 640 480 8")
	a.Kill()
	_, err = r.Grab(patient(t))
	ipctest.WantErr(t, err, samepage.ErrPeerDied)

	// The same receiver goes on with the next base.
	a = startHelper(t, "base", "raw")
	a.Want("ok", "begin 4 640 480 8")
	a.Want("ok", "finish")
	mustGrab(t, r, 4)
}

// A base whose event stays set until it is reset.
func TestMission003_15_ManualReset(t *testing.T) {
	store(t)
	ipctest.NeedNames(t)
	for _, manual := range []bool{false, true} {
		b, err := newRawBase(1<<20, manual)
		if err != nil {
			t.Fatal(err)
		}
		r := newReceiver(t, nil)
		for k := 1; k <= 20; k++ {
			b.begin(k, 64, 48, 8)
			noErr(t, b.finish())
			mustGrab(t, r, k)
			if f, ok, err := r.TryGrab(); ok || err != nil {
				t.Fatalf("manual %v: after picture %d there is another one: %v, %v", manual, k, f, err)
			}
			if set, err := b.event.TryWait(); set || err != nil {
				t.Fatalf("manual %v: after picture %d the event is set, %v", manual, k, err)
			}
		}
		// Reset after a wait that has taken the state changes nothing.
		e, err := ipcsync.OpenEvent(baseEvent, &ipcsync.EventOptions{Exact: bare})
		if err != nil {
			t.Fatal(err)
		}
		noErr(t, e.Set())
		noErr(t, e.Wait(patient(t)))
		if set, err := e.TryWait(); set != manual || err != nil {
			t.Errorf("manual %v: after a wait it is set: %v, %v", manual, set, err)
		}
		noErr(t, e.Reset())
		if set, err := e.TryWait(); set || err != nil {
			t.Errorf("manual %v: after a reset it is set: %v", manual, err)
		}
		noErr(t, e.Close())
		noErr(t, r.Close())
		noErr(t, b.close())
	}
}

// An event gives others only the rights to wait, set and reset. (An open with EVENT_ALL_ACCESS
// fails. An open with MUTEX_ALL_ACCESS, as in the original, would succeed without the right to
// reset.)
func TestMission003_16_BaseImageEventRights(t *testing.T) {
	store(t)
	ipctest.NeedNames(t)
	e, err := ipcsync.CreateEvent(baseEvent, &ipcsync.EventOptions{Exact: bare, SecurityDescriptor: "D:P(A;;0x100002;;;WD)"})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	s := newSender(t, nil)
	r := newReceiver(t, nil)
	for k := 1; k <= 3; k++ {
		noErr(t, s.SendFrame(t.Context(), painting(k, 64, 48, 8)))
		mustGrab(t, r, k)
	}
	noErr(t, e.Set())
	if set, err := e.TryWait(); !set || err != nil {
		t.Errorf("after the last picture the event cannot be set: %v", err)
	}
}

func TestMission003_17_BaseNotStarted(t *testing.T) {
	store(t)
	ipctest.NeedNames(t)
	_, err := baseimage.OpenReceiver(nil)
	ipctest.WantErr(t, err, samepage.ErrPeerNotStarted, baseSection)

	// A base that has got as far as the section only.
	m, err := samepage.Create(baseSection, 65536, &samepage.Options{Exact: bare})
	if err != nil {
		t.Fatal(err)
	}
	_, err = baseimage.OpenReceiver(nil)
	ipctest.WantErr(t, err, samepage.ErrPeerNotStarted, baseEvent)
	noErr(t, m.Close())

	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = baseimage.AwaitReceiver(ctx, nil)
	ipctest.WantErr(t, err, os.ErrDeadlineExceeded, baseSection)

	// It starts later.
	opened := make(chan error, 1)
	go func() {
		r, err := baseimage.AwaitReceiver(patient(t), nil)
		if err == nil {
			_, err = r.Grab(patient(t))
			err = errors.Join(err, r.Close())
		}
		opened <- err
	}()
	a := startHelper(t, "base", "create")
	a.Want("ok", "frame 1 64 48 8")
	noErr(t, <-opened)
	// After its end it does not run.
	a.Kill()
	_, err = baseimage.OpenReceiver(nil)
	ipctest.WantErr(t, err, samepage.ErrPeerNotStarted)
}

func TestMission003_18_BaseImageSizesChange(t *testing.T) {
	store(t)
	s := newSender(t, nil)
	r := newReceiver(t, nil)
	k := 0
	for range 2 {
		for _, size := range [][3]int{{640, 480, 24}, {3840, 2160, 24}, {640, 480, 24}, {640, 480, 8}, {1, 5, 8}} {
			k++
			noErr(t, s.SendFrame(t.Context(), painting(k, size[0], size[1], size[2])))
			f := mustGrab(t, r, k)
			if f.Width() != size[0] || f.Height() != size[1] || f.Bits() != size[2] {
				t.Errorf("picture %d is %v, want %d", k, f.Spec(), size)
			}
		}
	}

	// Nothing is allocated, to send or to grab.
	large, small := painting(1, 640, 480, 24), painting(2, 64, 48, 8)
	drawn := image.NewRGBA(image.Rect(0, 0, 320, 200))
	ctx := t.Context()
	r2 := newReceiver(t, quick)
	once := func() {
		for i := range 3 {
			var err error
			switch i {
			case 0:
				err = s.SendFrame(ctx, large)
			case 1:
				err = s.SendFrame(ctx, small)
			case 2:
				err = s.Send(ctx, drawn)
			}
			_, gerr := r2.Grab(ctx)
			if err != nil || gerr != nil {
				t.Error(err, gerr)
			}
		}
	}
	once()
	if n := testing.AllocsPerRun(50, once); n != 0 {
		t.Errorf("three pictures take %v allocations", n)
	}
}

func TestMission003_19_BaseImageAccessors(t *testing.T) {
	store(t)
	s := newSender(t, &baseimage.SenderOptions{Align: 4})
	r := newReceiver(t, nil)
	for i, bits := range []int{8, 16, 24, 32} {
		noErr(t, s.SendFrame(t.Context(), painting(1, 11, 7, bits)))
		f, err := r.Grab(patient(t))
		if err != nil {
			t.Fatal(err)
		}
		if f.Width() != 11 || f.Height() != 7 || f.Bits() != bits || f.Format() != formatOf(bits) ||
			f.Image().Bounds() != image.Rect(0, 0, 11, 7) || f.Seq() != uint64(i+1) {
			t.Errorf("%d bits: %v", bits, f.Spec())
		}
		row := 11 * bits / 8
		if f.Stride(0) != (row+3)/4*4 || len(f.Pix(0)) != f.Stride(0)*6+row {
			t.Errorf("%d bits: rows of %d bytes, %d apart, %d in all", bits, row, f.Stride(0), len(f.Pix(0)))
		}
	}
}

// Either side is killed at random moments while it works, and starts again.
func TestMission003_21_BaseImageKills(t *testing.T) {
	store(t)
	ipctest.NeedNames(t)
	const kills = 10
	// The algorithm's program, in the middle of a Grab; the base does not notice.
	a := startHelper(t, "base", "create")
	a.Send("loop 100000000 2000 640 480 24")
	for i := range kills {
		b := startHelper(t, "algorithm", fmt.Sprint("open ", restless.Settle.Milliseconds()))
		b.Send("forever")
		for range i % 3 {
			b.Line()
		}
		time.Sleep(time.Duration(i*i*37%5000) * time.Microsecond)
		for _, l := range b.KillAndRead() {
			if !strings.HasSuffix(l, " 640 480 24") {
				t.Fatalf("grabbed %q", l)
			}
		}
	}
	// The base; the algorithm's program says so, and goes on with the next one.
	r := newReceiver(t, restless)
	a.Kill()
	for {
		f, err := r.Grab(patient(t))
		if err != nil {
			ipctest.WantErr(t, err, samepage.ErrPeerDied)
			break
		}
		if _, err := ipctest.Painted(f.Pix(0)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range kills {
		a = startHelper(t, "base", "create")
		a.Send("loop 100000000 1000 640 480 24")
		last := 0
		for got := 0; ; got++ {
			f, err := r.Grab(patient(t))
			if err != nil {
				ipctest.WantErr(t, err, samepage.ErrPeerDied)
				break
			}
			k, err := ipctest.Painted(f.Pix(0))
			if err != nil {
				t.Fatal(err)
			}
			if got == 1 {
				go func() {
					time.Sleep(time.Duration(i*i*37%5000) * time.Microsecond)
					_ = a.Cmd.Process.Kill()
				}()
			}
			last = k
		}
		if last == 0 {
			t.Error("nothing was grabbed of a base that was started anew")
		}
		a.Kill()
	}
	noErr(t, r.Close())
	// Nothing stays behind.
	if _, err := baseimage.OpenReceiver(nil); !errors.Is(err, samepage.ErrPeerNotStarted) {
		t.Errorf("after all have ended: %v", err)
	}
	left, err := samepage.List()
	if err != nil || len(left) != 0 {
		t.Errorf("left are %v, %v", left, err)
	}
}

// The pauses of a base are always shorter than a copy takes. Then the error of the context gives
// the reason.
func TestBaseImageBusy(t *testing.T) {
	store(t)
	b := misbehavingBase(t, 33554432)
	r := newReceiver(t, restless)
	const n = 33554416
	// A copy may be made before the next picture is begun: then there is no error.
	for try := range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := r.Grab(ctx)
			done <- err
		}()
		for range 3 { // begun anew as soon as it is marked
			b.header(n, 4096, 8191, 8) // no multiple: the middle of a header
			b.header(4096*8191, 4096, 8191, 8)
			noErr(t, b.event.Set())
			for b.length() != 4096*8191-1 && len(done) == 0 {
				time.Sleep(10 * time.Microsecond)
			}
			b.header(4096*8191, 4096, 8191, 8)
		}
		cancel()
		if err := <-done; err != nil {
			ipctest.WantErr(t, err, context.Canceled)
			ipctest.WantErr(t, err, samepage.ErrBusy, "wrote over")
			t.Logf("try %d: %v", try, err)
			return
		}
	}
	t.Log("each time a copy was made before the next picture was begun")
}

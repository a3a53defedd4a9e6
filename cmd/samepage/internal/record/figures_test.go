package record

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/pprof"
	"sync"
	"testing"
	"time"

	"samepage"
	"samepage/frame"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// The figures of docs/decisions. They are measured if SAMEPAGE_FIGURES is the number of seconds for
// each measurement. The files are written to the folder SAMEPAGE_FIGURES_DIR. If
// SAMEPAGE_FIGURES_PROFILE is the name of a file, the recorder writes a profile of itself into it.
// Nothing else may run.

func figures(t *testing.T) (seconds time.Duration, path string) {
	seconds, err := time.ParseDuration(os.Getenv("SAMEPAGE_FIGURES") + "s")
	if err != nil {
		t.Skip("SAMEPAGE_FIGURES is not the number of seconds to measure")
	}
	ipctest.NeedNames(t)
	ipctest.Store(t)
	return seconds, filepath.Join(os.Getenv("SAMEPAGE_FIGURES_DIR"), "figures.mcap")
}

// recordLoad is the process that records, into the file args[0], the topics that follow, until it
// is told to end.
func recordLoad(args []string) {
	if profile := os.Getenv("SAMEPAGE_FIGURES_PROFILE"); profile != "" {
		f, err := os.Create(profile)
		if err == nil {
			err = pprof.StartCPUProfile(f)
		}
		if err != nil {
			panic(err)
		}
		defer pprof.StopCPUProfile()
	}
	r, err := New(Options{Path: args[0], Buffer: 256 << 20})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, name := range args[1:] {
		wg.Go(func() {
			if err := r.Topic(ctx, samepage.Local, name, false); err != nil {
				panic(err)
			}
		})
	}
	var line string
	_, _ = fmt.Scanln(&line)
	cancel()
	wg.Wait()
	totals, _, err := r.Close()
	if err != nil {
		panic(err)
	}
	missed := uint64(0)
	for _, t := range totals {
		missed += t.Missed
	}
	fmt.Println(missed, "missed")
}

// recording starts the process that records. The result ends it, and tells what it took.
func recording(t *testing.T, path string, topics ...string) (end func(megabytes float64) string) {
	child := ipctest.Start(t, "load", append([]string{path}, topics...)...)
	return func(megabytes float64) string {
		child.Send("end")
		missed := child.Line()
		child.Wait()
		used := child.Cmd.ProcessState.UserTime() + child.Cmd.ProcessState.SystemTime()
		return fmt.Sprintf("%s, the recorder used %v, %.2f ms for each MB", missed, used, float64(used)/1e6/megabytes)
	}
}

var (
	fullHD    = frame.Spec{Format: frame.RGB, Width: 1920, Height: 1080}
	fullBytes = float64(fullHD.Size())
)

// film publishes pictures, each as a camera writes it, until next returns false. It returns how many.
func film(t *testing.T, p *frame.Publisher, next func(n int) bool) (n int) {
	picture := make([]byte, 1920*1080*3)
	ipctest.Fill(picture, 7)
	for ; next(n); n++ {
		l, err := p.Loan(fullHD)
		if err != nil {
			panic(err)
		}
		copy(l.Pix(0), picture)
		if err := l.Publish(t.Context()); err != nil {
			panic(err)
		}
	}
	return n
}

// TestFigures measures what the recorder costs a publisher of 500,000 messages of 64 bytes and 60
// pictures of 1920 x 1080 in RGB a second: without a recorder and with one, alternating.
func TestFigures(t *testing.T) {
	seconds, path := figures(t)
	numbers, err := pubsub.CreatePublisher("numbers", &pubsub.Options{MaxSize: 64, Pack: 64 << 10, Depth: 64})
	ipctest.NoErr(t, err)
	cam, err := frame.CreatePublisher("film", fullHD, &pubsub.Options{Depth: 8})
	ipctest.NoErr(t, err)
	load := func() (messages, pictures int, took float64) {
		var wg sync.WaitGroup
		begin := time.Now()
		// due waits until the n-th of so many a second is due.
		due := func(n, each int) bool {
			time.Sleep(time.Until(begin.Add(time.Duration(n) * time.Second / time.Duration(each))))
			return time.Since(begin) < seconds
		}
		wg.Go(func() {
			all := make([][]byte, 500)
			for i := range all {
				all[i] = make([]byte, 64)
			}
			for n := 0; due(n, 1000); n++ {
				for i := range all {
					binary.LittleEndian.PutUint64(all[i], uint64(n*len(all)+i))
				}
				if _, err := numbers.SendAll(t.Context(), all); err != nil {
					panic(err)
				}
				messages += len(all)
			}
		})
		wg.Go(func() { pictures = film(t, cam, func(n int) bool { return due(n, 60) }) })
		wg.Wait()
		return messages, pictures, time.Since(begin).Seconds()
	}
	for range 3 {
		m, p, s := load()
		t.Logf("without a recorder: %.0f messages and %.2f pictures a second", float64(m)/s, float64(p)/s)
		end := recording(t, path, "numbers", "film")
		ipctest.NoErr(t, numbers.WaitReliableSubscribers(t.Context(), 1))
		ipctest.NoErr(t, cam.WaitSubscribers(t.Context(), 1))
		m, p, s = load()
		mb := (float64(m)*64 + float64(p)*fullBytes) / 1e6
		told := end(mb)
		st, err := os.Stat(path)
		ipctest.NoErr(t, err)
		ipctest.NoErr(t, os.Remove(path))
		t.Logf("with a recorder: %.0f messages and %.2f pictures a second, %.0f MB/s; %s", float64(m)/s, float64(p)/s, float64(st.Size())/1e6/s, told)
	}
	ipctest.NoErr(t, numbers.Close())
	ipctest.NoErr(t, cam.Close())
}

// TestFiguresSmall is TestFigures for messages of 64 bytes alone, as many as possible.
func TestFiguresSmall(t *testing.T) {
	seconds, path := figures(t)
	numbers, err := pubsub.CreatePublisher("numbers", &pubsub.Options{MaxSize: 64, Pack: 64 << 10, Depth: 64})
	ipctest.NoErr(t, err)
	end := recording(t, path, "numbers")
	ipctest.NoErr(t, numbers.WaitReliableSubscribers(t.Context(), 1))
	all := make([][]byte, 500)
	for i := range all {
		all[i] = make([]byte, 64)
	}
	n := 0
	begin := time.Now()
	for ; time.Since(begin) < seconds; n += len(all) {
		_, err := numbers.SendAll(t.Context(), all)
		ipctest.NoErr(t, err)
	}
	s := time.Since(begin).Seconds()
	t.Logf("%.0f messages a second; %s", float64(n)/s, end(float64(n)*64/1e6))
	ipctest.NoErr(t, os.Remove(path))
	ipctest.NoErr(t, numbers.Close())
}

// TestFiguresDisk measures how many bytes a second come onto the disk if two cameras offer more
// than it takes, and how many dd writes: alternating, each until the file is on the disk.
func TestFiguresDisk(t *testing.T) {
	_, path := figures(t)
	const pictures = 160 // 1 GB
	var cams []*frame.Publisher
	for _, name := range []string{"a", "b"} {
		p, err := frame.CreatePublisher(name, fullHD, nil)
		ipctest.NoErr(t, err)
		cams = append(cams, p)
	}
	// dd reads from memory, as the recorder does.
	source := filepath.Join("/dev/shm", fmt.Sprintf("figures-%d", os.Getpid()))
	out, err := os.Create(source)
	ipctest.NoErr(t, err)
	defer func() { ipctest.NoErr(t, os.Remove(source)) }()
	picture := make([]byte, 1920*1080*3)
	ipctest.Fill(picture, 7)
	for range pictures {
		_, err := out.Write(picture)
		ipctest.NoErr(t, err)
	}
	ipctest.NoErr(t, out.Close())
	size := func() float64 {
		st, err := os.Stat(path)
		ipctest.NoErr(t, err)
		ipctest.NoErr(t, os.Remove(path))
		return float64(st.Size()) / 1e6
	}
	for range 3 {
		for _, flag := range [][]string{nil, {"oflag=direct"}} {
			begin := time.Now()
			cmd := exec.Command("dd", append([]string{"if=" + source, "of=" + path, "bs=4M", "conv=fsync"}, flag...)...)
			cmd.Stderr = io.Discard
			ipctest.NoErr(t, cmd.Run())
			s := time.Since(begin).Seconds()
			t.Logf("dd %s: %.0f MB/s, it used %v", flag, size()/s, cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime())
		}
		end := recording(t, path, "a", "b")
		for _, p := range cams {
			ipctest.NoErr(t, p.WaitSubscribers(t.Context(), 1))
		}
		begin := time.Now()
		var wg sync.WaitGroup
		for _, p := range cams {
			wg.Go(func() { film(t, p, func(n int) bool { return n < pictures/len(cams) }) })
		}
		wg.Wait()
		offered := time.Since(begin).Seconds()
		told := end(pictures * fullBytes / 1e6)
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		ipctest.NoErr(t, err)
		ipctest.NoErr(t, f.Sync())
		ipctest.NoErr(t, f.Close())
		s := time.Since(begin).Seconds()
		t.Logf("recorder: %.0f MB/s, taken with %.0f MB/s; %s", size()/s, pictures*fullBytes/1e6/offered, told)
	}
	for _, p := range cams {
		ipctest.NoErr(t, p.Close())
	}
}

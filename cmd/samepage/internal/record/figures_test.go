package record

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"samepage"
	"samepage/frame"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// recordLoad is the process that records in TestFigures, until it is told to end.
func recordLoad(args []string) {
	r, err := New(Options{Path: args[0], Buffer: 512 << 20})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, name := range []string{"numbers", "film"} {
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
	for _, t := range totals {
		fmt.Printf("%s: %d messages, %d missed\n", t.Name, t.Messages, t.Missed)
	}
}

// TestFigures measures what the recorder costs a publisher of 500,000 messages of 64 bytes and 60
// pictures of 1920 x 1080 in RGB a second, each with SAMEPAGE_FIGURES seconds: without a recorder,
// and with one that writes to the folder SAMEPAGE_FIGURES_DIR. Nothing else may run.
func TestFigures(t *testing.T) {
	seconds, err := time.ParseDuration(os.Getenv("SAMEPAGE_FIGURES") + "s")
	if err != nil {
		t.Skip("SAMEPAGE_FIGURES is not the number of seconds to measure")
	}
	ipctest.NeedNames(t)
	ipctest.Store(t)
	numbers, err := pubsub.CreatePublisher("numbers", &pubsub.Options{MaxSize: 64, Pack: 64 << 10, Depth: 64})
	ipctest.NoErr(t, err)
	spec := frame.Spec{Format: frame.RGB, Width: 1920, Height: 1080}
	film, err := frame.CreatePublisher("film", spec, &pubsub.Options{Depth: 8})
	ipctest.NoErr(t, err)
	picture := make([]byte, 1920*1080*3)
	ipctest.Fill(picture, 7)
	load := func(what string) {
		var wg sync.WaitGroup
		var busy [2]time.Duration
		var sent [2]int
		begin := time.Now()
		wg.Go(func() {
			all := make([][]byte, 500)
			for i := range all {
				all[i] = make([]byte, 64)
			}
			for n := 0; time.Since(begin) < seconds; n++ {
				time.Sleep(time.Until(begin.Add(time.Duration(n) * time.Millisecond)))
				at := time.Now()
				for i := range all {
					binary.LittleEndian.PutUint64(all[i], uint64(n*len(all)+i))
				}
				if _, err := numbers.SendAll(t.Context(), all); err != nil {
					panic(err)
				}
				busy[0] += time.Since(at)
				sent[0] += len(all)
			}
		})
		wg.Go(func() {
			for n := 0; time.Since(begin) < seconds; n++ {
				time.Sleep(time.Until(begin.Add(time.Duration(n) * time.Second / 60)))
				at := time.Now()
				l, err := film.Loan(spec)
				if err != nil {
					panic(err)
				}
				copy(l.Pix(0), picture)
				if err := l.Publish(t.Context()); err != nil {
					panic(err)
				}
				busy[1] += time.Since(at)
				sent[1]++
			}
		})
		wg.Wait()
		s := time.Since(begin).Seconds()
		t.Logf("%s: %.0f messages a second, %v each; %.2f pictures a second, %v each", what, float64(sent[0])/s, busy[0]/time.Duration(sent[0]),
			float64(sent[1])/s, busy[1]/time.Duration(sent[1]))
	}
	load("without a recorder")
	path := filepath.Join(os.Getenv("SAMEPAGE_FIGURES_DIR"), "figures.mcap")
	defer func() { ipctest.NoErr(t, os.Remove(path)) }()
	child := ipctest.Start(t, "load", path)
	ipctest.NoErr(t, numbers.WaitReliableSubscribers(t.Context(), 1))
	ipctest.NoErr(t, film.WaitSubscribers(t.Context(), 1))
	begin := time.Now()
	load("with a recorder")
	child.Send("end")
	t.Log(child.Line())
	t.Log(child.Line())
	child.Wait()
	st, err := os.Stat(path)
	ipctest.NoErr(t, err)
	t.Logf("the file has %d MB, %.0f MB/s until it was complete", st.Size()/1e6, float64(st.Size())/1e6/time.Since(begin).Seconds())
	t.Logf("the recorder used %v of processor time", child.Cmd.ProcessState.UserTime()+child.Cmd.ProcessState.SystemTime())
	ipctest.NoErr(t, numbers.Close())
	ipctest.NoErr(t, film.Close())
}

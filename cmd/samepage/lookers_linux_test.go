package main

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"samepage/internal/ipctest"
	"samepage/pubsub"
)

func init() { programs["flood"] = flood }

// flood publishes messages of 64 B as fast as it can, on the last processor, until it is killed.
func flood() {
	p, err := pubsub.CreatePublisher("flood", &pubsub.Options{MaxSize: 64, Depth: 1024})
	runtime.LockOSThread()
	pin(runtime.NumCPU() - 1)
	fmt.Println("ready", err)
	for b := make([]byte, 64); err == nil; {
		err = p.Send(context.Background(), b)
	}
	fmt.Println(err)
}

// pin keeps this thread, and the processes that it starts, on one processor.
func pin(cpu int) {
	var s unix.CPUSet
	s.Set(cpu)
	if err := unix.SchedSetaffinity(0, &s); err != nil {
		panic(err)
	}
}

// A publisher at full speed has its speed while web, with a page open, and top look at it once a
// second. They are stopped and continued in turn, for as many pairs of two seconds each as
// SAMEPAGE_ROUNDS says; it logs the ratios. The publisher has a processor of its own, because the
// question is whether looking takes cache lines away from it. Nothing else may run at that time.
// Without SAMEPAGE_ROUNDS it only tries that all of this works.
func TestLookersSlowNobody(t *testing.T) {
	ipctest.Store(t)
	rounds, each := 1, 50*time.Millisecond
	if s := os.Getenv("SAMEPAGE_ROUNDS"); s != "" {
		var err error
		rounds, err = strconv.Atoi(s)
		ipctest.NoErr(t, err)
		each = 2 * time.Second
	}
	p := ipctest.StartCmd(t, exec.Command("flood"))
	if line := p.Line(); line != "ready <nil>" {
		t.Fatal(line)
	}
	runtime.LockOSThread() // and never unlocked: the thread ends with the test
	pin(0)
	web, address := startWeb(t)
	r, err := http.Get(address + "api/events")
	ipctest.NoErr(t, err)
	defer r.Body.Close()
	lines := make(chan string, 1)
	go func() {
		for in := bufio.NewScanner(r.Body); in.Scan(); {
			select {
			case lines <- in.Text():
			default:
			}
		}
		close(lines)
	}()
	if line := <-lines; line != "event: state" {
		t.Fatalf("events begin with %q", line)
	}
	top := exec.Command("samepage", "top", "--interval", "1s")
	ipctest.NoErr(t, top.Start())
	t.Cleanup(func() { _, _ = top.Process.Kill(), top.Wait() })

	count := func() uint64 {
		s, err := pubsub.Inspect("flood", nil)
		ipctest.NoErr(t, err)
		return s.Lanes[0].Messages
	}
	rate := func(s syscall.Signal) float64 {
		for _, c := range []*exec.Cmd{web, top} {
			ipctest.NoErr(t, c.Process.Signal(s))
		}
		time.Sleep(each / 10)
		first, begun := count(), time.Now()
		time.Sleep(each)
		return float64(count()-first) / time.Since(begun).Seconds()
	}
	var ratios []float64
	for i := range rounds {
		without, with := 0.0, 0.0
		if i%2 == 0 {
			without, with = rate(syscall.SIGSTOP), rate(syscall.SIGCONT)
		} else {
			with, without = rate(syscall.SIGCONT), rate(syscall.SIGSTOP)
		}
		if without == 0 || with == 0 {
			t.Fatalf("%v messages a second without, %v with", without, with)
		}
		ratios = append(ratios, with/without)
	}
	slices.Sort(ratios)
	t.Logf("with / without, %d rounds: median %.4f, quartiles %.4f and %.4f", rounds, ratios[rounds/2], ratios[rounds/4], ratios[rounds*3/4])
	for _, c := range []*exec.Cmd{web, top} {
		ipctest.NoErr(t, c.Process.Signal(syscall.SIGCONT))
	}
}

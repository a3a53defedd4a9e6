package main

import (
	"os"
	"runtime"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

func init() { roles["test: how bound"] = playHowBound }

// playHowBound returns one more than how many threads of this process are not bound to its CPU.
func playHowBound(o order, ready func() error) (sample, error) {
	stop := make(chan bool)
	for range 4 {
		go func() { // a thread for each
			runtime.LockOSThread()
			<-stop
		}()
	}
	defer close(stop)
	if err := ready(); err != nil {
		return sample{}, err
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return sample{}, err
	}
	s := sample{Mean: 1, P50: float64(runtime.GOMAXPROCS(0)), P99: float64(runtime.NumCPU())}
	for _, t := range threads {
		id, err := strconv.Atoi(t.Name())
		if err != nil {
			return sample{}, err
		}
		var cpus unix.CPUSet
		if err := unix.SchedGetaffinity(id, &cpus); err != nil {
			return sample{}, err
		}
		if cpus.Count() != 1 || o.First != cpus.IsSet(0) {
			s.Mean++
		}
	}
	return s, nil
}

func TestProcessesAreBound(t *testing.T) {
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	if runtime.NumCPU() < 2 || !all.IsSet(0) {
		t.Skip("two CPUs are needed, and CPU 0")
	}
	b := newTestBench(t)
	n := float64(runtime.NumCPU())
	for m, want := range map[pair]sample{
		{role: "test: how bound", timed: true, bind: late}:            {Mean: 1, P50: n, P99: n},
		{role: "test: how bound", timed: true, bind: early}:           {Mean: 1, P50: n, P99: 1},
		{role: "test: how bound", timed: true, bind: early, procs: 1}: {Mean: 1, P50: 1, P99: 1},
	} {
		if s, err := m.measure(t.Context(), b, 0.01); err != nil || s != want {
			t.Errorf("bound %s: %+v, %v, want %+v", m.bind, s, err, want)
		}
	}
	free := pair{role: "test: how bound", timed: true}
	if s, err := free.measure(t.Context(), b, 0.01); err != nil || s.Mean < 2 {
		t.Errorf("not bound: %+v, %v", s, err)
	}
}

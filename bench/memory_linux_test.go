package main

import (
	"fmt"
	"path/filepath"
	"sort"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"samepage"
	"samepage/internal/ipctest"
)

// byHand creates, maps and unmaps a named object of n bytes with the bare system calls. That is
// the least that Create and View can cost.
func byHand(path string, n int64) error {
	fd, err := unix.Open(path, unix.O_CREAT|unix.O_EXCL|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return err
	}
	if err := unix.Fallocate(fd, 0, 0, n); err != nil {
		return err
	}
	b, err := unix.Mmap(fd, 0, int(n), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return err
	}
	b[0] = 1
	if err := unix.Munmap(b); err != nil {
		return err
	}
	if err := unix.Unlink(path); err != nil {
		return err
	}
	return unix.Close(fd)
}

func byLibrary(name string, n int64) error {
	m, err := samepage.Create(name, n, nil)
	if err != nil {
		return err
	}
	v, err := m.View(0, 0, samepage.ReadWrite)
	if err != nil {
		return err
	}
	v.Bytes()[0] = 1
	if err := v.Close(); err != nil {
		return err
	}
	return m.Close()
}

// BenchmarkCreateAndView compares creating, viewing and closing a named object with the same
// system calls made by hand. It reports the median of the ratios of neighbouring rounds.
func BenchmarkCreateAndView(b *testing.B) {
	for _, n := range []int64{4 << 10, 1 << 20, 64 << 20} {
		b.Run(fmt.Sprintf("%dKiB", n>>10), func(b *testing.B) {
			dir := ipctest.Store(b)
			hand := filepath.Join(dir, "by-hand")
			ipctest.NoErr(b, byLibrary("warm", n))
			var ratios []float64
			for b.Loop() {
				t0 := time.Now()
				ipctest.NoErr(b, byHand(hand, n))
				t1 := time.Now()
				ipctest.NoErr(b, byLibrary("x", n))
				t2 := time.Now()
				ratios = append(ratios, float64(t2.Sub(t1))/float64(t1.Sub(t0)))
			}
			sort.Float64s(ratios)
			b.ReportMetric(ratios[len(ratios)/2], "ratio")
		})
	}
}

// BenchmarkView takes a view of an object that is mapped already, and of one that is not.
func BenchmarkView(b *testing.B) {
	m := must(samepage.CreateUnnamed(1<<20, nil))(b)
	b.Run("mapped", func(b *testing.B) {
		v := must(m.View(0, 0, samepage.ReadWrite))(b)
		defer v.Close()
		for b.Loop() {
			ipctest.NoErr(b, must(m.View(0, 0, samepage.ReadWrite))(b).Close())
		}
	})
	b.Run("unmapped", func(b *testing.B) {
		for b.Loop() {
			ipctest.NoErr(b, must(m.View(0, 0, samepage.ReadWrite))(b).Close())
		}
	})
	_ = m.Close()
}

func BenchmarkReadAt(b *testing.B) {
	m := must(samepage.CreateUnnamed(1<<20, nil))(b)
	p := make([]byte, 64<<10)
	b.SetBytes(int64(len(p)))
	b.ReportAllocs()
	for b.Loop() {
		must(m.ReadAt(p, 1000))(b)
	}
	_ = m.Close()
}

// must returns v, or fails the benchmark.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		ipctest.NoErr(t, err)
		return v
	}
}

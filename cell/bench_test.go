package cell_test

import (
	"testing"

	"samepage/internal/ipctest"
)

func BenchmarkReadInto(b *testing.B) {
	ipctest.Store(b)
	w := newWriter(b, "c", 64, nil)
	r := newReader(b, "c")
	buf := make([]byte, 64)
	ipctest.NoErr(b, w.Set(bg, buf))
	b.ReportAllocs()
	for b.Loop() {
		_, _, _, _ = r.ReadInto(buf)
	}
}

func BenchmarkSet(b *testing.B) {
	ipctest.Store(b)
	w := newWriter(b, "c", 64, nil)
	buf := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		_ = w.Set(bg, buf)
	}
}

package kinds

import (
	"io"
	"testing"
	"time"

	"samepage/internal/ipctest"
	"samepage/internal/sys/store"
)

func TestMain(m *testing.M) {
	// However long somebody takes who is at a name.
	store.RemovalWait = ipctest.Patience
	ipctest.Main(m, map[string]func([]string){
		"maker": maker,
		"ends":  func([]string) {},
		"stays": func([]string) { _, _ = io.Copy(io.Discard, neverEnds{}) },
	})
}

// neverEnds is a Reader that waits for ever.
type neverEnds struct{}

func (neverEnds) Read([]byte) (int, error) {
	time.Sleep(time.Hour)
	return 0, nil
}

// must returns v, or fails the test.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		ipctest.NoErr(t, err)
		return v
	}
}

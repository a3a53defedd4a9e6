package kinds

import (
	"testing"

	"samepage/internal/ipctest"
	"samepage/internal/sys/store"
)

func TestMain(m *testing.M) {
	// However long somebody takes who is at a name.
	store.RemovalWait = ipctest.Patience
	ipctest.Main(m, nil)
}

// must returns v, or fails the test.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		ipctest.NoErr(t, err)
		return v
	}
}

package soak

import (
	"testing"

	"samepage/internal/ipctest"
	"samepage/internal/ipctest/agent"
	"samepage/internal/ipctest/memtest"
	"samepage/internal/sys/store"
)

var helpers = map[string]func(args []string){
	"churn":    churn,
	"followed": followed,
	"agent":    agent.Run,
}

func TestMain(m *testing.M) {
	// However long somebody takes who is at a name.
	store.RemovalWait = ipctest.Patience
	ipctest.Main(m, helpers)
}

var (
	startAgent = memtest.StartAgent
	closeMem   = memtest.Close
	wantNames  = memtest.WantNames
)

// must returns v, or fails the test.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		ipctest.NoErr(t, err)
		return v
	}
}

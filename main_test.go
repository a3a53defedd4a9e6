package samepage_test

import (
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"samepage/internal/ipctest"
	"samepage/internal/ipctest/agent"
	"samepage/internal/ipctest/memtest"
	"samepage/internal/object"
	"samepage/internal/sys/process"
	"samepage/internal/sys/store"
)

var helpers = map[string]func(args []string){
	"agent":   agent.Run,
	"args":    func([]string) { fmt.Printf("%q\n", os.Args[1:]) },
	"sleeper": func([]string) { fmt.Println("sleeper", os.Getpid()); time.Sleep(ipctest.Patience) },
	"hello":   func([]string) { fmt.Printf("hello, hidden %v\n", process.StartedHidden()) },
}

func TestMain(m *testing.M) {
	// However long somebody takes who is at a name.
	store.RemovalWait = ipctest.Patience
	ipctest.Main(m, helpers)
}

var (
	startAgent    = memtest.StartAgent
	wantChildErr  = memtest.WantChildErr
	needOtherUser = memtest.NeedOtherUser
	inheritor     = memtest.Inheritor
	closeMem      = memtest.Close
	closeLater    = memtest.CloseLater
	view          = memtest.View
	create        = memtest.Create
	unnamed       = memtest.Unnamed
	wantNames     = memtest.WantNames
)

// must returns v, or fails the test.
func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// mappedNow is the number of bytes that this process maps.
func mappedNow() int64 {
	now, _ := object.Mapped()
	return now
}

func onLinux() bool { return runtime.GOOS == "linux" }

package process_test

import (
	"os"
	"testing"

	"samepage/internal/ipctest"
	"samepage/internal/sys/process"
	"samepage/internal/sys/syserr"
)

// A process id is one of the kernel's, not one of the three beside it.
func TestProcessID(t *testing.T) {
	me := os.Getpid()
	if p, err := process.Find(me); err != nil || p != process.Self() {
		t.Errorf("found %v, %v, this is %v", p, err, process.Self())
	}
	_, err := process.Find(me + 1)
	ipctest.WantErr(t, err, syserr.ErrPeerNotStarted)
}

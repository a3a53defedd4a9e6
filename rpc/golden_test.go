package rpc_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/rpc"
)

var update = flag.Bool("update", false, "write the golden file anew")

// newest is the version that this code writes.
const newest = 2

var goldenOptions = &rpc.Options{Calls: 2, Members: 2, Request: 64, Response: 64, Lifetime: samepage.Persist}

func goldenFile(version int) string {
	return filepath.Join("..", "layout", "testdata", fmt.Sprint("v", version), "service.bin.gz")
}

// writeGolden makes the service of the golden file: an answered call, and an asked one whose
// client is gone.
func writeGolden(t *testing.T) {
	t.Helper()
	c, err := rpc.CreateClient("s", goldenOptions)
	ipctest.NoErr(t, err)
	w, err := rpc.OpenWorker("s", nil)
	ipctest.NoErr(t, err)
	stop := serveWith(t, w, rpc.Func(echo))
	_, err = c.Call(bg, []byte("request 1"))
	ipctest.NoErr(t, err)
	stop()
	w, err = rpc.OpenWorker("s", nil)
	ipctest.NoErr(t, err)
	k, err := c.Begin(bg)
	ipctest.NoErr(t, err)
	copy(k.Request(), "request 2")
	ipctest.NoErr(t, k.Start(bg, 9))
	h := mapService(t, "s")
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = z.Write(h.v.Bytes())
	ipctest.NoErr(t, z.Close())
	ipctest.NoErr(t, os.WriteFile(goldenFile(newest), b.Bytes(), 0o644))
	ipctest.NoErr(t, h.close())
	k.Release()
	ipctest.NoErr(t, errors.Join(c.Close(), w.Close()))
	uproot(t)
}

// uproot removes the service. On Windows its file goes when no process maps it any more.
func uproot(t *testing.T) {
	t.Helper()
	ipctest.NoErr(t, samepage.Remove("s", &samepage.Options{Kind: samepage.KindService}))
	ipctest.Collect(t, "the service's file", func() error {
		left, err := filepath.Glob(filepath.Join(os.Getenv("SAMEPAGE_DIR"), "*", "service*"))
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("there is %s", left[0])
		}
		return err
	})
}

// plant makes a service that has the bytes of a golden file.
func plant(t *testing.T, version int) {
	t.Helper()
	f, err := os.Open(goldenFile(version))
	ipctest.NoErr(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	ipctest.NoErr(t, err)
	b, err := io.ReadAll(z)
	ipctest.NoErr(t, err)
	func() { // nothing keeps this client
		c, err := rpc.CreateClient("s", goldenOptions)
		ipctest.NoErr(t, err)
		ipctest.NoErr(t, c.Close())
	}()
	h := mapService(t, "s")
	if len(h.v.Bytes()) < len(b) {
		t.Fatalf("a service of %d bytes has no room for the %d of the golden file", len(h.v.Bytes()), len(b))
	}
	copy(h.v.Bytes(), b)
	ipctest.NoErr(t, h.close())
}

// A service of version 1 is refused, and stays as it is.
func TestGoldenOldService(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	plant(t, 1)
	_, err := rpc.OpenClient("s", nil)
	ipctest.WantErr(t, err, samepage.ErrVersion)
	_, err = rpc.OpenWorker("s", nil)
	ipctest.WantErr(t, err, samepage.ErrVersion)
	uproot(t)
}

// A service that this version wrote, with a call that nobody has taken, can be opened and goes
// on. Its members were not there any more: a worker executes the call, and nobody waits for the
// answer.
func TestGoldenService(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	if *update {
		writeGolden(t)
	}
	plant(t, newest)
	w, err := rpc.OpenWorker("s", nil)
	ipctest.NoErr(t, err)
	var got []string
	stop := serveWith(t, w, rpc.Func(func(_ context.Context, req []byte) ([]byte, error) {
		got = append(got, string(req))
		return req, nil
	}))
	c, err := rpc.OpenClient("s", nil)
	ipctest.NoErr(t, err)
	for i := 3; i < 6; i++ {
		req := fmt.Sprint("request ", i)
		resp, err := c.Call(bg, []byte(req))
		ipctest.NoErr(t, err)
		if string(resp) != req {
			t.Errorf("the answer to %q is %q", req, resp)
		}
	}
	ipctest.NoErr(t, c.Close())
	stop()
	if len(got) != 4 || got[0] != "request 2" {
		t.Errorf("executed: %q, want request 2 to 5", got)
	}
	uproot(t)
}

package stream_test

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"testing"

	"samepage/internal/ipctest"
)

// networks are what the benchmarks compare.
var networks = []string{"stream", "unix"}

func child(b *testing.B, what, network string) net.Conn {
	b.Helper()
	ipctest.NeedNames(b)
	at := filepath.Join(ipctest.Store(b), "s")
	if network == "stream" {
		at = "s"
	}
	c := ipctest.Start(b, what, network, at)
	if l := c.Line(); l != "ready" {
		b.Fatal(l)
	}
	conn, err := dialOn(network, at)
	ipctest.NoErr(b, err)
	b.Cleanup(func() { _ = conn.Close() })
	if u, ok := conn.(*net.UnixConn); ok {
		ipctest.NoErr(b, u.SetWriteBuffer(1<<20))
	}
	return conn
}

// There and back, with another process.
func BenchmarkEcho(b *testing.B) {
	for _, size := range []int{64, 1024, 64 << 10, 1 << 20} {
		for _, n := range networks {
			b.Run(fmt.Sprintf("%d/%s", size, n), func(b *testing.B) {
				c := child(b, "echo", n)
				out, in := make([]byte, size), make([]byte, size)
				b.SetBytes(2 * int64(size))
				b.ReportAllocs()
				for b.Loop() {
					done := make(chan error, 1)
					if size > 64<<10 {
						go func() { _, err := c.Write(out); done <- err }()
					} else {
						_, err := c.Write(out)
						done <- err
					}
					if _, err := io.ReadFull(c, in); err != nil {
						b.Fatal(err)
					}
					ipctest.NoErr(b, <-done)
				}
			})
		}
	}
}

// Writes of 1 MiB to another process.
func BenchmarkWrites(b *testing.B) {
	for _, n := range networks {
		b.Run(n, func(b *testing.B) {
			c := child(b, "sink", n)
			out := make([]byte, 1<<20)
			b.SetBytes(1 << 20)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.Write(out); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

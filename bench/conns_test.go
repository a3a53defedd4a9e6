package main

import (
	"context"
	"net"
	"testing"

	"golang.org/x/net/nettest"

	"samepage/internal/ipctest"
	"samepage/stream"
)

// A connection of package stream is a net.Conn. SAMEPAGE_ROUNDS says how often the tests run.
func TestConn(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	for range ipctest.Repeat(t, 3, 1, "SAMEPAGE_ROUNDS") {
		nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
			l, err := stream.Listen("s", nil)
			if err != nil {
				return nil, nil, nil, err
			}
			if c1, err = stream.Dial(context.Background(), "s", nil); err == nil {
				c2, err = l.Accept()
			}
			return c1, c2, func() {
				if c1 != nil {
					_ = c1.Close()
				}
				if c2 != nil {
					_ = c2.Close()
				}
				_ = l.Close()
			}, err
		})
	}
}

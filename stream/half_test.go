package stream_test

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"samepage/internal/ipctest"
	"samepage/stream"
)

// CloseWrite does not wait for a Write or ReadFrom of another goroutine: that returns EPIPE.
func TestCloseWriteWhileWriting(t *testing.T) {
	store(t)
	l := listen(t, &stream.Options{Buffer: 8192})
	pr, pw := io.Pipe()
	defer pw.Close()
	for name, write := range map[string]func(*stream.Conn) error{
		"Write":    func(c *stream.Conn) error { _, err := c.Write(make([]byte, 1<<20)); return err },
		"ReadFrom": func(c *stream.Conn) error { _, err := c.ReadFrom(pr); return err },
	} {
		t.Run(name, func(t *testing.T) {
			d, a := pair(t, l)
			wrote := make(chan error, 1)
			go func() { wrote <- write(d) }()
			if name == "ReadFrom" {
				_, err := pw.Write([]byte("a")) // it has begun
				ipctest.NoErr(t, err)
			}
			_, err := io.ReadFull(a, make([]byte, 1))
			ipctest.NoErr(t, err)
			closed := make(chan error, 1)
			go func() { closed <- d.CloseWrite() }()
			select {
			case err := <-closed:
				ipctest.NoErr(t, err)
			case <-time.After(ipctest.Patience):
				t.Fatal("CloseWrite waits for the other goroutine")
			}
			_, err = io.Copy(io.Discard, a)
			ipctest.NoErr(t, err)
			if name == "ReadFrom" {
				_, err := pw.Write([]byte("b"))
				ipctest.NoErr(t, err)
			}
			ipctest.WantErr(t, <-wrote, syscall.EPIPE)
			_, err = d.Write([]byte("c"))
			ipctest.WantErr(t, err, syscall.EPIPE)
		})
	}
}

// A Dial that ends with the deadline of its context is a timeout for package net.
func TestDialTimeout(t *testing.T) {
	store(t)
	listen(t, &stream.Options{Connections: 1})
	dial(t)
	ctx, cancel := context.WithTimeout(bg, time.Millisecond)
	defer cancel()
	_, err := stream.Dial(ctx, "s", nil)
	var e net.Error
	if !errors.As(err, &e) || !e.Timeout() {
		t.Errorf("%v is no timeout", err)
	}
}

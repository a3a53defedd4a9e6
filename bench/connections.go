package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"

	"samepage/stream"
)

// Connections over shared memory (package stream) beside Unix sockets, under the same servers and
// clients. Both have the settings that the servers and clients have by default. Larger buffers of
// the sockets (SO_SNDBUF, SO_RCVBUF up to 4 MiB) were tried.

// wire is what a server and its client use to reach each other.
type wire struct {
	listen func(o order) (net.Listener, error)
	dial   func(ctx context.Context, o order) (net.Conn, error)
}

func socketPath(o order) string { return filepath.Join(o.Dir, o.Name+".sock") }

var unixWire = wire{
	func(o order) (net.Listener, error) { return net.Listen("unix", socketPath(o)) },
	func(ctx context.Context, o order) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", socketPath(o))
	},
}

var streamWire = wire{
	func(o order) (net.Listener, error) { return stream.Listen(o.Name, nil) },
	func(ctx context.Context, o order) (net.Conn, error) { return stream.Dial(ctx, o.Name, nil) },
}

const unary = "half of a unary call, asked and answered with as many bytes"

func grpcUnix(size int) measurer { return pair{role: "grpc", size: size} }

// playHTTP gets a body of o.Size bytes again and again. The first process is the server.
func playHTTP(w wire) role {
	return func(o order, ready func() error) (s sample, err error) {
		if o.First {
			return w.serveHTTP(o, ready)
		}
		if err := ready(); err != nil {
			return s, err
		}
		t := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return w.dial(ctx, o) }}
		defer t.CloseIdleConnections()
		c := &http.Client{Transport: t}
		buf := make([]byte, 256<<10)
		get := func(path string) error {
			r, err := c.Get("http://bench/" + path)
			if err != nil {
				return err
			}
			defer r.Body.Close()
			n, err := io.CopyBuffer(onlyWriter{io.Discard}, r.Body, buf)
			if err == nil && path == "" && n != int64(o.Size) {
				err = fmt.Errorf("a body of %d bytes, want %d", n, o.Size)
			}
			return err
		}
		if s, err = trips(o, func() error { return get("") }); err != nil {
			return s, err
		}
		return s, get("stop")
	}
}

// onlyWriter hides ReadFrom, so that the buffer is used.
type onlyWriter struct{ io.Writer }

func (w wire) serveHTTP(o order, ready func() error) (s sample, err error) {
	l, err := w.listen(o)
	if err != nil {
		return s, err
	}
	body := make([]byte, o.Size)
	fill(body, 1)
	server := &http.Server{}
	stopped := make(chan struct{})
	server.Handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stop" {
			close(stopped)
			return
		}
		rw.Header().Set("Content-Length", fmt.Sprint(len(body)))
		_, _ = rw.Write(body)
	})
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	if err := ready(); err != nil {
		return s, errors.Join(err, server.Close())
	}
	<-stopped
	err = server.Shutdown(context.Background())
	if serr := <-served; !errors.Is(serr, http.ErrServerClosed) {
		err = errors.Join(err, serr)
	}
	return s, err
}

// playConnection is playSocket over a connection in shared memory.
func playConnection(o order, ready func() error) (s sample, err error) {
	c, err := connectStream(o, ready)
	if err != nil {
		return s, err
	}
	defer c.Close()
	return passBytes(o, c, c)
}

// playConnectionStream is playSocketStream over a connection in shared memory.
func playConnectionStream(o order, ready func() error) (s sample, err error) {
	c, err := connectStream(o, ready)
	if err != nil {
		return s, err
	}
	defer c.Close()
	return streamBytes(o, c, c)
}

// connectStream is connect over shared memory.
func connectStream(o order, ready func() error) (net.Conn, error) {
	if !o.First {
		c, err := streamWire.dial(context.Background(), o)
		if err != nil {
			return nil, err
		}
		return c, ready()
	}
	l, err := streamWire.listen(o)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	if err := ready(); err != nil {
		return nil, err
	}
	return l.Accept()
}

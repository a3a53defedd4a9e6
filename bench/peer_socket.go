package main

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
)

// A Unix socket of package net. A message is one Write. The reader of a stream of small
// messages buffers.
var unixSocket = &peer{
	name: "Go Unix socket, sleeping", prepare: onLinux,
	subjects: append(goExchanges("socket", false), wholes("socket", false)...),
}

// connect joins the two processes of a pair; the first one listens.
func connect(o order, ready func() error) (net.Conn, error) {
	path := filepath.Join(o.Dir, o.Name+".sock")
	if !o.First {
		c, err := net.Dial("unix", path)
		if err != nil {
			return nil, err
		}
		return c, ready()
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	defer l.Close() // removes the path, too
	if err := ready(); err != nil {
		return nil, err
	}
	return l.Accept()
}

func playSocket(o order, ready func() error) (sample, error) {
	c, err := connect(o, ready)
	if err != nil {
		return sample{}, err
	}
	defer c.Close()
	if err := tuneSocket(c, o); err != nil {
		return sample{}, err
	}
	return passBytes(o, c, c)
}

func playSocketStream(o order, ready func() error) (sample, error) {
	c, err := connect(o, ready)
	if err != nil {
		return sample{}, err
	}
	defer c.Close()
	return streamBytes(o, c, c)
}

// The buffers for whole messages are as large as an ordinary user may have them: for sockets if
// net.core.wmem_max and rmem_max permit that, otherwise the system makes them smaller. Of a few
// sizes, these were the fastest for 3 MB, and made no difference for small messages.
const (
	socketBuffer = 4 << 20
	pipeBuffer   = 1 << 20
)

func tuneSocket(c net.Conn, o order) error {
	b, ok := c.(interface {
		SetReadBuffer(bytes int) error
		SetWriteBuffer(bytes int) error
	})
	if !ok || !o.Whole {
		return nil
	}
	return errors.Join(b.SetReadBuffer(socketBuffer), b.SetWriteBuffer(socketBuffer))
}

// A pipe of os.Pipe in each direction, inherited as descriptors 3 and 4.
var goPipe = &peer{
	name: "Go pipe, sleeping", prepare: onLinux,
	subjects: append(goExchanges("pipe", true), wholes("pipe", true)...),
}

func playPipe(o order, ready func() error) (sample, error) {
	if err := ready(); err != nil {
		return sample{}, err
	}
	in, out := os.NewFile(3, "in"), os.NewFile(4, "out")
	if err := tunePipe(out, o); err != nil {
		return sample{}, err
	}
	return passBytes(o, in, out)
}

func playPipeStream(o order, ready func() error) (sample, error) {
	if err := ready(); err != nil {
		return sample{}, err
	}
	return streamBytes(o, os.NewFile(3, "in"), os.NewFile(4, "out"))
}

// passBytes passes messages to and fro. Each is one Write.
func passBytes(o order, in io.Reader, out io.Writer) (sample, error) {
	message := make([]byte, o.Size)
	return passing(o, func(n int) error {
		if o.Whole {
			fill(message, n)
		}
		_, err := out.Write(message)
		return err
	}, func(n int) error {
		if _, err := io.ReadFull(in, message); err != nil || !o.Whole {
			return err
		}
		return check(message, n)
	})
}

// streamBytes passes messages from the second process to the first.
func streamBytes(o order, in io.Reader, out io.Writer) (sample, error) {
	message := make([]byte, o.Size)
	if o.First {
		if o.Size < 64<<10 {
			in = bufio.NewReaderSize(in, 64<<10)
		}
		return arrivals(o, func() error {
			_, err := io.ReadFull(in, message)
			use(readLines(message))
			return err
		})
	}
	for n := range arriving(o) {
		fill(message, n)
		if _, err := out.Write(message); err != nil {
			return sample{}, err
		}
	}
	return sample{}, nil
}

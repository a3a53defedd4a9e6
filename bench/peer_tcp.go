package main

import (
	"context"
	"net"
	"os"
	"path/filepath"
)

// TCP of package net on the loopback interface. Go sets TCP_NODELAY. A message is one Write.
var loopback = &peer{
	name: "Go TCP, sleeping", prepare: func(context.Context, *bench) error { return nil },
	subjects: append(wholes("TCP", false), windowsWholes("TCP")...),
}

func playTCP(o order, ready func() error) (sample, error) {
	c, err := connectTCP(o, ready)
	if err != nil {
		return sample{}, err
	}
	defer c.Close()
	if err := tuneSocket(c, o); err != nil {
		return sample{}, err
	}
	return passBytes(o, c, c)
}

// connectTCP joins the two processes of a pair. The first one listens, and writes its address
// into a file.
func connectTCP(o order, ready func() error) (net.Conn, error) {
	file := filepath.Join(o.Dir, o.Name+".address")
	if !o.First {
		address, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		c, err := net.Dial("tcp", string(address))
		if err != nil {
			return nil, err
		}
		return c, ready()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	defer l.Close()
	if err := os.WriteFile(file, []byte(l.Addr().String()), 0o600); err != nil {
		return nil, err
	}
	defer os.Remove(file)
	if err := ready(); err != nil {
		return nil, err
	}
	return l.Accept()
}

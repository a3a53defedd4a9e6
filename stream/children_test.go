package stream_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"

	"samepage/stream"
)

// children are what other processes do in the tests. The first argument is the network: "stream"
// or "unix"; the second the address.
var children = map[string]func([]string){
	"echo": func(args []string) { serve(args, func(c net.Conn) { _, _ = io.Copy(c, struct{ io.Reader }{c}) }) },
	"sink": func(args []string) {
		serve(args, func(c net.Conn) {
			b := make([]byte, 1<<20)
			for {
				if _, err := io.ReadFull(c, b); err != nil {
					return
				}
			}
		})
	},
}

func listenOn(network, at string) (net.Listener, error) {
	if network == "stream" {
		return stream.Listen(at, &stream.Options{Connections: 1100})
	}
	return net.Listen(network, at)
}

func dialOn(network, at string) (net.Conn, error) {
	if network == "stream" {
		return stream.Dial(context.Background(), at, nil)
	}
	return net.Dial(network, at)
}

func serve(args []string, each func(net.Conn)) {
	l, err := listenOn(args[0], args[1])
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() { each(c); _ = c.Close() }()
	}
}

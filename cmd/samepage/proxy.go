package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/spf13/cobra"

	"samepage/stream"
)

type proxyOptions struct {
	object
	listen, to  string
	connections int
}

func newProxyCommand(a *app) *cobra.Command {
	var o proxyOptions
	c := &cobra.Command{
		Use:   "proxy --listen ADDRESS --to ADDRESS",
		Short: "Connect programs that use sockets with connections over shared memory",
		Long: `proxy accepts connections at one address. For each it connects to the other address, and
copies the bytes in both directions. An address is

  stream:NAME    a listener in shared memory (package stream)
  unix:PATH      a Unix socket
  tcp:HOST:PORT  a TCP socket

So a program in another language reaches a server that listens in shared memory, and the
other way round. If one side ends its stream, proxy ends it on the other side, too. proxy
ends with Ctrl-C; then it tells how much it has copied.`,
		Example: `  samepage proxy --listen unix:/tmp/store.sock --to stream:store
  samepage proxy --listen stream:web --to tcp:localhost:8080`,
		Args: names(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			for _, flag := range [][2]string{{"--listen", o.listen}, {"--to", o.to}} {
				if _, err := parseEndpoint(flag[1]); err != nil {
					return usage(c, "%s %q: %w", flag[0], flag[1], err)
				}
			}
			return runProxy(c.Context(), a, o)
		},
	}
	o.addFlags(c)
	f := c.Flags()
	o.addRights(f)
	f.StringVar(&o.listen, "listen", "", "accept connections at this `address`")
	f.StringVar(&o.to, "to", "", "connect to this `address`")
	f.IntVar(&o.connections, "connections", 0, "largest `number` of connections of a listener in shared memory; 0: 256")
	return c
}

// endpoint is an address of a proxy.
type endpoint struct{ network, address string }

func parseEndpoint(s string) (endpoint, error) {
	network, address, _ := strings.Cut(s, ":")
	switch network {
	case "stream", "unix", "tcp":
		if address != "" {
			return endpoint{network, address}, nil
		}
	}
	return endpoint{}, errors.New("want stream:NAME, unix:PATH or tcp:HOST:PORT")
}

func (e endpoint) String() string { return e.network + ":" + e.address }

func (e endpoint) listen(o *proxyOptions) (net.Listener, error) {
	if e.network == "stream" {
		return stream.Listen(e.address, &stream.Options{
			Scope: o.scope, Owner: o.owner, Perm: o.perm, SecurityDescriptor: o.sddl, Connections: o.connections,
		})
	}
	return net.Listen(e.network, e.address)
}

func (e endpoint) dial(ctx context.Context, o *proxyOptions) (net.Conn, error) {
	if e.network == "stream" {
		return stream.Dial(ctx, e.address, &stream.Options{Scope: o.scope, Owner: o.owner})
	}
	var d net.Dialer
	return d.DialContext(ctx, e.network, e.address)
}

// proxied tells what a proxy has done.
type proxied struct {
	Listen      string `json:"listen"`
	To          string `json:"to"`
	Connections uint64 `json:"connections"`
	Failed      uint64 `json:"failed"` // connections that could not be made to the other address
	There       int64  `json:"bytes_there"`
	Back        int64  `json:"bytes_back"`
}

func (r proxied) text(w io.Writer) error {
	_, err := fmt.Fprintf(w, "proxy from %s to %s: %s, %d failed, %s there, %s back\n", visible(r.Listen), visible(r.To),
		count64(r.Connections, "connection"), r.Failed, formatSize(r.There), formatSize(r.Back))
	return err
}

// proxy is a proxy that runs.
type proxy struct {
	a             *app
	o             *proxyOptions
	to            endpoint
	all           sync.WaitGroup
	count, failed atomic.Uint64
	there, back   atomic.Int64
}

func runProxy(ctx context.Context, a *app, o proxyOptions) error {
	from, _ := parseEndpoint(o.listen)
	to, _ := parseEndpoint(o.to)
	l, err := from.listen(&o)
	if err != nil {
		return noFile(err)
	}
	p := &proxy{a: a, o: &o, to: to}
	if from.network == "tcp" {
		from.address = l.Addr().String() // has the port that the system has chosen for port 0
	}
	fmt.Fprintf(a.notes(), "samepage: proxy listens at %s\n", visible(from.String()))
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	for {
		c, aerr := l.Accept()
		if aerr != nil {
			if err = ctx.Err(); err == nil {
				err = aerr
			}
			break
		}
		p.count.Add(1)
		p.all.Go(func() { p.connect(ctx, c) })
	}
	_ = l.Close()
	p.all.Wait()
	r := proxied{from.String(), to.String(), p.count.Load(), p.failed.Load(), p.there.Load(), p.back.Load()}
	return errors.Join(err, a.summary(r))
}

// connect connects one connection with the other address until both directions have ended.
func (p *proxy) connect(ctx context.Context, c net.Conn) {
	defer c.Close()
	d, err := p.to.dial(ctx, p.o)
	if err != nil {
		p.failed.Add(1)
		if ctx.Err() == nil {
			fmt.Fprintln(p.a.stderr, message(err))
		}
		return
	}
	defer d.Close()
	stop := context.AfterFunc(ctx, func() { _, _ = c.Close(), d.Close() })
	defer stop()
	var both sync.WaitGroup
	both.Go(func() { p.there.Add(pass(d, c)) })
	both.Go(func() { p.back.Add(pass(c, d)) })
	both.Wait()
}

// pass copies from src to dst until src ends, and then ends the stream to dst. After an error it
// closes both: no more can arrive.
func pass(dst, src net.Conn) int64 {
	n, err := io.Copy(dst, src)
	if w, ok := dst.(interface{ CloseWrite() error }); ok && err == nil {
		err = w.CloseWrite()
	}
	if err != nil && !errors.Is(err, os.ErrClosed) {
		_, _ = dst.Close(), src.Close()
	}
	return n
}

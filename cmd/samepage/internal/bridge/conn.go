package bridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Link says how to reach the server.
type Link struct {
	URL       string // of an existing server or cluster; empty: Serve
	Serve     string // the address, such as :4222, at which this process is the server
	StoreDir  string // where the server keeps streams; empty: it has no JetStream
	Creds     string // file with credentials of NATS
	CA        string // file with the certificates that a certificate of the other side must be signed by
	Cert, Key string // files with the own certificate; for Serve the one of the server
	Tell      func(Event)
}

// Dial connects, and starts the server before if there is none yet. stop ends both. Dial waits
// until the server can be reached, or ctx ends.
func (l *Link) Dial(ctx context.Context) (nc *nats.Conn, stop func(), err error) {
	var srv *server.Server
	url := l.URL
	if l.Serve != "" {
		if srv, err = l.serve(); err != nil {
			return nil, nil, err
		}
		url = srv.ClientURL()
	}
	closed := make(chan struct{})
	opts := append(l.secure(), nats.Name("samepage bridge"), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond),
		nats.ReconnectJitter(50*time.Millisecond, 50*time.Millisecond), nats.RetryOnFailedConnect(true), nats.PingInterval(5*time.Second),
		// What cannot be sent is lost, or sent again: it does not become old in a buffer.
		nats.ReconnectBufSize(-1),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				l.Tell(Event{What: "disconnected", Text: err.Error()})
			}
		}),
		nats.ReconnectHandler(func(c *nats.Conn) { l.Tell(Event{What: "reconnected", Text: c.ConnectedUrlRedacted()}) }),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }),
		nats.ErrorHandler(func(_ *nats.Conn, s *nats.Subscription, err error) {
			if !errors.Is(err, nats.ErrSlowConsumer) { // told with its number, see sink
				l.Tell(Event{What: "error", Text: err.Error()})
			}
		}))
	if srv != nil {
		opts = append(opts, nats.InProcessServer(srv))
	}
	if nc, err = nats.Connect(url, opts...); err == nil {
		err = l.await(ctx, nc)
	}
	stop = func() {
		if nc != nil {
			nc.Close()
		}
		if srv != nil {
			srv.Shutdown()
			srv.WaitForShutdown()
		}
	}
	if err != nil {
		stop()
		return nil, nil, fmt.Errorf("connect to %s: %w", url, err)
	}
	return nc, stop, nil
}

// await waits until there is a connection.
func (l *Link) await(ctx context.Context, nc *nats.Conn) error {
	if nc.IsConnected() {
		return nil
	}
	l.Tell(Event{What: "waiting", Text: "for the server"})
	changed := nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer nc.RemoveStatusListener(changed)
	for !nc.IsConnected() {
		select {
		case <-changed:
			if nc.IsClosed() {
				return nc.LastError()
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// secure returns the options for credentials and certificates.
func (l *Link) secure() (opts []nats.Option) {
	if l.Creds != "" {
		opts = append(opts, nats.UserCredentials(l.Creds))
	}
	if l.CA != "" {
		opts = append(opts, nats.RootCAs(l.CA))
	}
	if l.Cert != "" && l.Serve == "" {
		opts = append(opts, nats.ClientCert(l.Cert, l.Key))
	}
	return opts
}

// serve starts the server.
func (l *Link) serve() (*server.Server, error) {
	host, port, err := net.SplitHostPort(l.Serve)
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(port)
	if err != nil || n < 0 || n > 65535 {
		return nil, fmt.Errorf("port %q of %q is not a number from 0 to 65535", port, l.Serve)
	}
	if n == 0 {
		n = server.RANDOM_PORT
	}
	o := &server.Options{
		ServerName: "samepage", Host: host, Port: n, NoSigs: true, NoLog: true, MaxPayload: 1 << 20,
		// A subscribing bridge whose subscribers are slow stops to read. The server keeps so much
		// for it.
		MaxPending: 256 << 20,
	}
	if l.Cert != "" {
		o.TLSCert, o.TLSKey, o.TLSCaCert, o.TLSVerify = l.Cert, l.Key, l.CA, l.CA != ""
		if o.TLSConfig, err = server.GenTLSConfig(&server.TLSConfigOpts{CertFile: l.Cert, KeyFile: l.Key, CaFile: l.CA, Verify: l.CA != ""}); err != nil {
			return nil, err
		}
		o.TLS = true
	}
	if l.StoreDir != "" {
		if o.StoreDir, err = filepath.Abs(l.StoreDir); err != nil {
			return nil, err
		}
		if err := os.MkdirAll(o.StoreDir, 0o700); err != nil {
			return nil, err
		}
		o.JetStream = true
	}
	// The server reports an address that is in use only in its log, so it is tried here.
	if n != server.RANDOM_PORT {
		try, err := net.Listen("tcp", net.JoinHostPort(host, port))
		if err != nil {
			return nil, err
		}
		_ = try.Close()
	}
	s, err := server.NewServer(o)
	if err != nil {
		return nil, err
	}
	go s.Start()
	if !s.ReadyForConnections(time.Minute) {
		s.Shutdown()
		return nil, fmt.Errorf("the server at %s did not start", l.Serve)
	}
	l.Tell(Event{What: "serving", Text: s.Addr().String()})
	return s, nil
}

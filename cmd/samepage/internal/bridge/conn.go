package bridge

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
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
//
// Errors: ErrRefused (waiting does not help), the error of ctx, those of the files.
func (l *Link) Dial(ctx context.Context) (nc *nats.Conn, stop func(), err error) {
	var srv *server.Server
	at := l.URL
	if l.Serve != "" {
		if srv, err = l.serve(); err != nil {
			return nil, nil, err
		}
		at = srv.ClientURL()
	}
	told := "" // the last error of this connection, which is tried again and again
	opts := append(l.secure(), nats.Name("samepage bridge"), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond),
		nats.ReconnectJitter(50*time.Millisecond, 50*time.Millisecond),
		// The answer to a ping comes behind what is on its way: over a slow line that is some MB.
		nats.PingInterval(5*time.Second), nats.MaxPingsOutstanding(12),
		// What cannot be sent is lost, or sent again: it does not become old in a buffer.
		nats.ReconnectBufSize(-1), nats.IgnoreAuthErrorAbort(),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				l.Tell(Event{What: "disconnected", Text: err.Error()})
			}
		}),
		nats.ReconnectHandler(func(c *nats.Conn) {
			told = ""
			l.Tell(Event{What: "reconnected", Text: c.ConnectedUrlRedacted()})
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { // a slow one is told with its number, see sink
			if text := err.Error(); !errors.Is(err, nats.ErrSlowConsumer) && text != told {
				told = text
				l.Tell(Event{What: "error", Text: text})
			}
		}))
	if srv != nil {
		opts = append(opts, nats.InProcessServer(srv))
	}
	nc, err = l.connect(ctx, at, opts)
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
		return nil, nil, fmt.Errorf("connect to %s: %w", redacted(at), err)
	}
	return nc, stop, nil
}

// connect connects. It tries again while the server cannot be reached.
func (l *Link) connect(ctx context.Context, at string, opts []nats.Option) (*nats.Conn, error) {
	if l.Creds != "" && l.Serve == "" {
		if err := l.checkCreds(); err != nil {
			return nil, err
		}
	}
	told := ""
	for {
		nc, err := nats.Connect(at, opts...)
		if err == nil || !unreachable(err) {
			return nc, l.refused(err)
		}
		text := "for the server"
		if !errors.Is(err, nats.ErrNoServers) {
			text += ": " + err.Error()
		}
		if text != told {
			told = text
			l.Tell(Event{What: "waiting", Text: text})
		}
		if pause(ctx, 100*time.Millisecond); ctx.Err() != nil {
			return nil, ctx.Err()
		}
	}
}

// unreachable says whether a server that starts later may accept the connection.
func unreachable(err error) bool {
	var op *net.OpError
	var name *net.DNSError
	return errors.Is(err, nats.ErrNoServers) || errors.Is(err, nats.ErrTimeout) || errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.As(err, &name) || errors.As(err, &op) && op.Op != "remote error" // this one is an alert of TLS
}

// ErrRefused is the error of a server that does not let the bridge in, or is not the right one.
var ErrRefused = errors.New("there is a server, but it and the bridge do not accept each other")

// refused adds to an error of a connection what can be the reason.
func (l *Link) refused(err error) error {
	var op *net.OpError
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	why := ""
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrAuthorization) && l.Creds != "":
		why = fmt.Sprintf("the server does not know the user of --creds %s", l.Creds)
	case errors.Is(err, nats.ErrAuthorization):
		why = "the server wants credentials: --creds, or nats://USER:PASSWORD@HOST"
	case errors.As(err, &unknown) && l.CA != "":
		why = fmt.Sprintf("the certificate of the server is not signed by --ca %s", l.CA)
	case errors.As(err, &unknown):
		why = "the certificate of the server needs --ca"
	case errors.As(err, &host):
		why = "the certificate of the server is for another host"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		why = "the certificate of the server has expired, or is not valid yet"
	case errors.As(err, &op) && l.Cert != "":
		why = fmt.Sprintf("the server does not accept the certificate --cert %s", l.Cert)
	case errors.As(err, &op):
		why = "the server wants a certificate: --cert and --key"
	default:
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return fmt.Errorf("%s: %w: %w", why, ErrRefused, err)
}

// checkCreds finds credentials that have expired: the server only says that they are not good.
func (l *Link) checkCreds() error {
	text, err := os.ReadFile(l.Creds)
	if err != nil {
		return err
	}
	token, err := jwt.ParseDecoratedJWT(text)
	if err != nil {
		return fmt.Errorf("--creds %s: %w", l.Creds, err)
	}
	c, err := jwt.DecodeUserClaims(token)
	if err != nil {
		return fmt.Errorf("--creds %s: %w", l.Creds, err)
	}
	if t := time.Unix(c.Expires, 0); c.Expires > 0 && time.Now().After(t) {
		return fmt.Errorf("the credentials of --creds %s have expired at %s: %w", l.Creds, t.Format(time.RFC3339), ErrRefused)
	}
	return nil
}

// redacted returns URLs without their passwords.
func redacted(urls string) string {
	all := strings.Split(urls, ",")
	for i, text := range all {
		if u, err := url.Parse(strings.TrimSpace(text)); err == nil {
			all[i] = u.Redacted()
		} else if _, host, ok := strings.Cut(text, "@"); ok {
			all[i] = "xxxxx@" + host
		}
	}
	return strings.Join(all, ",")
}

// secure returns the options for credentials and certificates.
func (l *Link) secure() (opts []nats.Option) {
	if l.Serve != "" {
		if l.Cert != "" { // nobody is between this process and itself, see serve
			opts = append(opts, nats.Secure(&tls.Config{InsecureSkipVerify: true}))
		}
		return opts
	}
	if l.Creds != "" {
		opts = append(opts, nats.UserCredentials(l.Creds))
	}
	if l.CA != "" {
		opts = append(opts, nats.RootCAs(l.CA))
	}
	if l.Cert != "" {
		opts = append(opts, nats.ClientCert(l.Cert, l.Key))
	}
	return opts
}

// maxPayload is the limit of a server of Serve. It also limits the requests of services.
const maxPayload = 8 << 20

// options returns the options of the server.
func (l *Link) options() (*server.Options, error) {
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
		ServerName: "samepage", Host: host, Port: n, NoSigs: true, NoLog: true, MaxPayload: maxPayload,
		// A subscribing bridge whose subscribers are slow stops to read. The server keeps so much
		// for it.
		MaxPending: 256 << 20,
		// Over a slow line it takes longer than WriteDeadline to write what is pending. Then the
		// server must not cut the connection if it has written a part.
		WriteTimeout: server.WriteTimeoutPolicyRetry,
	}
	if l.Cert != "" {
		o.TLSCert, o.TLSKey, o.TLSCaCert, o.TLSVerify = l.Cert, l.Key, l.CA, l.CA != ""
		if o.TLSConfig, err = server.GenTLSConfig(&server.TLSConfigOpts{CertFile: l.Cert, KeyFile: l.Key, CaFile: l.CA, Verify: l.CA != ""}); err != nil {
			return nil, err
		}
		o.TLS = true
		// Its own process connects over a pipe, and has no certificate of a client.
		inside := o.TLSConfig.Clone()
		inside.ClientAuth = tls.NoClientCert
		o.TLSConfig.GetConfigForClient = func(h *tls.ClientHelloInfo) (*tls.Config, error) {
			if h.Conn.RemoteAddr().Network() == "pipe" {
				return inside, nil
			}
			return nil, nil
		}
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
	return o, nil
}

// serve starts the server.
func (l *Link) serve() (*server.Server, error) {
	o, err := l.options()
	if err != nil {
		return nil, err
	}
	// The server reports an address that is in use only in its log, so it is tried here.
	if o.Port != server.RANDOM_PORT {
		try, err := net.Listen("tcp", net.JoinHostPort(o.Host, strconv.Itoa(o.Port)))
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

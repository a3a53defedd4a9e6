// Http is an HTTP server and its client in two processes. They are an ordinary http.Server and an
// ordinary http.Client. Only two lines differ from those over a socket: the listener and the
// dialer. The bytes of requests and responses pass through shared memory.
//
//	go run ./examples/http
//
// It ends by itself, or with Ctrl-C.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"

	"samepage/stream"
)

func main() {
	run := client
	if len(os.Args) == 2 { // started by the client
		run = func() error { return server(os.Args[1]) }
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func server(name string) error {
	l, err := stream.Listen(name, nil) // instead of net.Listen
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /film", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.CopyN(w, strings.NewReader(strings.Repeat("frame ", 20<<20)), 100<<20)
	})
	mux.HandleFunc("POST /upper", func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		_, _ = io.WriteString(w, strings.ToUpper(string(b)))
	})
	s := &http.Server{Handler: mux}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, func() { _ = s.Close() })
	go func() { // the client closes this pipe when it ends, also when it is killed
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = s.Close()
	}()
	fmt.Println("server: ready")
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func client() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	name := fmt.Sprintf("http-%d", os.Getpid())
	wait, err := start(name)
	if err != nil {
		return err
	}
	t := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return stream.Dial(ctx, name, nil) // instead of a net.Dialer
	}}
	err = requests(ctx, &http.Client{Transport: t})
	t.CloseIdleConnections()
	if ctx.Err() != nil {
		err = nil
	}
	return errors.Join(err, wait())
}

func requests(ctx context.Context, c *http.Client) error {
	post, err := http.NewRequestWithContext(ctx, "POST", "http://samepage/upper", strings.NewReader("hello"))
	if err != nil {
		return err
	}
	r, err := c.Do(post)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(r.Body)
	_ = r.Body.Close()
	if err != nil {
		return err
	}
	fmt.Printf("client: %s: %s\n", r.Status, b)

	get, err := http.NewRequestWithContext(ctx, "GET", "http://samepage/film", nil)
	if err != nil {
		return err
	}
	if r, err = c.Do(get); err != nil {
		return err
	}
	defer r.Body.Close()
	n, err := io.Copy(io.Discard, r.Body)
	if err == nil {
		fmt.Printf("client: %s: %d bytes\n", r.Status, n)
	}
	return err
}

// start starts this program as the server, and waits until it is ready. wait ends it.
func start(name string) (wait func() error, err error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(exe, name)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line := make([]byte, len("server: ready\n"))
	if _, err := io.ReadFull(out, line); err != nil {
		return nil, errors.Join(err, in.Close(), cmd.Wait())
	}
	fmt.Print(string(line))
	return func() error { return errors.Join(in.Close(), cmd.Wait()) }, nil
}

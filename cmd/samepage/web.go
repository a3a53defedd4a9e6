package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"samepage/inspect/web"
)

type webOptions struct {
	listen     string
	token      string
	open       bool
	unsafeOpen bool
}

// shortestToken is the smallest number of bytes of a token: one that nobody can guess by trying.
const shortestToken = 12

// tokenVariable is the environment variable that gives a token without showing it in the list of
// processes.
const tokenVariable = "SAMEPAGE_TOKEN"

func newWebCommand(a *app) *cobra.Command {
	var o webOptions
	c := &cobra.Command{
		Use:   "web",
		Short: "Show the objects, and who waits for whom, in a browser",
		Long: `web serves a page that shows the objects of both scopes: their memory, their members, the
rates of topics and cells, the lag of each subscriber, the newest message, who waits
for whom, and what dead processes left. It joins no object, no process notices it, and it
changes nothing. When nobody looks at the page, it does nothing. It ends with Ctrl-C.

The address is one of this machine, and other machines cannot reach it. But all users of
this machine can, and see what you may see. With --token they cannot: the page asks for the
token, and a program sends it in the header "Authorization: Bearer TOKEN". Other users can
see an argument in the list of processes; the environment variable ` + tokenVariable + ` is
the same as --token, and only you can see it. web listens at an address that other
machines can reach only with a token, or with --unsafe-open. It does not encrypt.

A program of your own can have the same page in its server: package samepage/inspect/web.`,
		Example: "  samepage web --open\n  curl http://127.0.0.1:7070/api/state",
		Args:    names(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if !c.Flags().Changed("token") {
				o.token = os.Getenv(tokenVariable)
			}
			switch _, _, err := net.SplitHostPort(o.listen); {
			case err != nil:
				return usage(c, "--listen %q is not HOST:PORT", o.listen)
			case o.unsafeOpen && o.token != "":
				return usage(c, "--unsafe-open and a token exclude each other")
			case (o.token != "" || c.Flags().Changed("token")) && len(o.token) < shortestToken:
				return usage(c, "the token has %s, want at least %d", count(len(o.token), "byte"), shortestToken)
			}
			return runWeb(c, a, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.listen, "listen", "127.0.0.1:7070", "listen at this `address`; port 0: the system chooses one")
	f.StringVar(&o.token, "token", "", "show the page only to those who have this `token`")
	f.BoolVar(&o.open, "open", false, "open the page in the browser of this user")
	f.BoolVar(&o.unsafeOpen, "unsafe-open", false, "let everybody who can reach the address see the page")
	return c
}

// serving tells where the page is.
type serving struct {
	URL string `json:"url"`
}

func (s serving) text(w io.Writer) error {
	_, err := fmt.Fprintln(w, s.URL)
	return err
}

func runWeb(c *cobra.Command, a *app, o webOptions) error {
	ctx := c.Context()
	l, err := net.Listen("tcp", o.listen)
	if err != nil {
		return err
	}
	defer l.Close()
	at := l.Addr().(*net.TCPAddr)
	if !at.IP.IsLoopback() && o.token == "" && !o.unsafeOpen {
		return usage(c, "other machines can reach %s: give a --token, or --unsafe-open if everybody may see all objects", at)
	}
	host, _, _ := net.SplitHostPort(o.listen)
	opts := &web.Options{Token: o.token, Hosts: []string{host}}
	if !at.IP.IsLoopback() {
		if h, err := os.Hostname(); err == nil {
			opts.Hosts = append(opts.Hosts, h)
		}
	}
	if at.IP.IsUnspecified() {
		at.IP = net.IPv4(127, 0, 0, 1)
	}
	u := url.URL{Scheme: "http", Host: at.String(), Path: "/"}
	if err := a.printer().print(serving{u.String()}); err != nil {
		return err
	}
	if o.open {
		if o.token != "" {
			u.RawQuery = url.Values{"token": {o.token}}.Encode()
		}
		if err := openBrowser(u.String()); err != nil {
			fmt.Fprintln(a.notes(), "samepage: cannot open a browser:", err)
		}
	}
	return a.serve(ctx, l, web.Handler(opts))
}

// serve serves until ctx ends, and closes l.
func (a *app) serve(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          log.New(visibleWriter{a.notes()}, "samepage: ", 0),
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Close() })
	defer stop()
	err := s.Serve(l)
	if errors.Is(err, http.ErrServerClosed) {
		err = ctx.Err()
	}
	return err
}

// openBrowser opens a page in the browser that the user has chosen.
func openBrowser(address string) error {
	c := exec.Command("xdg-open", address)
	switch runtime.GOOS {
	case "windows":
		c = exec.Command("rundll32", "url.dll,FileProtocolHandler", address)
	case "darwin":
		c = exec.Command("open", address)
	}
	if err := c.Start(); err != nil {
		return err
	}
	go func() { _ = c.Wait() }()
	return nil
}

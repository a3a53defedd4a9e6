// Legacytext plays the roles of two existing C++ programs, which share a text in a section
// called ZJ. The server creates the section and prints its text again and again. The client
// prints the text and writes another one.
//
//	go run ./examples/legacytext
//
// runs both, and ends after a second or with Ctrl-C. On Windows each role can run alone, with
// the C++ program in the other role:
//
//	go run ./examples/legacytext server
//	go run ./examples/legacytext client
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"samepage/legacy/text"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	role := strings.Join(os.Args[1:], " ")
	run := map[string]func() error{
		"":       func() error { return server(ctx, 4) },
		"server": func() error { return server(ctx, 0) },
		"client": client,
	}[role]
	if run == nil {
		run = func() error { return fmt.Errorf("no role %q: want server, client, or none for both", role) }
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// server prints the text turns times, and starts a client. If turns is 0, it starts none, and
// prints the text until Ctrl-C.
func server(ctx context.Context, turns int) (err error) {
	dir, err := os.MkdirTemp("", "legacytext-")
	if err != nil {
		return err
	}
	path := filepath.Join(dir, "zj.dat")
	defer func() { err = errors.Join(err, os.Remove(path), os.Remove(dir)) }()
	text, err := text.Create(text.DefaultName, path, 0)
	if err != nil {
		return err // for example: a server is already running
	}
	defer text.Close()
	if err := text.Set("hello my first mapping file!\n"); err != nil {
		return err
	}
	every := time.NewTicker(250 * time.Millisecond)
	for n := 1; ; n++ {
		s, err := text.Get()
		if err != nil {
			return err
		}
		fmt.Print("server: ", s) // it is data, which may contain a %
		if n == turns {
			return nil
		}
		if n == 1 && turns > 0 {
			if err := other(); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-every.C:
		}
	}
}

// other runs this program as the client.
func other() error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	c := exec.Command(exe, "client")
	c.Stdout, c.Stderr = os.Stdout, os.Stderr
	return c.Run()
}

func client() error {
	text, err := text.Open(text.DefaultName)
	if err != nil {
		return err // for example: no server is running
	}
	defer text.Close()
	s, err := text.Get()
	if err != nil {
		return err
	}
	fmt.Print("client: ", s)
	return text.Set("second data!\n")
}

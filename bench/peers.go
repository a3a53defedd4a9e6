package main

import (
	"context"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
)

// peer is another system that can do what this module does.
type peer struct {
	name string // with the way it waits, since that matters most
	// prepare prepares the measurements. An error that wraps errMissing says what this
	// machine lacks.
	prepare  func(ctx context.Context, b *bench) error
	subjects []subject // their names are the peer's
}

var peers = []*peer{iceoryx, boostQueue, shmipcGo, unixSocket, goPipe, loopback, grpcGo, namedPipe, copyDataMessage}

// exchanges returns the subjects of a peer: the measurements of its messages. A peer that polls
// is measured beside a spinning word, and a peer that sleeps beside a futex.
func exchanges(message, stream func(size int) measurer, sleeps bool) []subject {
	var all []subject
	singles := []*group{message64, message1M, message8M}
	if sleeps {
		singles = []*group{asleep64, asleep1M}
	}
	for _, g := range singles {
		all = append(all, subject{group: g, measurer: message(g.size)})
	}
	for _, g := range []*group{stream64, stream1M} {
		all = append(all, subject{group: g, measurer: stream(g.size)})
	}
	return all
}

// goExchanges returns the exchanges of a peer in Go, which has two roles and sleeps. For single
// messages its processes are bound to different CPUs, as those of the limits are. Otherwise the
// system could put both on one CPU, where a wake costs an eighth. For streams they are not bound.
func goExchanges(role string, pipes bool) []subject {
	return exchanges(
		func(size int) measurer { return pair{role: role, size: size, bind: early, pipes: pipes} },
		func(size int) measurer { return pair{role: role + " stream", size: size, pipes: pipes} },
		true)
}

// onLinux is the prepare function of a peer that needs only Linux.
func onLinux(context.Context, *bench) error {
	if runtime.GOOS != "linux" {
		return missing("measured on Linux only")
	}
	return nil
}

// onWindows is the prepare function of a peer that needs only Windows.
func onWindows(context.Context, *bench) error {
	if runtime.GOOS != "windows" {
		return missing("only Windows has it")
	}
	return nil
}

// compiled is the prepare function of a peer in C++ whose library is in packages.
func compiled(source, header, packages string, flags ...string) func(context.Context, *bench) error {
	return func(ctx context.Context, b *bench) error {
		if err := onLinux(ctx, b); err != nil {
			return err
		}
		if _, err := exec.LookPath("g++"); err != nil {
			return missing("g++ is not installed (apt install g++)")
		}
		look := exec.CommandContext(ctx, "g++", append(slices.Clone(flags), "-E", "-x", "c++", "-o", os.DevNull, "-")...)
		look.Stdin = strings.NewReader("#if !__has_include(<" + header + ">)\n#error\n#endif\n")
		if look.Run() != nil {
			return missing("%s is not installed (apt install %s)", header, packages)
		}
		return b.compile(ctx, source, flags...)
	}
}

// leftOut is a peer that was not measured.
type leftOut struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

// prepare prepares the peers of the subjects. It leaves out peers that are not installed or do
// not build.
func (b *bench) prepare(ctx context.Context, chosen []subject) (ready []subject, left []leftOut) {
	verdicts := map[*peer]error{}
	for _, s := range chosen {
		if s.peer == nil {
			ready = append(ready, s)
			continue
		}
		err, known := verdicts[s.peer]
		if !known {
			err = s.peer.prepare(ctx, b)
			verdicts[s.peer] = err
			if err != nil {
				left = append(left, leftOut{s.peer.name, whyMissing(err)})
			}
		}
		if err == nil {
			ready = append(ready, s)
		}
	}
	return ready, left
}

func whyMissing(err error) string {
	return strings.TrimPrefix(oneLine(err), errMissing.Error()+": ")
}

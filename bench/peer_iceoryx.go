package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// iceoryx 2.0, polling, with its C++ library from Debian.
var iceoryx = &peer{
	name:    "iceoryx 2.0, polling",
	prepare: prepareIceoryx,
	subjects: exchanges(
		func(size int) measurer { return withRouDi{cProgram("iceoryx", "-size", strconv.Itoa(size))} },
		func(size int) measurer {
			return withRouDi{cProgram("iceoryx", "-size", strconv.Itoa(size), "-stream", "1")}
		},
		false),
}

func prepareIceoryx(ctx context.Context, b *bench) error {
	// The header lies in a folder named for the version.
	dirs, _ := filepath.Glob("/usr/include/iceoryx/v2.*") // the pattern is right
	flags := []string{"-liceoryx_posh", "-liceoryx_hoofs", "-liceoryx_platform"}
	for _, d := range dirs {
		flags = append(flags, "-I"+d)
	}
	err := compiled("peers/iceoryx.cpp", "iceoryx_posh/popo/untyped_publisher.hpp", "libiceoryx-posh-dev", flags...)(ctx, b)
	if err != nil {
		return err
	}
	if _, err := exec.LookPath("iox-roudi"); err != nil {
		return missing("iox-roudi is not installed (apt install iceoryx)")
	}
	d, err := startRouDi(ctx, b)
	if err != nil {
		return err
	}
	return d.stop()
}

// rouDiConfig sets its memory: chunks for all sizes that are measured.
const rouDiConfig = `[general]
version = 1

[[segment]]

[[segment.mempool]]
size = 128
count = 4096

[[segment.mempool]]
size = 1048704
count = 32

[[segment.mempool]]
size = 8388736
count = 8
`

// rouDi is the daemon of iceoryx. It runs only while iceoryx is measured.
type rouDi struct {
	cmd  *exec.Cmd
	said *bytes.Buffer
	read chan struct{} // all that it said has been read
}

func startRouDi(ctx context.Context, b *bench) (*rouDi, error) {
	conf := filepath.Join(b.programs, "roudi.toml")
	if err := os.WriteFile(conf, []byte(rouDiConfig), 0o600); err != nil {
		return nil, err
	}
	// Without monitoring it does not kill processes that answer slowly.
	cmd := exec.CommandContext(ctx, "iox-roudi", "-c", conf, "-m", "off")
	// It removes its memory only if it is interrupted.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = in, in
	err = cmd.Start()
	_ = in.Close() // the daemon has its own copy
	if err != nil {
		return nil, errors.Join(err, out.Close())
	}
	d := &rouDi{cmd, &bytes.Buffer{}, make(chan struct{})}
	ready := make(chan bool, 1)
	go func() {
		defer close(d.read)
		defer out.Close()
		lines := bufio.NewReader(io.TeeReader(out, d.said))
		for told := false; ; {
			line, err := lines.ReadString('\n')
			if !told && (err != nil || strings.Contains(line, "ready for clients")) {
				ready <- err == nil
				told = true
			}
			if err != nil {
				return
			}
		}
	}()
	late := time.NewTimer(30 * time.Second)
	defer late.Stop()
	select {
	case ok := <-ready:
		if ok {
			return d, nil
		}
	case <-late.C:
	}
	_ = d.stop()
	return nil, fmt.Errorf("iox-roudi did not get ready: %s", bytes.TrimSpace(d.said.Bytes()))
}

func (d *rouDi) stop() error {
	err := d.cmd.Cancel()
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	late := time.AfterFunc(d.cmd.WaitDelay, func() { _ = d.cmd.Process.Kill() })
	defer late.Stop()
	failed := d.cmd.Wait()
	<-d.read
	// It was interrupted on purpose: that is no error.
	if exit := (*exec.ExitError)(nil); errors.As(failed, &exit) {
		failed = nil
	}
	return errors.Join(err, failed)
}

// withRouDi measures while a RouDi runs.
type withRouDi struct{ program }

func (w withRouDi) measure(ctx context.Context, b *bench, seconds float64) (sample, error) {
	d, err := startRouDi(ctx, b)
	if err != nil {
		return sample{}, err
	}
	s, err := w.program.measure(ctx, b, seconds)
	err = errors.Join(err, d.stop())
	if err != nil {
		removeLeftovers()
	}
	return s, err
}

// removeLeftovers removes what a killed iceoryx process leaves: sockets and lock files with its
// name. All names of this form are ours.
func removeLeftovers() {
	left, _ := filepath.Glob("/tmp/samepage-bench-*-[ab]*") // the pattern is right
	for _, f := range left {
		if st, err := os.Lstat(f); err == nil && !st.IsDir() {
			_ = os.Remove(f)
		}
	}
}

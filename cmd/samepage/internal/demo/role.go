package demo

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// The roles of the processes that the supervisor starts.
const (
	RoleBase   = "base"
	RoleWorker = "worker"
	RoleViewer = "viewer"
)

// RunRole runs a process that the supervisor started. It returns when the work is done or
// stdin closes. code maps errors to exit codes. If the error is a *RemoteError, the
// supervisor knows it already.
func RunRole(role string, stdin io.Reader, stdout io.Writer, code func(error) int) error {
	// Ctrl-C goes to all processes of a terminal, but the supervisor decides when they
	// end. If the supervisor is gone, a write to it must be an error and not a signal, so
	// that nothing is left behind. To ignore the signals would not be enough: Windows then
	// ends the process. Other signals are meant for this process.
	deaf := make(chan os.Signal, 1)
	signal.Notify(deaf, os.Interrupt, syscall.SIGPIPE)
	signal.Reset(syscall.SIGTERM, syscall.SIGHUP)

	in := bufio.NewReader(stdin)
	line, err := in.ReadBytes('\n')
	var o orders
	if err == nil {
		err = json.Unmarshal(line, &o)
	}
	if err != nil {
		return fmt.Errorf("this command is a part of samepage demo, which gives it orders on standard input: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, in)
		cancel()
	}()

	var mu sync.Mutex
	out := json.NewEncoder(stdout)
	tell := func(m message) {
		mu.Lock()
		defer mu.Unlock()
		if out.Encode(m) != nil {
			cancel() // nobody reads the reports any more
		}
	}
	up := func() { tell(message{Ready: &Ready{PID: os.Getpid()}}) }
	switch role {
	case RoleBase:
		err = runBase(ctx, o.Name, o.Options, tell)
	case RoleWorker:
		err = runWorker(ctx, o.Name, up)
	case RoleViewer:
		err = runViewer(ctx, o.Name, nil, up, func(v Viewed) { tell(message{Viewed: &v}) })
	default:
		err = fmt.Errorf("unknown role %q", role)
	}
	if err == nil {
		return nil
	}
	remote := &RemoteError{err.Error(), code(err)}
	tell(message{Error: remote})
	return remote
}

package ipctest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// OnTerminal runs a command whose standard output is a terminal of so many columns, with
// an empty standard input, and returns what came there, as the command wrote it.
func OnTerminal(t testing.TB, columns int, cmd *exec.Cmd) (shown string) {
	t.Helper()
	mine, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	defer mine.Close()
	fd := int(mine.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	NoErr(t, errors.Join(err, unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)))
	term, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	NoErr(t, err)
	state, err := unix.IoctlGetTermios(int(term.Fd()), unix.TCGETS)
	NoErr(t, err)
	state.Oflag &^= unix.OPOST // line ends stay as they are
	NoErr(t, errors.Join(
		unix.IoctlSetTermios(int(term.Fd()), unix.TCSETS, state),
		unix.IoctlSetWinsize(int(term.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: uint16(columns)})))
	cmd.Stdout = term
	NoErr(t, cmd.Start())
	NoErr(t, term.Close())
	var b strings.Builder
	if _, err := io.Copy(&b, mine); !errors.Is(err, syscall.EIO) { // which is the end here
		t.Errorf("read the terminal: %v", err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		t.Error(err)
	}
	return b.String()
}

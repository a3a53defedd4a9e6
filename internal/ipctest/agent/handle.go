package agent

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/internal/sys/process"
)

// Handle is a helper that has memory by a bare handle, or hands it on, as the lines of
// its standard input say; see Run on the answers. It is what the C++ programs
// handle_parent and handle_child are together, and is called with the same lines.
func Handle([]string) {
	var h handler
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		args, err := split(in.Text())
		var res string
		if err == nil && len(args) > 0 {
			if args[0] == "tell" { // LINE: the child answers, on this standard output
				_, _ = fmt.Fprintln(h.child, strings.TrimPrefix(in.Text(), "tell "))
				continue
			}
			res, err = h.do(args[0], args[1:])
		}
		say(res, err)
	}
	if h.length > 0 {
		say(h.read(h.offset, h.length))
	}
}

func say(res string, err error) {
	if err != nil {
		fmt.Println("err", Classify(err)+": "+strings.ReplaceAll(err.Error(), "\n", " "))
	} else {
		fmt.Println(strings.TrimSpace("ok " + res))
	}
}

type handler struct {
	m              *samepage.Memory
	child          io.Writer // its standard input
	offset, length int64     // what is read at the end of the input
}

func (h *handler) have(m *samepage.Memory, err error) (string, error) {
	if err == nil {
		h.m = m
	}
	return "", err
}

func (h *handler) read(offset, length int64) (string, error) {
	b := make([]byte, length)
	_, err := h.m.ReadAt(b, offset)
	return string(b), err
}

// sizeAndAccess are optional.
func sizeAndAccess(args []string) (size int64, a samepage.Access) {
	if len(args) > 0 {
		size = num(args[0])
	}
	if len(args) > 1 {
		a = access(args[1])
	}
	return size, a
}

func (h *handler) do(cmd string, args []string) (string, error) {
	switch cmd {
	case "argv": // INDEX [SIZE [ACCESS]]: the value is an argument of this program
		return h.adopt(os.Args[num(args[0])], args[1:])
	case "env": // NAME [SIZE [ACCESS]]: or in its environment
		return h.adopt(os.Getenv(args[0]), args[1:])
	case "adopt": // VALUE [SIZE [ACCESS]]: or told
		return h.adopt(args[0], args[1:])
	case "take": // PID VALUE [SIZE [ACCESS]]: or that of another process
		size, a := sizeAndAccess(args[2:])
		return h.have(samepage.TakeHandle(int(num(args[0])), uint64(num(args[1])), size, a))
	case "read": // OFFSET LENGTH
		return h.read(num(args[0]), num(args[1]))
	case "write": // OFFSET TEXT
		_, err := h.m.WriteAt([]byte(args[1]), num(args[0]))
		return "", err
	case "size":
		return fmt.Sprint(h.m.Size()), nil
	case "close":
		return "", h.m.Close()
	case "usage":
		n, _, err := process.Usage()
		return fmt.Sprint(n), err
	case "args":
		return strings.Join(os.Args[1:], "|"), nil
	case "user": // UID: becomes another user
		return "", setUser(int(num(args[0])))
	case "hidden":
		return fmt.Sprint(process.StartedHidden()), nil
	case "atend": // OFFSET LENGTH: at the end of the input read once more
		h.offset, h.length = num(args[0]), num(args[1])
		return "", nil

	case "create": // SIZE
		return h.have(samepage.CreateUnnamed(num(args[0]), nil))
	case "spawn": // argv|env dec|hex show PROGRAM: a child that inherits the memory
		return h.spawn(args)
	case "offer": // ACCESS
		v, err := samepage.OfferHandle(h.m, access(args[0]))
		return fmt.Sprint(v), err
	case "grant": // PID ACCESS
		v, err := samepage.GrantHandle(int(num(args[0])), h.m, access(args[1]))
		return fmt.Sprint(v), err
	case "revoke": // PID VALUE
		return "", samepage.RevokeHandle(int(num(args[0])), uint64(num(args[1])))
	}
	return "", fmt.Errorf("unknown command %q", cmd)
}

func (h *handler) adopt(value string, rest []string) (string, error) {
	v, err := strconv.ParseUint(value, 0, 64)
	if err != nil {
		return "", err
	}
	size, a := sizeAndAccess(rest)
	return h.have(samepage.FromHandle(v, size, a))
}

// spawn returns the process id of the child.
func (h *handler) spawn(args []string) (string, error) {
	cmd := exec.Command(args[3])
	ipctest.SetHelper(cmd, "handle")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	value, err := samepage.InheritHandle(cmd, h.m, samepage.ReadWrite)
	if err != nil {
		return "", err
	}
	text := map[string]string{"dec": strconv.FormatUint(value, 10), "hex": fmt.Sprintf("%#x", value)}[args[1]]
	if args[0] == "argv" {
		cmd.Args = append(cmd.Args, text)
	} else {
		cmd.Env = append(cmd.Env, "SHM="+text)
	}
	if h.child, err = cmd.StdinPipe(); err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	return fmt.Sprint(cmd.Process.Pid), nil
}

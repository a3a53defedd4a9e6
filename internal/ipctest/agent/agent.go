// Package agent is a test helper process that does with shared memory what
// the test tells it to, line by line.
//
// Each line of standard input is a command and its arguments, each either bare
// or quoted as in Go; each is answered by one line: "ok" and results, or "err"
// and the names of the errors that it matches, then its text after a colon.
package agent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/internal/sys/process"
	"samepage/ipcsync"
)

// Run serves the lines of standard input until it ends.
func Run([]string) {
	a := &agent{events: map[string]*ipcsync.Event{}}
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 1<<20)
	for in.Scan() {
		args, err := split(in.Text())
		var res string
		if err == nil && len(args) > 0 {
			res, err = a.do(args[0], args[1:])
		}
		if err != nil {
			fmt.Println("err", Classify(err)+": "+strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Println(strings.TrimSpace("ok " + res))
		}
	}
}

// Classify names the errors that err matches, for people and tests.
func Classify(err error) string {
	var names []string
	for _, e := range []struct {
		name string
		err  error
	}{
		{"ErrNotExist", fs.ErrNotExist},
		{"ErrExist", fs.ErrExist},
		{"ErrPermission", fs.ErrPermission},
		{"ErrInvalid", fs.ErrInvalid},
		{"ErrClosed", samepage.ErrClosed},
		{"ErrBusy", samepage.ErrBusy},
		{"ErrUnreleased", samepage.ErrUnreleased},
		{"ErrName", samepage.ErrName},
		{"ErrZeroSize", samepage.ErrZeroSize},
		{"ErrNegativeSize", samepage.ErrNegativeSize},
		{"ErrTooLarge", samepage.ErrTooLarge},
		{"ErrRange", samepage.ErrRange},
		{"ErrNoSpace", samepage.ErrNoSpace},
		{"ErrStore", samepage.ErrStore},
		{"ErrPrivilege", samepage.ErrPrivilege},
		{"ErrKindMismatch", samepage.ErrKindMismatch},
		{"ErrVersion", samepage.ErrVersion},
		{"ErrCorrupt", samepage.ErrCorrupt},
		{"ErrBadToken", samepage.ErrBadToken},
		{"ErrPeerNotStarted", samepage.ErrPeerNotStarted},
		{"ErrOwnerDied", samepage.ErrOwnerDied},
		{"ErrDeadlineExceeded", os.ErrDeadlineExceeded},
		{"ErrUnsupported", errors.ErrUnsupported},
	} {
		if errors.Is(err, e.err) {
			names = append(names, e.name)
		}
	}
	if names == nil {
		return "unknown"
	}
	return strings.Join(names, " ")
}

func split(line string) (args []string, err error) {
	for {
		line = strings.TrimSpace(line)
		if line == "" {
			return args, nil
		}
		if line[0] == '"' {
			q, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, err
			}
			s, err := strconv.Unquote(q)
			if err != nil {
				return nil, err
			}
			args, line = append(args, s), line[len(q):]
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		args, line = append(args, word), rest
	}
}

type agent struct {
	m      *samepage.Memory
	views  []*samepage.View
	events map[string]*ipcsync.Event
}

func options(words []string) *samepage.Options {
	o := &samepage.Options{}
	for _, w := range words {
		key, val, _ := strings.Cut(w, "=")
		switch key {
		case "persist":
			o.Lifetime = samepage.Persist
		case "global":
			o.Scope = samepage.Global
		case "exact":
			o.Exact = true
		case "ro":
			o.Access = samepage.ReadOnly
		case "file":
			o.File = val
		case "exclusive":
			o.Exclusive = true
		case "sparse":
			o.Sparse = true
		case "owner":
			o.Owner = val
		default:
			panic("unknown option " + w)
		}
	}
	return o
}

func (a *agent) take(m *samepage.Memory, err error) (string, error) {
	if err != nil {
		return "", err
	}
	a.m = m
	return fmt.Sprint(m.Size()), nil
}

func num(s string) int64 {
	n, err := strconv.ParseInt(s, 0, 64)
	if err != nil {
		panic(err)
	}
	return n
}

func access(s string) samepage.Access {
	return map[string]samepage.Access{"rw": samepage.ReadWrite, "ro": samepage.ReadOnly, "cow": samepage.CopyOnWrite}[s]
}

func (a *agent) do(cmd string, args []string) (string, error) {
	switch cmd {
	case "create": // NAME SIZE [OPTION...]
		return a.take(samepage.Create(args[0], num(args[1]), options(args[2:])))
	case "open": // NAME [OPTION...]
		return a.take(samepage.Open(args[0], options(args[1:])))
	case "mapfile": // PATH SIZE [OPTION...]
		return a.take(samepage.MapFile(args[0], num(args[1]), options(args[2:])))
	case "inherited": // LABEL
		return a.take(samepage.Inherited(args[0]))
	case "attach": // TOKEN
		return a.take(samepage.Attach(args[0]))
	case "env": // VARIABLE
		return strconv.Quote(os.Getenv(args[0])), nil
	case "grant": // PID ACCESS
		return samepage.Grant(int(num(args[0])), a.m, access(args[1]))
	case "read": // OFFSET LENGTH
		b := make([]byte, num(args[1]))
		_, err := a.m.ReadAt(b, num(args[0]))
		return strconv.Quote(string(b)), err
	case "write": // OFFSET TEXT
		_, err := a.m.WriteAt([]byte(args[1]), num(args[0]))
		return "", err
	case "view": // ACCESS OFFSET LENGTH
		v, err := a.m.View(num(args[1]), num(args[2]), access(args[0]))
		if err == nil {
			a.views = append(a.views, v)
			return fmt.Sprint(v.Len()), nil
		}
		return "", err
	case "touch": // reads each page of the last view, returns the sum
		sum := 0
		b := a.views[len(a.views)-1].Bytes()
		for i := 0; i < len(b); i += 4096 {
			sum += int(b[i])
		}
		return fmt.Sprint(sum), nil
	case "store": // OFFSET VALUE: a 32-bit word of the last view, atomically
		w, err := a.views[len(a.views)-1].Uint32(int(num(args[0])))
		if err == nil {
			w.Store(uint32(num(args[1])))
		}
		return "", err
	case "unview":
		var err error
		for _, v := range a.views {
			err = errors.Join(err, v.Close())
		}
		a.views = nil
		return "", err
	case "close":
		return "", a.m.Close()
	case "remove": // NAME [OPTION...]
		return "", samepage.Remove(args[0], options(args[1:]))
	case "clean":
		var res string
		left, err := samepage.Clean()
		for _, l := range left {
			res += fmt.Sprintf("%s %v %v ", l.Name, l.Removed, l.Err)
		}
		return res, err
	case "usage":
		runtime.GC()
		h, m, err := process.Usage()
		return fmt.Sprint(h, m), err
	case "args":
		return fmt.Sprintf("%q", os.Args), nil
	case "hidden":
		return fmt.Sprint(process.StartedHidden()), nil
	case "spawn": // HELPER: runs it with the standard files and window of this process
		c, err := ipctest.Self()
		if err != nil {
			return "", err
		}
		ipctest.SetHelper(c, args[0])
		samepage.StartLikeSelf(c)
		return "", c.Run()
	case "user": // UID: becomes another user
		return "", setUser(int(num(args[0])))
	case "event": // create|open NAME [manual] [set] [exact] [owner=USER]
		return "", a.openEvent(args)
	case "set":
		return "", a.events[args[0]].Set()
	case "reset":
		return "", a.events[args[0]].Reset()
	case "trywait":
		ok, err := a.events[args[0]].TryWait()
		return fmt.Sprint(ok), err
	case "wait": // NAME DURATION
		d, err := time.ParseDuration(args[1])
		if err != nil {
			return "", err
		}
		ctx, cancel := context.WithTimeout(context.Background(), d)
		defer cancel()
		return "", a.events[args[0]].Wait(ctx)
	case "rest": // NAME: what a wait of ten seconds uses
		var err error
		used := ipctest.RestCost(func(ctx context.Context) { err = a.events[args[0]].Wait(ctx) })
		if !errors.Is(err, context.Canceled) {
			return "", fmt.Errorf("waited: %v", err)
		}
		return used, nil
	case "closeevent":
		return "", a.events[args[0]].Close()
	case "exit":
		os.Exit(0)
	}
	return "", fmt.Errorf("unknown command %q", cmd)
}

func (a *agent) openEvent(args []string) (err error) {
	o := &ipcsync.EventOptions{}
	for _, w := range args[2:] {
		if owner, ok := strings.CutPrefix(w, "owner="); ok {
			o.Owner = owner
		}
		switch w {
		case "manual":
			o.Manual = true
		case "set":
			o.Set = true
		case "exact":
			o.Exact = true
		}
	}
	open := ipcsync.OpenEvent
	if args[0] == "create" {
		open = ipcsync.CreateEvent
	}
	e, err := open(args[1], o)
	if err == nil {
		a.events[args[1]] = e
	}
	return err
}

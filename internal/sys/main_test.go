package sys

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"samepage/internal/ipctest"
	"samepage/internal/sys/process"
	"samepage/internal/sys/store"
	"samepage/internal/sys/syserr"
	"samepage/internal/sys/waker"
	"samepage/layout"
)

func TestMain(m *testing.M) {
	ipctest.Main(m, map[string]func([]string){"peer": peer, "churn": churn})
}

var errorNames = []struct {
	err  error
	name string
}{
	{fs.ErrExist, "exist"},
	{fs.ErrNotExist, "notexist"},
	{fs.ErrPermission, "permission"},
	{fs.ErrInvalid, "invalid"},
	{syserr.ErrBusy, "busy"},
	{syserr.ErrPrivilege, "privilege"},
	{syserr.ErrPeerNotStarted, "notstarted"},
	{layout.ErrBadToken, "badtoken"},
	{layout.ErrKindMismatch, "kind"},
	{layout.ErrCorrupt, "corrupt"},
}

func errorName(err error) string {
	for _, e := range errorNames {
		if errors.Is(err, e.err) {
			return e.name
		}
	}
	return "other"
}

// patiently has everybody in this process wait for as long as a test does, lest it
// matters how long somebody takes who is at a name.
func patiently(t *testing.T) {
	t.Helper()
	was := store.RemovalWait
	store.RemovalWait = ipctest.Patience
	t.Cleanup(func() { store.RemovalWait = was })
}

// spec reads "name [word...]".
func spec(words []string) *Spec {
	s := &Spec{Name: words[0], Size: 5000}
	for _, w := range words[1:] {
		k, v, _ := strings.Cut(w, "=")
		switch k {
		case "ro":
			s.Access = layout.ReadOnly
		case "event":
			s.Kind = layout.Event
		case "global":
			s.Scope = layout.Global
		case "exact":
			s.Exact = true
		case "persist":
			s.Lifetime = layout.Persist
		case "sparse":
			s.Sparse = true
		case "exclusive":
			s.Exclusive = true
		case "joins":
			s.Joins = true
		case "size":
			s.Size, _ = strconv.ParseInt(v, 10, 64)
		case "file":
			s.File = v
		default:
			panic(w)
		}
	}
	return s
}

// closed ends the use of an object that was made or opened without err.
func closed(o *Object, err error) error {
	if err != nil {
		return err
	}
	if first := o.FirstMember(); first != nil {
		err = first.Close()
	}
	return errors.Join(err, o.Close())
}

// peer is the other process: it does what it is told, line by line, with one
// object.
func peer([]string) {
	p := &peerState{}
	in := bufio.NewScanner(os.Stdin)
	fmt.Println("ready")
	for in.Scan() {
		answer, err := p.do(strings.Fields(in.Text()))
		if err != nil {
			answer = "err " + errorName(err) + " " + strings.ReplaceAll(err.Error(), "\n", " ")
		}
		fmt.Println(strings.TrimSpace("ok " + answer))
	}
}

// churn makes, opens and closes an object until it is killed, and complains
// about all that must not happen.
func churn(words []string) {
	store.RemovalWait = ipctest.Patience
	s := spec(words)
	fmt.Println("ready")
	for {
		o, err := Create(s)
		if err == nil && s.Joins {
			err = joined(o)
		}
		if errors.Is(err, fs.ErrExist) {
			o, err = Open(s)
		}
		switch {
		case err == nil && o.Size != s.Size:
			err = fmt.Errorf("size is %d", o.Size)
		case err == nil:
			err = o.Close()
		case errors.Is(err, fs.ErrNotExist):
			err = nil
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "churn:", err)
			return
		}
	}
}

// joined checks that the maker of o is its first member, and ends that.
func joined(o *Object) error {
	first := o.FirstMember()
	if first == nil || o.FirstMember() != nil {
		return errors.New("the maker is not the first member once")
	}
	l, err := o.OpenLocks()
	if err != nil {
		return err
	}
	held, err := l.Held(0)
	if err == nil && !held {
		err = errors.New("the maker does not hold the byte of the first member")
	}
	return errors.Join(err, l.Close(), first.Close())
}

func startChurn(t *testing.T, words string) *ipctest.Child {
	t.Helper()
	return ready(t, ipctest.Start(t, "churn", strings.Fields(words)...))
}

type peerState struct {
	o     *Object
	b     []byte
	waker *waker.Waker
}

func (p *peerState) do(w []string) (string, error) {
	var err error
	var o *Object
	switch w[0] {
	case "create":
		o, err = Create(spec(w[1:]))
	case "unnamed":
		o, err = CreateUnnamed(spec(w[1:]))
	case "open":
		o, err = Open(spec(w[1:]))
	case "receive":
		var t *layout.Token
		if t, err = layout.ParseToken(w[1]); err == nil {
			o, err = Receive(t)
		}
	case "map":
		p.b, err = p.o.Map(0, int(p.o.Size), spec(w).Access)
	case "poke":
		copy(p.b, w[1])
	case "peek":
		return string(p.b[:len(w[1])]), nil
	case "token": // of the object, granted to a process
		pid, _ := strconv.Atoi(w[1])
		t, terr := grant(p.o, pid, spec(w[1:]).Access)
		if terr != nil {
			return "", terr
		}
		return t.String(), nil
	case "close":
		err = p.o.Close()
	case "size":
		return fmt.Sprint(p.o.Size, p.o.Rounded), nil
	case "self":
		me := process.Self()
		return fmt.Sprint(me.PID, me.Start), nil
	case "handles":
		n, _, uerr := process.Usage()
		return fmt.Sprint(n), uerr
	case "waker": // of a slot
		slot, _ := strconv.Atoi(w[1])
		p.waker, err = p.o.Wakers().New(slot, 7, word(p.b))
	case "sleep": // until the first word is not 0
		for word := word(p.b); atomic.LoadUint32(word) == 0; {
			p.waker.Sleep(0)
		}
	case "pid":
		return strconv.Itoa(os.Getpid()), nil
	default:
		panic(w[0])
	}
	if o != nil {
		p.o = o
	}
	return "", err
}

func grant(o *Object, pid int, a layout.Access) (*layout.Token, error) {
	to, err := process.Find(pid)
	if err != nil {
		return nil, err
	}
	n, err := o.Grant(a)
	t := tokenOf(o, n, a)
	t.Granted, t.To = true, to
	return t, err
}

func tokenOf(o *Object, number uint64, a layout.Access) *layout.Token {
	return &layout.Token{
		Access: a, Kind: o.Kind, Scope: o.Scope, From: process.Self(), Number: number, ID: o.ID, Size: o.Size, Name: o.Name,
	}
}

func startPeer(t *testing.T) *ipctest.Child {
	t.Helper()
	return ready(t, ipctest.Start(t, "peer"))
}

func ready(t *testing.T, c *ipctest.Child) *ipctest.Child {
	t.Helper()
	if l := c.Line(); l != "ready" {
		t.Fatalf("child says %q", l)
	}
	return c
}

// wantErr has the peer do what fails with the named error.
func wantPeerErr(t *testing.T, c *ipctest.Child, name, format string, args ...any) {
	t.Helper()
	if got := c.Ask(format, args...); !strings.HasPrefix(got, "ok err "+name+" ") {
		t.Errorf("child, asked to %s, answers %q, want error %s", fmt.Sprintf(format, args...), got, name)
	}
}

func inStore(t *testing.T) string {
	t.Helper()
	ipctest.NeedNames(t)
	return ipctest.Store(t)
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantErr(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("error is %v, want %v", err, want)
	}
}

func noErr(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func mapAll(t *testing.T, o *Object, a layout.Access) []byte {
	t.Helper()
	b := must(o.Map(0, int(o.Size), a))(t)
	t.Cleanup(func() { _ = o.Unmap(b) })
	return b
}

func closeObject(t *testing.T, o *Object) {
	t.Helper()
	noErr(t, o.Close())
}

// wantFiles checks how many files are left in the local directory.
func wantFiles(t *testing.T, want int) {
	t.Helper()
	es, err := os.ReadDir(store.Where(layout.Local))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if len(es) != want {
		t.Errorf("%d files in %s: %v, want %d", len(es), store.Where(layout.Local), es, want)
	}
}

// Package browser tests the page of samepage web in a real browser: Debian's chromium, or the
// program that SAMEPAGE_BROWSER names. Without that variable the tests are skipped (make browser
// sets it). With SAMEPAGE_SCREENSHOTS set to a folder, such as $PWD/docs/observe, they save the
// pictures of docs/observe.md there. With SAMEPAGE_EXEC set to test/wine/run the command runs under
// Wine, and chromium beside it. SAMEPAGE_OBJECTS is the number of objects in TestManyObjects, and
// SAMEPAGE_SECONDS for how long it keeps the page open.
package browser

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// patience is how long a test waits for what must come. It only ends a test that hangs.
const patience = 15 * time.Second

// samepage starts the command with an object store of its own.
type samepage struct {
	t   *testing.T
	exe []string // the command, and before it the program that runs it, if there is one
}

func build(t *testing.T) *samepage {
	t.Helper()
	if os.Getenv("SAMEPAGE_BROWSER") == "" {
		t.Skip("SAMEPAGE_BROWSER is not set (make browser)")
	}
	dir, err := os.MkdirTemp("", "samepage-browser-") // on Linux the path of an object is not long
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	t.Setenv("SAMEPAGE_DIR", dir)
	exe := filepath.Join(dir, "samepage")
	s, env := &samepage{t, []string{exe}}, append(os.Environ(), "GOWORK=")
	if with := os.Getenv("SAMEPAGE_EXEC"); with != "" {
		exe += ".exe"
		s.exe, env = []string{with, exe}, append(env, "GOOS=windows")
	}
	c := exec.Command("go", "build", "-o", exe, "./cmd/samepage")
	c.Dir, c.Env = "../..", env
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v, %s", err, out)
	}
	return s
}

func (s *samepage) command(args ...string) *exec.Cmd {
	return exec.Command(s.exe[0], append(s.exe[1:len(s.exe):len(s.exe)], args...)...)
}

// windows says whether the command is the one for Windows, run by Wine.
func (s *samepage) windows() bool { return len(s.exe) > 1 }

// start starts a command, which is killed at the end of the test.
func (s *samepage) start(in io.Reader, args ...string) (*exec.Cmd, *bufio.Reader) {
	s.t.Helper()
	c := s.command(args...)
	if in != nil {
		w, err := c.StdinPipe()
		if err != nil {
			s.t.Fatal(err)
		}
		go func() { _, _ = io.Copy(w, in) }()
	}
	out, err := c.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
	return c, bufio.NewReader(out)
}

// web starts the server of the page, and returns its address.
func (s *samepage) web(args ...string) string {
	s.t.Helper()
	_, address := s.webProcess(args...)
	return address
}

func (s *samepage) webProcess(args ...string) (c *exec.Cmd, address string) {
	s.t.Helper()
	c, out := s.start(nil, append([]string{"web", "--listen", "127.0.0.1:0"}, args...)...)
	address, err := out.ReadString('\n')
	if err != nil {
		s.t.Fatal(err)
	}
	return c, strings.TrimSpace(address)
}

// run runs a command to its end.
func (s *samepage) run(args ...string) {
	s.t.Helper()
	if out, err := s.command(args...).CombinedOutput(); err != nil {
		s.t.Fatalf("%q: %v, %s", args, err, out)
	}
}

// drain reads what a command writes, and forgets it.
func drain(_ *exec.Cmd, r io.Reader) { go func() { _, _ = io.Copy(io.Discard, r) }() }

// lines is text without an end.
type lines struct{ n int }

func (l *lines) Read(b []byte) (int, error) {
	l.n++
	return copy(b, fmt.Sprintf("message %d\n", l.n)), nil
}

// film is a YUV4MPEG2 stream without an end: a bar that moves over a gradient.
type film struct {
	n    int
	left []byte
}

const filmWidth, filmHeight = 320, 180

func (f *film) Read(b []byte) (int, error) {
	if len(f.left) == 0 {
		if f.n == 0 {
			f.left = fmt.Appendf(f.left, "YUV4MPEG2 W%d H%d F25:1 Ip A1:1 C444\n", filmWidth, filmHeight)
		}
		f.left = append(f.left, "FRAME\n"...)
		for plane := range 3 {
			for y := range filmHeight {
				for x := range filmWidth {
					bar := (x-4*f.n%filmWidth+filmWidth)%filmWidth < 40
					v := byte(60 + x*150/filmWidth)
					switch {
					case plane == 1:
						v = byte(90 + y*80/filmHeight)
					case plane == 2 && bar:
						v = 200
					case plane == 2:
						v = 120
					}
					f.left = append(f.left, v)
				}
			}
		}
		f.n++
	}
	n := copy(b, f.left)
	f.left = f.left[n:]
	return n, nil
}

// tab is a page in the browser.
type tab struct {
	t   *testing.T
	ctx context.Context

	mu       sync.Mutex
	faults   []string // errors in the console, and exceptions
	requests []string // addresses that the page has asked for
}

func open(t *testing.T, address string) *tab {
	t.Helper()
	opts := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.Flag("hide-scrollbars", true))
	exe := os.Getenv("SAMEPAGE_BROWSER")
	if !strings.ContainsRune(exe, os.PathSeparator) {
		exe = "chromium"
	}
	ctx, stop := chromedp.NewExecAllocator(context.Background(), append(opts, chromedp.ExecPath(exe))...)
	t.Cleanup(stop)
	ctx, stop = chromedp.NewContext(ctx)
	t.Cleanup(stop)
	p := &tab{t: t, ctx: ctx}
	if _, err := chromedp.Run(ctx, chromedp.Location()); err != nil { // starts the browser
		t.Fatal(err)
	}
	console, requests := chromedp.Console(ctx), chromedp.Events(ctx, network.RequestWillBeSent)
	go func() {
		for m, err := range console {
			if err != nil {
				return
			}
			if m.Type == chromedp.ConsoleDebug {
				continue // advice of the browser
			}
			p.mu.Lock()
			p.faults = append(p.faults, fmt.Sprint(m))
			p.mu.Unlock()
		}
	}()
	go func() {
		for e, err := range requests {
			if err != nil {
				return
			}
			p.mu.Lock()
			p.requests = append(p.requests, e.Request.URL)
			p.mu.Unlock()
		}
	}()
	run(p, chromedp.EmulateViewport(1280, 800))
	run(p, chromedp.Navigate(address))
	return p
}

// run runs an action of the browser.
func run[T any](p *tab, a chromedp.Action[T]) T {
	p.t.Helper()
	ctx, stop := context.WithTimeout(p.ctx, patience)
	defer stop()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		p.t.Fatal(err)
	}
	return v
}

// until waits until an expression is true.
func (p *tab) until(js string) {
	p.t.Helper()
	for begun := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		if run(p, chromedp.Evaluate[bool](js)) {
			return
		}
		if time.Since(begun) > patience {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.t.Fatalf("this does not become true: %s\nthe page has\n%s\nfaults: %q", js, run(p, chromedp.Evaluate[string]("document.body.innerText")), p.faults)
		}
	}
}

// shows waits until an element has a text.
func (p *tab) shows(selector, text string) {
	p.t.Helper()
	p.until(fmt.Sprintf("[...document.querySelectorAll(%s)].some(e => e.textContent.includes(%s))", quote(selector), quote(text)))
}

func quote(s string) string { return jsonOf(s) }

// hash goes to another address in the page.
func (p *tab) hash(to string) {
	p.t.Helper()
	run(p, chromedp.Evaluate[chromedp.Void]("location.hash = "+quote(to)))
}

// clean checks that the page has met no fault, and asked nobody else.
func (p *tab) clean(address string) {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range p.faults {
		p.t.Errorf("in the console: %s", f)
	}
	own, _ := url.Parse(address)
	for _, r := range p.requests {
		if u, err := url.Parse(r); err != nil || u.Host != own.Host && u.Scheme != "data" {
			p.t.Errorf("the page asks for %s", r)
		}
	}
	if len(p.requests) < 5 {
		p.t.Errorf("requests: %q", p.requests)
	}
}

// looks gives the page a size and a colour scheme, and checks that nothing stands outside of the
// window.
func (p *tab) looks(width, height int64, scheme string) {
	p.t.Helper()
	run(p, chromedp.EmulateViewport(width, height))
	run(p, func(ctx context.Context, t *chromedp.Target) (cdp.Empty, error) {
		return cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
	})
	p.until(fmt.Sprintf("innerWidth === %d && document.documentElement.scrollWidth <= innerWidth", width))
}

// picture is looks, and saves a picture for docs/observe.md, if pictures are wanted.
func (p *tab) picture(name string, width, height int64, scheme string) {
	p.t.Helper()
	p.looks(width, height, scheme)
	dir := os.Getenv("SAMEPAGE_SCREENSHOTS")
	if dir == "" {
		return
	}
	time.Sleep(1500 * time.Millisecond) // so that the picture has one more look
	b := run(p, chromedp.CaptureScreenshot())
	if err := os.WriteFile(filepath.Join(dir, name+".png"), b, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

const (
	// loaded says whether the picture of the newest frame is there.
	loaded = "(i => i && i.naturalWidth > 0)(document.querySelector('.newest img'))"
	// pixels are those of the picture.
	pixels = "(i => { const c = document.createElement('canvas'); c.width = i.naturalWidth; c.height = i.naturalHeight; " +
		"c.getContext('2d').drawImage(i, 0, 0); return c.toDataURL(); })(document.querySelector('.newest img'))"
)

// The page shows that a stopped subscriber makes its publisher wait, and that both go on.
func TestStoppedSubscriber(t *testing.T) {
	s := build(t)
	if s.windows() {
		t.Skip("no signal stops a process of Windows")
	}
	drain(s.start(&film{}, "pub", "cam", "--y4m", "--rate", "25", "--depth", "8", "--times", "-q"))
	sub, out := s.start(nil, "sub", "cam", "--raw")
	drain(sub, out)
	drain(s.start(nil, "sub", "cam", "--raw"))
	drain(s.start(&lines{}, "pub", "words", "--rate", "100", "-q"))
	drain(s.start(nil, "sub", "words"))
	address := s.web()
	p := open(t, address)
	p.shows("#status", "live")
	p.shows("#objects tbody th", "cam")
	p.until("document.querySelectorAll('#objects tbody tr').length === 2")
	rate := "[...document.querySelectorAll('#objects tbody tr')].find(r => r.textContent.startsWith('cam')).querySelector('.c-rate').textContent"
	p.until("parseFloat(" + rate + ") > 1")
	p.looks(1280, 800, "light")

	p.hash("#/object/topic/local/cam")
	p.shows("#detail h2", "cam")
	p.until("document.querySelectorAll('#detail canvas').length === 2")
	p.shows(".newest .note", "320 x 180, i444")
	p.until(loaded)
	first := run(p, chromedp.Evaluate[string](pixels))
	p.until(pixels + " !== " + quote(first))
	p.looks(1280, 800, "light")

	if err := sub.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	p.until(rate + " === '0/s'")
	p.shows("#detail .members caption", ", each page counted once")
	p.shows("#detail .alert.bad", fmt.Sprintf("waits until process %d (samepage), which is stopped, lets go of messages, for ", sub.Process.Pid))
	member := fmt.Sprintf("[...document.querySelectorAll('#detail .members tbody tr')].find(r => r.textContent.startsWith('%d '))", sub.Process.Pid)
	p.until(member + ".textContent.includes('stopped')")
	p.until("parseInt(" + member + ".querySelector('.number').textContent) >= 8")
	p.picture("page-light", 1280, 800, "light")
	p.picture("page-dark", 1280, 800, "dark")
	p.picture("page-narrow", 360, 800, "dark")
	p.looks(3840, 2160, "light")
	p.hash("#/waits")
	p.shows("#alerts .bad", "which is stopped")
	p.shows("#waits .box.bad", fmt.Sprintf("process %d, stopped", sub.Process.Pid))
	p.looks(1280, 800, "light")
	p.picture("page-waits", 360, 800, "light")

	p.hash("#/objects")
	p.hash("#/object/topic/local/cam")
	if err := sub.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	p.until("parseFloat(" + rate + ") > 1")
	p.until("!document.body.innerText.includes('which is stopped')")
	p.until("!" + member + ".textContent.includes('stopped')")
	p.clean(address)
}

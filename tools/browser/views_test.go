package browser

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// keys presses keys.
func (p *tab) keys(keys string) {
	p.t.Helper()
	run(p, chromedp.KeyEvent(keys))
}

func jsonOf(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // as JSON.stringify
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return strings.TrimSpace(b.String())
}

// rows says whether the rows of a table begin with these names.
func rows(view string, names ...string) string {
	return "JSON.stringify([...document.querySelectorAll('#" + view + " tbody .name')].map(e => e.textContent)) === " + quote(jsonOf(names))
}

// The whole page can be used by keyboard, at each width. Names that somebody else has chosen are
// only text.
func TestViews(t *testing.T) {
	s := build(t)
	if s.windows() {
		t.Skip("TestPictures tests it")
	}
	const hostile = "<img src=x onerror=alert(1)>\u202e"
	s.run("cell", "put", "exposure", "12.5 ms", "--create")
	s.run("create", hostile, "--size", "3MiB")
	s.run("event", "set", "start")
	drain(s.start(&lines{}, "pub", "words", "--rate", "50", "-q"))
	drain(s.start(nil, "sub", "words"))
	never, _ := io.Pipe() // cat ends when the test does
	holder, said := s.start(never, "lock", "build", "--", "sh", "-c", "echo locked; cat")
	if line, err := said.ReadString('\n'); err != nil || line != "locked\n" {
		t.Fatal(line, err)
	}
	drain(s.start(nil, "lock", "build", "--", "true"))

	p := open(t, s.web("--token", "correct horse"))
	p.shows("label", "Token")
	p.looks(360, 400, "light")
	run(p, chromedp.SendKeys(chromedp.CSS("input[name=token]"), "correct horse"+kb.Enter))
	p.shows("#status", "live")
	address := run(p, chromedp.Location())
	if strings.Contains(address, "horse") {
		t.Errorf("the token is in the address %s", address)
	}

	visible := "<img src=x onerror=alert(1)>\\u{202e}"
	p.until("document.querySelectorAll('#objects tbody tr').length === 5")
	run(p, chromedp.Click(chromedp.CSS("#objects .c-name button")))
	p.until(rows("objects", visible, "build", "exposure", "start", "words"))
	p.until("document.querySelector('#objects .c-name').ariaSort === 'ascending'")
	run(p, chromedp.Click(chromedp.CSS("#objects .c-name button")))
	p.until(rows("objects", "words", "start", "exposure", "build", visible))
	run(p, chromedp.Evaluate[bool]("document.body.dispatchEvent(new KeyboardEvent('keydown', { key: '/', bubbles: true, cancelable: true }))")) // KeyEvent would also type it
	p.keys("EXPO")
	p.until(rows("objects", "exposure"))
	p.keys(kb.Escape)
	p.until(rows("objects", "words", "start", "exposure", "build", visible))
	p.keys("jj")
	p.until("document.activeElement.textContent.includes('start')")
	p.keys("j" + kb.Enter)
	p.shows("#detail h2", "exposure")
	p.shows("#detail .newest pre", "12.5 ms")
	p.keys("k")
	p.shows("#detail h2", "start")
	p.keys(kb.Escape)
	p.until("document.querySelector('#detail').hidden")
	p.hash("#/object/topic/local/words")
	p.shows("#detail .newest pre", "message ")
	for _, width := range []int64{360, 700, 1000, 1001, 2560} {
		p.looks(width, 900, "dark")
	}

	p.keys("2")
	p.shows("#alerts", "unlocks it")
	p.shows("#waits .idle", "waits until somebody publishes a message")
	p.shows("#waits .box", "process "+jsonOf(holder.Process.Pid))
	p.keys("3")
	p.until(rows("locks", "build", "samepage", "samepage", "start"))
	p.looks(1000, 400, "light")

	// A killed publisher leaves a topic, and nobody has it.
	dead, out := s.start(&lines{}, "pub", "left", "--wait", "0", "--rate", "10", "-q")
	drain(dead, out)
	p.keys("1")
	p.until("document.querySelectorAll('#objects tbody tr').length === 6")
	_ = dead.Process.Kill()
	p.keys("4")
	p.shows("#leftovers tbody th", "left")
	p.shows("#leftovers code", "samepage clean")
	p.looks(1000, 400, "dark")
	s.run("clean")
	p.shows("#leftovers .note", "Dead processes left nothing.")

	// A damaged object has its error, and the others stay as they are.
	found, err := filepath.Glob(filepath.Join(os.Getenv("SAMEPAGE_DIR"), "samepage-*", "event.start"))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	f, err := os.OpenFile(found[0], os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteAt([]byte("damaged"), 32)
		_ = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	p.keys("1")
	p.shows("#objects tbody .c-state", "unreadable: ")
	p.shows("#objects tbody .c-state", "value 1")

	// Memory with a name of existing programs says what is in it.
	s.run("create", "ZJ", "--size", "4KiB")
	p.hash("#/object/memory/local/ZJ")
	p.shows("#detail .facts", "legacy Text: empty text")
	p.hash("#/objects")

	p.keys("?")
	p.until("document.querySelector('#keys').open")
	p.keys(kb.Escape)
	p.until("!document.querySelector('#keys').open")
	p.keys("p")
	p.shows("#status", "paused")
	p.keys("p")
	p.shows("#status", "live")
	p.faultsButOne("401")
	p.clean(address)
}

// faultsButOne forgets a fault that has a text: the browser tells of each answer that is an error.
func (p *tab) faultsButOne(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, f := range p.faults {
		if strings.Contains(f, text) {
			p.faults = append(p.faults[:i], p.faults[i+1:]...)
			return
		}
	}
}

// The page shows a topic of frames, and its newest frame, also of programs under Wine.
func TestPictures(t *testing.T) {
	s := build(t)
	if !s.windows() {
		t.Skip("TestStoppedSubscriber tests it")
	}
	drain(s.start(&film{}, "pub", "cam", "--y4m", "--rate", "5", "--depth", "8", "-q"))
	drain(s.start(nil, "sub", "cam", "--raw"))
	address := s.web()
	p := open(t, address)
	p.shows("#objects .name", "cam")
	p.hash("#/object/topic/local/cam")
	p.shows("#detail .newest .note", "320 x 180, i444")
	p.until(loaded)
	first := run(p, chromedp.Evaluate[string](pixels))
	p.until(pixels + " !== " + quote(first))
	p.until("document.querySelectorAll('#detail .members tbody tr').length === 2")
	p.clean(address)
}

// The page stays usable with many objects: 40, or as many as SAMEPAGE_OBJECTS says. With -v it
// tells the time of a draw.
func TestManyObjects(t *testing.T) {
	s := build(t)
	if s.windows() {
		t.Skip("the page is the same")
	}
	n := 40
	if text := os.Getenv("SAMEPAGE_OBJECTS"); text != "" {
		n, _ = strconv.Atoi(text)
	}
	for i := range n {
		s.run("cell", "put", fmt.Sprintf("cell-%04d", i), "1", "--create")
	}
	web, address := s.webProcess()
	for _, path := range []string{"api/state", "metrics"} {
		time.Sleep(time.Second) // so that the answer needs a new snapshot
		begun := time.Now()
		r, err := http.Get(address + path)
		if err != nil {
			t.Fatal(err)
		}
		size, _ := io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
		t.Logf("%d objects: %s, %d bytes in %v", n, path, size, time.Since(begun))
	}
	p := open(t, address)
	p.shows("#count-objects", jsonOf(n))
	p.until(fmt.Sprintf("document.querySelectorAll('#objects tbody tr').length === %d", min(n, 500)))
	draw := "(() => { const f = document.querySelector('#objects input'), t = performance.now(); f.value = %q; f.dispatchEvent(new Event('input')); return performance.now() - t })()"
	for _, filter := range []string{"cell-00", "no such", ""} {
		t.Logf("filter %q: %.1f ms", filter, run(p, chromedp.Evaluate[float64](fmt.Sprintf(draw, filter))))
	}
	p.until(fmt.Sprintf("document.querySelectorAll('#objects tbody tr').length === %d", min(n, 500)))
	seconds, _ := strconv.Atoi(os.Getenv("SAMEPAGE_SECONDS"))
	time.Sleep(time.Duration(seconds) * time.Second)
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", web.Process.Pid))
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "VmRSS:") || strings.HasPrefix(line, "VmHWM:") {
			t.Logf("samepage web after %d s: %s", seconds, strings.Join(strings.Fields(line), " "))
		}
	}
	p.clean(address)
}

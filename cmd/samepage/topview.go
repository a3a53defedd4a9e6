package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"samepage/inspect"
)

// topPage says what top shows on the terminal.
type topPage int

const (
	topList   topPage = iota // all objects
	topDetail                // one object, with its members
	topWaiter                // who waits for whom
)

// topView is the terminal of top. Its methods are called by one goroutine.
type topView struct {
	look     func() (*inspect.State, error)
	interval time.Duration

	width, height int
	state         *inspect.State // nil: nothing was seen yet
	err           error          // why the last look failed
	page          topPage
	rows          []topRow // in the order of the table
	chosen        int      // index in rows
	object        string   // the key of the object that is chosen, and that the page shows
	column        int      // by which the table is sorted
	reverse       bool
	filter        string
	typing        bool // the keys change filter
	paused        bool
	top           int // the first line of the page that is shown
	interrupted   bool
}

// showTop shows top on the terminal until the user ends it.
func showTop(ctx context.Context, a *app, l *looker, interval time.Duration, column int) error {
	v := &topView{look: l.look, interval: interval, column: column, width: 80, height: 24}
	_, err := tea.NewProgram(v, tea.WithContext(ctx), tea.WithInput(a.stdin), tea.WithOutput(a.stdout), tea.WithoutSignalHandler()).Run()
	switch {
	case v.interrupted:
		return context.Canceled
	case errors.Is(err, tea.ErrProgramKilled) && ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return err
	}
	return v.err
}

// These are the messages of the program.
type (
	topLook struct {
		state *inspect.State
		err   error
	}
	topTick struct{}
)

func (v *topView) Init() tea.Cmd { return v.looks() }

// looks takes a look. Of the object whose page is shown it also finds out the shares.
func (v *topView) looks() tea.Cmd {
	shown := ""
	if v.page == topDetail {
		shown = v.object
	}
	return func() tea.Msg {
		s, err := v.look()
		for i := 0; err == nil && i < len(s.Objects); i++ {
			if o := &s.Objects[i]; topKey(o) == shown {
				o.Shares, _ = inspect.SharesOf(o.Info)
			}
		}
		return topLook{s, err}
	}
}

func (v *topView) Update(m tea.Msg) (tea.Model, tea.Cmd) {
	switch m := m.(type) {
	case tea.WindowSizeMsg:
		v.width, v.height = m.Width, m.Height
	case topLook:
		if v.err = m.err; v.err == nil {
			v.state = m.state
			v.arrange()
		}
		return v, tea.Tick(v.interval, func(time.Time) tea.Msg { return topTick{} })
	case topTick:
		if v.paused {
			return v, tea.Tick(v.interval, func(time.Time) tea.Msg { return topTick{} })
		}
		return v, v.looks()
	case tea.KeyPressMsg:
		return v, v.key(m)
	}
	return v, nil
}

// key does what a key is for.
func (v *topView) key(m tea.KeyPressMsg) tea.Cmd {
	k := m.String()
	if k == "ctrl+c" {
		v.interrupted = true
		return tea.Quit
	}
	if v.typing {
		v.typed(k, m.Key().Text)
		return nil
	}
	step := map[string]int{"up": -1, "k": -1, "down": 1, "j": 1, "pgup": -v.body(), "pgdown": v.body(), "home": -1 << 30, "end": 1 << 30}[k]
	switch k {
	case "q":
		return tea.Quit
	case "esc", "left", "backspace":
		if v.page == topList {
			v.filter = ""
			v.arrange()
		}
		v.page, v.top = topList, 0
	case "enter", "right":
		if v.page == topList && len(v.rows) > 0 {
			v.page, v.top = topDetail, 0
		}
	case "w":
		v.page, v.top = topWaiter, 0
	case "s":
		v.column = (v.column + 1) % len(topColumns)
		v.arrange()
	case "r":
		v.reverse = !v.reverse
		v.arrange()
	case "/":
		v.page, v.typing = topList, true
	case "space":
		v.paused = !v.paused
	}
	if step != 0 && v.page != topList {
		v.top = max(0, v.top+max(step, -v.top))
	} else if step != 0 && len(v.rows) > 0 {
		v.chosen = min(max(v.chosen+max(step, -v.chosen), 0), len(v.rows)-1)
		v.object = topKey(v.rows[v.chosen].object)
	}
	return nil
}

// typed changes the filter.
func (v *topView) typed(k, text string) {
	switch {
	case k == "enter":
		v.typing = false
	case k == "esc":
		v.typing, v.filter = false, ""
	case k == "backspace":
		if r := []rune(v.filter); len(r) > 0 {
			v.filter = string(r[:len(r)-1])
		}
	default:
		v.filter += text
	}
	v.arrange()
}

// topKey says which object a row is about, from one look to the next.
func topKey(o *inspect.Object) string { return fmt.Sprint(o.Kind, o.Scope, o.ID, o.Name, o.Path) }

// arrange makes the rows anew. The same object stays chosen.
func (v *topView) arrange() {
	if v.state == nil {
		return
	}
	v.rows = v.rows[:0]
	for _, r := range topRows(v.state) {
		if strings.Contains(strings.ToLower(r.name), strings.ToLower(v.filter)) {
			v.rows = append(v.rows, r)
		}
	}
	sortTop(v.rows, v.column, v.reverse)
	v.chosen = max(0, min(v.chosen, len(v.rows)-1))
	for i := range v.rows {
		if topKey(v.rows[i].object) == v.object {
			v.chosen = i
		}
	}
	if len(v.rows) > 0 && v.page == topList {
		v.object = topKey(v.rows[v.chosen].object)
	}
}

// body is the number of lines between the head and the foot.
func (v *topView) body() int { return max(1, v.height-3) }

func (v *topView) View() tea.View {
	lines := append(v.lines(), v.foot())
	for i, l := range lines {
		lines[i] = ansi.Truncate(l, v.width, "…")
	}
	w := tea.NewView(strings.Join(lines, "\n"))
	w.AltScreen = true
	return w
}

// lines are all lines but the last.
func (v *topView) lines() []string {
	if v.state == nil {
		return []string{"looking"}
	}
	head := v.state.At.Local().Format("15:04:05") + "  " + topSummary(v.state)
	if v.paused {
		head = "PAUSED  " + head
	}
	switch v.page {
	case topDetail:
		return v.text(head, v.detail())
	case topWaiter:
		lines := topWaits(v.state)
		if len(lines) == 0 {
			lines = []string{"nobody waits for somebody else"}
		}
		return v.text(head, append([]string{"WHO WAITS FOR WHOM"}, lines...))
	}
	return v.table(head)
}

// text shows lines from top on.
func (v *topView) text(head string, lines []string) []string {
	lines = v.wrap(lines)
	v.top = min(v.top, max(0, len(lines)-v.body()-1))
	shown := append([]string{screen(head)}, lines[v.top:min(len(lines), v.top+v.body()+1)]...)
	for len(shown) < v.height-1 { // the foot is the last line of the terminal
		shown = append(shown, "")
	}
	return shown
}

// wrap breaks lines that are too long for the terminal.
func (v *topView) wrap(lines []string) (all []string) {
	for _, l := range lines {
		all = append(all, strings.Split(ansi.Wrap(screen(l), max(v.width, 1), ""), "\n")...)
	}
	return all
}

// detail is what stat shows of the chosen object.
func (v *topView) detail() []string {
	for i := range v.state.Objects {
		o := &v.state.Objects[i]
		if topKey(o) != v.object {
			continue
		}
		var b strings.Builder
		info := about{o.Info, o.Shares, o.Legacy}
		info.Err = o.Err
		if o.Detail == nil {
			_ = info.text(&b) // a Builder has no errors
		} else {
			st := stateOf(o.Detail)
			st.now, st.shares = v.state.At, o.Shares
			_ = stateAbout{about{Info: info.Info}, o.Detail.Of, st}.text(&b)
		}
		lines := strings.Split(strings.TrimSuffix(b.String(), "\n"), "\n")
		if r := o.Rate; r != nil {
			text := formatRate(r.PerSecond)
			if r.BytesPerSecond > 0 {
				text += fmt.Sprintf(", %s/s", formatSize(int64(r.BytesPerSecond)))
			}
			lines = slices.Insert(lines, 1, fmt.Sprintf("%-10s %s", "rate", text)) // after the name
		}
		return lines
	}
	return []string{"the object is gone"}
}

// widths of the columns; the first has what is left. The state is shown if there is room for it.
var topWidths = []int{0, 9, 10, 6, 12, 6, 8}

const (
	topNames  = 20 // the least width of the names
	topStates = 24 // the least width of the states
)

// table shows the objects, and below them who waits for whom.
func (v *topView) table(head string) []string {
	rest := v.width
	for _, w := range topWidths[1:] {
		rest -= w + 1
	}
	name, state := rest, 0
	if rest > topNames+topStates {
		name = topNames + (rest-topNames-topStates)/3
		state = rest - name - 1
	}
	name = max(name, 8)
	line := func(cell func(int) string, last string) string {
		s := pad(screen(cell(0)), name, false)
		for i, w := range topWidths {
			if i > 0 {
				s += " " + pad(screen(cell(i)), w, topColumns[i].numbers)
			}
		}
		if state > 0 {
			s += " " + pad(screen(last), state, false)
		}
		return s
	}
	lines := []string{screen(head), "\x1b[1m" + line(func(i int) string {
		s := strings.ToUpper(topColumns[i].name)
		if i == v.column {
			s = map[bool]string{false: "*", true: "^"}[v.reverse] + s
		}
		return s
	}, "STATE") + "\x1b[m"}
	waits := v.wrap(topWaits(v.state))
	room := v.body() - 1
	below := min(len(waits), room/3)
	room = max(1, room-below)
	first := min(max(0, v.chosen-room/2), max(0, len(v.rows)-room))
	for i := first; i < min(len(v.rows), first+room); i++ {
		r := &v.rows[i]
		s := line(func(c int) string { return topColumns[c].cell(r) }, r.text)
		if i == v.chosen {
			s = "\x1b[7m" + s + "\x1b[m"
		}
		lines = append(lines, s)
	}
	if len(v.rows) == 0 {
		lines = append(lines, "no object")
	}
	for len(lines) < v.height-1-below {
		lines = append(lines, "")
	}
	return append(lines, waits[:below]...)
}

// screen returns text in one line, as a terminal can show it.
func screen(text string) string {
	return strings.NewReplacer("\n", " ", "\t", " ").Replace(visible(text))
}

// pad makes a cell exactly so wide.
func pad(s string, width int, right bool) string {
	s = ansi.Truncate(s, width, "…")
	blanks := strings.Repeat(" ", max(0, width-ansi.StringWidth(s)))
	if right {
		return blanks + s
	}
	return s + blanks
}

// foot is the last line.
func (v *topView) foot() string {
	switch {
	case v.typing:
		return "names with: " + screen(v.filter) + "_"
	case v.err != nil:
		return screen("the last look failed: " + v.err.Error())
	case v.page != topList:
		return "Esc back  arrows scroll  w who waits  space pause  q end"
	}
	return "Enter details  w who waits  s sort  r reverse  / filter  space pause  q end"
}

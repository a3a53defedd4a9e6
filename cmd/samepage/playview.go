package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"golang.org/x/term"

	"samepage/cmd/samepage/internal/record"
)

// playKeys are what the keys do, for the help and for the line on the terminal.
const playKeys = "space: pause, .: step, arrows: seek 5 s or 1 min, + -: rate, q: end"

// controls are what the keys change. *record.Player has them.
type controls interface {
	Pause(context.Context)
	Step(context.Context)
	Seek(context.Context, time.Duration)
	Faster(context.Context, float64)
}

// playView is the line of play on a terminal.
type playView struct {
	ctx    context.Context // of the player
	cancel context.CancelFunc
	player controls
	at     *atomic.Pointer[record.Position]
	width  int
}

type playTick struct{}

// playEvery is how often the line is written again.
const playEvery = 100 * time.Millisecond

func playTicks() tea.Cmd {
	return tea.Tick(playEvery, func(time.Time) tea.Msg { return playTick{} })
}

func (v *playView) Init() tea.Cmd { return playTicks() }

func (v *playView) Update(m tea.Msg) (tea.Model, tea.Cmd) {
	switch m := m.(type) {
	case tea.WindowSizeMsg:
		v.width = m.Width
	case playTick:
		return v, playTicks()
	case tea.KeyPressMsg:
		return v, v.key(m.String())
	}
	return v, nil
}

// key does what a key is for. The player may be busy, so another goroutine waits for it.
func (v *playView) key(k string) tea.Cmd {
	later := func(f func()) tea.Cmd {
		return func() tea.Msg {
			f()
			return nil
		}
	}
	seek := map[string]time.Duration{"left": -5 * time.Second, "right": 5 * time.Second, "down": -time.Minute, "up": time.Minute, "home": -1 << 60, "end": 1 << 60}
	switch k {
	case "q", "ctrl+c", "esc":
		v.cancel()
		return tea.Quit
	case "space":
		return later(func() { v.player.Pause(v.ctx) })
	case ".":
		return later(func() { v.player.Step(v.ctx) })
	case "+", "=":
		return later(func() { v.player.Faster(v.ctx, 2) })
	case "-":
		return later(func() { v.player.Faster(v.ctx, 0.5) })
	}
	if d, ok := seek[k]; ok {
		return later(func() { v.player.Seek(v.ctx, d) })
	}
	return nil
}

func (v *playView) View() tea.View {
	line := "waiting"
	if p := v.at.Load(); p != nil {
		line = positionLine(*p)
	}
	return tea.NewView(ansi.Truncate(line+"  ("+playKeys+")", max(v.width, 1), "…"))
}

// positionLine tells where a player is.
func positionLine(p record.Position) string {
	const cells = 20
	done := 0
	if p.Of > 0 {
		done = min(int(float64(p.At)/float64(p.Of)*cells), cells)
	}
	state := fmt.Sprintf("x%g", p.Rate)
	if p.Paused {
		state = "paused"
	}
	return fmt.Sprintf("[%s%s] %s of %s, %s, %s", strings.Repeat("#", done), strings.Repeat(".", cells-done), clockTime(p.At), clockTime(p.Of), state, count64(p.Messages, "message"))
}

// clockTime is "1:02.3" or "1:02:03.4".
func clockTime(d time.Duration) string {
	tenths := d.Milliseconds() / 100
	m, s := tenths/600, tenths%600
	if m < 60 {
		return fmt.Sprintf("%d:%02d.%d", m, s/10, s%10)
	}
	return fmt.Sprintf("%d:%02d:%02d.%d", m/60, m%60, s/10, s%10)
}

// playOnTerminal plays, and shows where it is, with keys that change it.
func playOnTerminal(ctx context.Context, a *app, p *record.Player, at *atomic.Pointer[record.Position]) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	v := &playView{ctx: ctx, cancel: cancel, player: p, at: at, width: 80}
	view := tea.NewProgram(v, tea.WithContext(ctx), tea.WithInput(a.stdin), tea.WithOutput(a.stderr), tea.WithoutSignalHandler())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = view.Run() // without a view it plays, too
	}()
	err := p.Play(ctx)
	quit := ctx.Err() != nil
	view.Quit()
	<-ended
	if quit {
		return nil
	}
	return err
}

// onTerminal says whether the user sees standard error and can press keys.
func (a *app) onTerminal() bool {
	f, ok := a.stdin.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) && terminalOf(a.stderr) != nil && !a.quiet && !a.json
}

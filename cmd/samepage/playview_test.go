package main

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"samepage/cmd/samepage/internal/record"
)

type fakePlayer struct{ did []string }

func (p *fakePlayer) Pause(context.Context) { p.did = append(p.did, "pause") }
func (p *fakePlayer) Step(context.Context)  { p.did = append(p.did, "step") }
func (p *fakePlayer) Seek(_ context.Context, d time.Duration) {
	p.did = append(p.did, fmt.Sprint("seek ", d))
}

func (p *fakePlayer) Faster(_ context.Context, factor float64) {
	p.did = append(p.did, fmt.Sprint("faster ", factor))
}

// The keys of play, and its line.
func TestPlayKeys(t *testing.T) {
	p := &fakePlayer{}
	ctx, cancel := context.WithCancel(t.Context())
	v := &playView{ctx: ctx, cancel: cancel, player: p, at: new(atomic.Pointer[record.Position]), width: 60}
	for _, k := range []string{"space", ".", "right", "left", "up", "+", "-", "x"} {
		if c := v.key(k); c != nil {
			c()
		}
	}
	if want := []string{"pause", "step", "seek 5s", "seek -5s", "seek 1m0s", "faster 2", "faster 0.5"}; !slices.Equal(p.did, want) {
		t.Errorf("%q", p.did)
	}
	if v.View(); ctx.Err() != nil {
		t.Error("it has ended")
	}
	if c := v.key("q"); c == nil || ctx.Err() == nil {
		t.Error("q does not end it")
	} else if _, ok := c().(tea.QuitMsg); !ok {
		t.Error("q does not end the view")
	}
	for at, want := range map[record.Position]string{
		{At: 62300 * time.Millisecond, Of: 2 * time.Minute, Rate: 1, Messages: 1}: "[##########..........] 1:02.3 of 2:00.0, x1, 1 message",
		{Of: 3723 * time.Second, Rate: 0.5, Paused: true}:                         "[....................] 0:00.0 of 1:02:03.0, paused, 0 messages",
	} {
		if got := positionLine(at); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

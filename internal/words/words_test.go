package words

import (
	"testing"
	"time"
)

// Texts about processes have all that is known about their ids.
func TestProcess(t *testing.T) {
	for want, got := range map[string]string{
		"process 7":                          Process(7, false, false),
		"process 7 of another pid namespace": Process(7, true, false),
		"process 7, which has ended: a descendant still has its descriptor":     Process(7, false, true),
		"process 7 (x), which has ended: a descendant still has its descriptor": Named(7, "x", false, true),
		`process 7 of another pid namespace ("\x1b[2J")`:                        Named(7, "\x1b[2J", true, false),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// Times are as exact as is useful.
func TestLasting(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0.0 s", 3210 * time.Millisecond: "3.2 s", 42 * time.Second: "42 s", 125 * time.Second: "2 min 5 s",
		3*time.Hour + 12*time.Minute: "3 h 12 min", 100 * time.Hour: "4 days",
	} {
		if got := Lasting(d); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
}

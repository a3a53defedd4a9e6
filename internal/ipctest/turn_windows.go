package ipctest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sys/windows"
)

// turns are what this process has to itself, and how often.
var turns = struct {
	sync.Mutex
	held   map[string]int
	events map[string]windows.Handle
}{held: map[string]int{}, events: map[string]windows.Handle{}}

// TakeTurn is Alone until release.
func TakeTurn(name string) (release func(), err error) {
	turns.Lock()
	defer turns.Unlock()
	if turns.held[name] == 0 {
		if turns.events[name], err = makeAlone(name); err != nil {
			return nil, err
		}
	}
	turns.held[name]++
	return func() {
		turns.Lock()
		defer turns.Unlock()
		if turns.held[name]--; turns.held[name] == 0 {
			_ = windows.CloseHandle(turns.events[name])
		}
	}, nil
}

// makeAlone waits until it is the one to make the event of that name, which goes with its
// maker at the latest, and is the same wherever a test has its files.
func makeAlone(name string) (windows.Handle, error) {
	p, err := windows.UTF16PtrFromString(`Local\samepage.test.turn.` + name)
	if err != nil {
		return 0, err
	}
	for begun := time.Now(); ; time.Sleep(time.Duration(25+rand.IntN(50)) * time.Millisecond) {
		h, err := windows.CreateEvent(nil, 0, 0, p)
		if err == nil {
			return h, nil
		}
		if h != 0 {
			_ = windows.CloseHandle(h)
		}
		if time.Since(begun) > 5*Patience {
			return 0, fmt.Errorf("other tests use %s for ever: %w", name, err)
		}
	}
}

package ipctest

import (
	"strings"
	"sync"
	"testing"
)

// ErrCount counts what goes wrong in goroutines, by text.
type ErrCount struct {
	mu  sync.Mutex
	all map[string]int
}

// Add counts err; hide is a part of its text that differs from time to time, or empty.
func (c *ErrCount) Add(err error, hide string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = map[string]int{}
	}
	text := err.Error()
	if hide != "" {
		text = strings.ReplaceAll(text, hide, "F")
	}
	c.all[text]++
}

// Report fails the test with what was counted.
func (c *ErrCount) Report(t testing.TB) {
	t.Helper()
	for text, n := range c.all {
		t.Errorf("%d times: %s", n, text)
	}
}

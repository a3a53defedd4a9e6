package laneseg

import "sync"

// holds says which pin words of a member are in use. Word 0 is for the message that the
// member looks at, 1 and up are for those that it holds. Its methods may be called
// concurrently.
type holds struct {
	mu   sync.Mutex
	used []bool
}

// take finds a pin word, 0 if there is none left. It is the caller's until giveBack.
func (h *holds) take() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	for k := 1; k < len(h.used); k++ {
		if !h.used[k] {
			h.used[k] = true
			return k
		}
	}
	return 0
}

// giveBack makes a pin word free. It was cleared before.
func (h *holds) giveBack(k int) {
	h.mu.Lock()
	h.used[k] = false
	h.mu.Unlock()
}

// Held is how many messages are held, MaxHeld how many may be.
func (h *holds) Held() (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, used := range h.used {
		if used {
			n++
		}
	}
	return n
}

func (h *holds) MaxHeld() int { return len(h.used) - 1 }

package laneseg

import "sync"

// holds says which pin words of a member are in use. Word 0 is for the message that the member
// looks at, words 1 and up are for the messages that it holds. The methods may be called
// concurrently.
type holds struct {
	mu   sync.Mutex
	used []bool
}

// take returns a free pin word, or 0 if none is free. The caller has it until giveBack.
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

// giveBack makes a pin word free. Precondition: the word was cleared.
func (h *holds) giveBack(k int) {
	h.mu.Lock()
	h.used[k] = false
	h.mu.Unlock()
}

// Held returns the number of messages that are held, and MaxHeld the largest number.
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

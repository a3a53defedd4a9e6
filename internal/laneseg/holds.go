package laneseg

import (
	"sync"

	"samepage/internal/lane"
	"samepage/internal/object"
)

// holds says which pin words of a member are in use, and for how many messages it has reserved
// space. Word 0 is for the message that the member looks at, words 1 and up are for the messages
// that it holds. The methods may be called concurrently, except at, which comes first.
type holds struct {
	set    *lane.Set
	member int

	mu   sync.Mutex
	used []bool
	// now is the number of messages of each lane that the member may keep at this moment. kept is
	// the largest number so far: there is space for so many.
	now, kept []int
}

// at sets which member it is. looks says that the message at which the member looks may have left
// the ring, or may do so.
func (h *holds) at(set *lane.Set, member int, looks bool) {
	lanes := max(int(set.C.Lanes), 1)
	h.set, h.member = set, member
	h.used, h.now, h.kept = make([]bool, set.C.Pins), make([]int, lanes), make([]int, lanes)
	if looks {
		for l := range h.now {
			h.now[l] = 1
		}
	}
}

// keep reserves space for as many messages of a lane as the member may keep now.
//
// Errors: syserr.ErrNoSpace.
func (h *holds) keep(l int) error {
	if err := h.set.Keep(l, h.member, h.now[l]); err != nil {
		return err
	}
	h.kept[l] = h.now[l]
	return nil
}

// take returns a free pin word for a message of a lane. The caller has it until giveBack.
//
// Errors: object.ErrTooManyHolds (no word is free), syserr.ErrNoSpace.
func (h *holds) take(l int) (k int, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for k := 1; k < len(h.used); k++ {
		if h.used[k] {
			continue
		}
		h.now[l]++
		if h.now[l] > h.kept[l] {
			if err := h.keep(l); err != nil {
				h.now[l]--
				return 0, err
			}
		}
		h.used[k] = true
		return k, nil
	}
	return 0, object.ErrTooManyHolds
}

// giveBack makes the pin word of a message of a lane free. Precondition: the word was cleared.
func (h *holds) giveBack(l, k int) {
	h.mu.Lock()
	h.used[k] = false
	h.now[l]--
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

package bridge

import (
	"fmt"
	"testing"
)

// The counts of names that are gone stay for a while, and are not more and more. A name that comes
// again goes on.
func TestCountsOfGoneNames(t *testing.T) {
	var s counters
	stays := s.add("stays", "stays")
	for i := range 2*maxGone + 10 {
		c := s.add(fmt.Sprint(i), "")
		c.messages.Add(1)
		s.release(c)
		if i%100 == 0 {
			again := s.add("0", "")
			again.messages.Add(1)
			s.release(again)
		}
	}
	all := s.list()
	if len(all) != maxGone+1 || all[0].Topic != "stays" || s.add("stays", "stays") != stays {
		t.Errorf("%d counts, the first one of %q", len(all), all[0].Topic)
	}
	if n := s.add("0", "").messages.Load(); n != 22 {
		t.Errorf("%d messages of a name that came again and again, want 22", n)
	}
	if len(s.gone) != maxGone-1 {
		t.Errorf("%d are gone", len(s.gone))
	}
}

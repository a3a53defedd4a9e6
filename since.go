package samepage

import (
	"fmt"
	"strings"
)

// Since says what has happened between two messages, or two values, that Follow of package pubsub,
// cell or frame yields. The zero value means that nothing has happened.
type Since struct {
	// Missed is the number of messages that were lost, as far as it is known. The messages of a new
	// topic count from its first one. It is 0 for a cell.
	Missed uint64
	// New: this is another object of the same name. Its numbers begin with 1 again.
	New bool
	// Gone: the name did not lead to the old object any more.
	Gone bool
	// Retired: the old topic was retired, see pubsub.ReplacePublisher.
	Retired bool
	// Ended is how often the last publisher has ended its stream, Died how often a publisher has died
	// or called Abort, and Evicted how often a publisher has evicted this subscriber, because it was
	// too slow.
	Ended, Died, Evicted uint32
	// Damaged is the number of messages, or packs, that were skipped because their checksum did not
	// match. Of package frame it is also the number of messages that are not frames.
	Damaged uint32
}

// And returns what has happened if first s and then t has happened.
func (s Since) And(t Since) Since {
	return Since{
		s.Missed + t.Missed, s.New || t.New, s.Gone || t.Gone, s.Retired || t.Retired,
		s.Ended + t.Ended, s.Died + t.Died, s.Evicted + t.Evicted, s.Damaged + t.Damaged,
	}
}

// String returns what has happened in words, such as "3 missed, publisher died, new object". It is
// empty if nothing has happened.
func (s Since) String() string {
	var all []string
	for _, x := range []struct {
		n    uint64
		what string
	}{
		{uint64(s.Evicted), "evicted"},
		{s.Missed, "missed"},
		{uint64(s.Damaged), "damaged"},
		{uint64(s.Died), "publisher died"},
		{uint64(s.Ended), "stream ended"},
		{one(s.Retired), "retired"},
		{one(s.Gone), "name gone"},
		{one(s.New), "new object"},
	} {
		switch {
		case x.n == 0:
		case x.what == "missed" || x.what == "damaged":
			all = append(all, fmt.Sprint(x.n, " ", x.what))
		case x.n == 1:
			all = append(all, x.what)
		default:
			all = append(all, fmt.Sprint(x.what, " ", x.n, " times"))
		}
	}
	return strings.Join(all, ", ")
}

func one(yes bool) uint64 {
	if yes {
		return 1
	}
	return 0
}

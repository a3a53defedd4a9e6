package inspect

import (
	"testing"
	"time"

	"samepage"
	"samepage/cell"
	"samepage/ipcsync"
)

// A program of an older version does not tell since when it waits. Then snapshots do.
func TestSinceOfSnapshots(t *testing.T) {
	look := func(at, generation int) *State {
		d := &Detail{Of: &cell.State{Generation: uint64(generation)}}
		d.Members = []Member{{Member: ipcsync.Member{Member: samepage.Member{PID: 7, Waits: true}}}}
		d.Waits = []Wait{{For: ForValue, progress: uint64(generation)}}
		return &State{At: time.Unix(int64(at), 0), Objects: []Object{{Detail: d}}}
	}
	var last *State
	for _, x := range []struct{ at, generation, since int }{{1, 4, 0}, {2, 4, 1}, {3, 4, 1}, {5, 6, 5}, {6, 6, 5}} {
		s := look(x.at, x.generation)
		if last != nil {
			s.Since(last)
			if w := s.Objects[0].Detail.Waits[0]; !w.Since.Equal(time.Unix(int64(x.since), 0)) || w.Exact {
				t.Errorf("at %d it waits since %v, exact %t, want %d", x.at, w.Since.Unix(), w.Exact, x.since)
			}
		}
		last = s
	}
}

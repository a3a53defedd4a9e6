package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"samepage/cell"
)

// A bridge shows its counts in a cell, so that they are where the objects of the machine are: in
// the inspector, its page, and for each program.

// shown is the value of the cell, as JSON.
type shown struct {
	Way    string        `json:"way"` // "publish" or "subscribe"
	Topics []shownCounts `json:"topics"`
	More   int           `json:"more,omitempty"` // topics that have no room
}

type shownCounts struct {
	Counts
	Rate float64 `json:"rate"` // messages per second, since the value before
}

// shownSize is the size of the cell.
const shownSize = 64 << 10

func shownName(pid int) string { return fmt.Sprint(bridgeNames, "counts.", pid) }

// show keeps the cell until ctx ends.
func (b *Bridge) show(ctx context.Context, way string) {
	w, err := cell.CreateWriter(shownName(os.Getpid()), shownSize, &cell.Options{Scope: b.o.Scope, Times: true})
	if errors.Is(err, fs.ErrExist) { // of another bridge of this process
		return
	}
	if err != nil {
		b.tell("error", "", 0, "show the counts: %v", err)
		return
	}
	defer func() { _ = w.Close() }()
	t := time.NewTicker(b.o.Tick)
	defer t.Stop()
	was, at := map[string]uint64{}, time.Now()
	var last []byte
	for {
		x := shown{Way: way, Topics: []shownCounts{}}
		now := time.Now()
		before := was
		was = map[string]uint64{}
		passed := max(now.Sub(at), time.Millisecond).Seconds()
		for _, c := range b.Counts() {
			key := c.Topic + "\x00" + c.Far
			x.Topics = append(x.Topics, shownCounts{c, float64(c.Messages-before[key]) / passed})
			was[key] = c.Messages
		}
		at = now
		text, _ := json.Marshal(x)
		for len(text) > shownSize {
			n := len(x.Topics) / 2
			x.More, x.Topics = x.More+len(x.Topics)-n, x.Topics[:n]
			text, _ = json.Marshal(x)
		}
		if !bytes.Equal(text, last) {
			last = text
			if err := w.Set(ctx, text); err != nil && ctx.Err() == nil {
				b.tell("error", "", 0, "show the counts: %v", err)
			}
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
	}
}

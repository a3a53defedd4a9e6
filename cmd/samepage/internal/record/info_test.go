package record

import (
	"math"
	"os"
	"testing"

	"github.com/foxglove/mcap/go/mcap"

	"samepage/internal/ipctest"
)

// The rate of a topic is that between its first and its last message, and what is lost at the end
// of a file is counted.
func TestInfo(t *testing.T) {
	path := made(t, 100, mcap.CompressionNone)
	info := func() (*Info, *File) {
		f, err := Open(path)
		ipctest.NoErr(t, err)
		i, err := f.Info()
		ipctest.NoErr(t, err)
		ipctest.NoErr(t, f.Close())
		return i, f
	}
	near := func(a, b float64) bool { return math.Abs(a-b) < 1e-9 }
	i, f := info()
	cell, topic := i.Topics[0], i.Topics[1]
	if cell.Topic != "c" || cell.Messages != 10 || !near(cell.Rate, 10) || topic.Messages != 100 || !near(topic.Rate, 100) || i.Messages != 110 || !near(i.Seconds, 0.99) {
		t.Errorf("%+v", i)
	}
	if i.Lost != "" || i.LostBytes != 0 {
		t.Errorf("a whole file has lost %d bytes: %s", i.LostBytes, i.Lost)
	}
	x := f.info.ChunkIndexes[3]
	for n := uint64(1); n < x.ChunkLength; n += 13 { // so many bytes of the fourth chunk are left
		ipctest.NoErr(t, os.Truncate(path, int64(x.ChunkStartOffset+x.ChunkLength-n)))
		i, _ := info()
		if i.Lost == "" || i.LostBytes != int64(x.ChunkLength-n) || i.Chunks != 3 || i.Topics[1].Messages != 21 || !near(i.Topics[1].Rate, 100) {
			t.Fatalf("%d bytes are cut: %+v", n, i)
		}
	}
}

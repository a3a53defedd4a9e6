package pubsub_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"samepage"
	"samepage/internal/fault"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// times are the times until each survivor had a message again.
type times []time.Duration

func (all times) String() string {
	if len(all) == 0 {
		return "none"
	}
	slices.Sort(all)
	return fmt.Sprintf("%d deaths; until each survivor had its next message: p50 %v, p99 %v, worst %v",
		len(all), all[len(all)/2], all[len(all)*99/100], all[len(all)-1])
}

// A publisher or a subscriber dies at each crash point of the lanes. The others go on, no message
// is torn or repeated, reliable subscribers miss nothing, and no place is lost.
func TestFaultEveryPoint(t *testing.T) {
	if !fault.Enabled {
		t.Skip("needs -tags samepagefault")
	}
	var all times
	for _, p := range fault.Lanes() {
		all = append(all, faultAt(t, p.String(), p, topicOptions(evictAt(p)))...)
		if runtime.GOOS == "windows" {
			continue // that the messages are in packs is the same on Linux, and Wine starts slowly
		}
		all = append(all, faultAt(t, p.String()+"-packs", p, packedOptions(evictAt(p)))...)
	}
	for _, p := range fault.Packs() {
		all = append(all, faultAt(t, p.String(), p, packedOptions(0))...)
	}
	t.Log(all)
}

func evictAt(p fault.Point) time.Duration {
	if p == fault.LaneEvicted {
		return 500 * time.Microsecond
	}
	return 0
}

func faultAt(t *testing.T, name string, p fault.Point, o *pubsub.Options) (all times) {
	t.Run(name, func(t *testing.T) {
		c := newCrowd(t, o)
		// Whoever comes through the point first dies there.
		var victims []*ipctest.Child
		for _, spec := range []string{"listener reliable sleepy", "listener best-effort", "talker"} {
			victims = append(victims, c.start(spec, 300, fmt.Sprintf("%v:%d", p, rand.IntN(10))))
		}
		died := false
		for begun := time.Now(); !died; {
			for _, v := range victims {
				died = died || v.EndsWithin(5*time.Millisecond)
			}
			if time.Since(begun) > ipctest.Patience {
				t.Fatalf("nobody has come to %v", p)
			}
		}
		all = append(all, c.goOn())
		for _, v := range victims {
			v.Kill()
			all = append(all, c.goOn())
		}
		c.finish()
	})
	return all
}

// A publisher dies when it has just retired a topic. The subscribers of the topic are told, and the
// next publisher makes a new one.
func TestFaultRetired(t *testing.T) {
	if !fault.Enabled {
		t.Skip("needs -tags samepagefault")
	}
	ipctest.NeedNames(t)
	ipctest.Store(t)
	p := publisherWith(t, "t", &pubsub.Options{MaxSize: 10}, "a")
	s, err := pubsub.OpenSubscriber("t", nil)
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, p.Close())
	cmd := ipctest.Command(t, "replacer", "t")
	cmd.Env = append(cmd.Env, "SAMEPAGE_FAULT="+fault.LaneRetired.String())
	if end := ipctest.StartCmd(t, cmd).Wait(); end.Success() {
		t.Fatalf("the publisher has not died: %v", end)
	}
	m, err := s.Take(bg)
	ipctest.NoErr(t, err)
	if string(m.Bytes()) != "a" {
		t.Errorf("%q, want a", m.Bytes())
	}
	for err == nil || err == io.EOF {
		_, err = s.Take(bg)
	}
	ipctest.WantErr(t, err, samepage.ErrRetired)
	ipctest.NoErr(t, s.Close())
	p, err = pubsub.ReplacePublisher(bg, "t", &pubsub.Options{MaxSize: 100_000})
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, p.Close())
}

func replacer(args []string) {
	_, err := pubsub.ReplacePublisher(bg, args[0], &pubsub.Options{MaxSize: 100_000})
	fmt.Println(err)
}

// SAMEPAGE_KILLS members (make soak: 10000) are killed at random moments. Two publishers, a
// reliable and a best-effort subscriber stay. A third publisher, two reliable and two best-effort
// subscribers come, hold messages, leave, come again, and are killed.
func TestSoakRandomKills(t *testing.T) {
	randomKills(t, topicOptions(0), ipctest.Repeat(t, 60, 15, "SAMEPAGE_KILLS"))
}

// The same in a topic with packs.
func TestSoakRandomKillsPacks(t *testing.T) {
	randomKills(t, packedOptions(0), ipctest.Repeat(t, 60, 15, "SAMEPAGE_KILLS"))
}

func randomKills(t *testing.T, o *pubsub.Options, kills int) {
	specs := []string{"listener reliable", "listener best-effort", "talker", "listener reliable sleepy", "listener best-effort sleepy"}
	c := newCrowd(t, o)
	victims := make([]*ipctest.Child, len(specs))
	for i, spec := range specs {
		victims[i] = c.start(spec, 100+400*i, "")
	}
	var all times
	for k := range kills {
		i := k % len(specs)
		time.Sleep(time.Duration(rand.IntN(10000)) * time.Microsecond)
		lines := victims[i].KillAndRead()
		if len(lines) > 0 {
			t.Fatal(lines)
		}
		all = append(all, c.goOn())
		victims[i] = c.start(specs[i], 50+rand.IntN(1000), "")
	}
	for _, v := range victims {
		v.Kill()
	}
	all = append(all, c.goOn())
	c.finish()
	t.Log(all)
}

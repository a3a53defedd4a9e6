package pubsub_test

import (
	"fmt"
	"testing"

	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// Lanes that always have a message do not hide the messages of other lanes that are not where the
// subscriber expects them.
func TestBusyLaneHidesNothing(t *testing.T) {
	ipctest.NeedNames(t)
	for _, busy := range []int{1, 2, 3} {
		for _, hidden := range []int{1, 2} {
			t.Run(fmt.Sprint(busy, " busy, ", hidden, " hidden"), func(t *testing.T) {
				ipctest.Store(t)
				var all []*pubsub.Publisher
				for range busy + hidden {
					all = append(all, newPub(t, "t", &pubsub.Options{MaxSize: 64, Depth: 64, Publishers: busy + hidden}))
				}
				for range 200 { // the oldest message has no predecessor
					for _, p := range all[busy:] {
						send(t, p, 8)
					}
				}
				s := newSub(t, "t", &pubsub.SubscriberOptions{BestEffort: true})
				taken := make([]int, len(all))
				for range 60 {
					for _, p := range all[:busy] {
						send(t, p, 8)
					}
					for range busy {
						m, ok, err := s.TryTake()
						ipctest.NoErr(t, err)
						if !ok {
							t.Fatal("there is no message")
						}
						taken[m.Publisher()]++
					}
				}
				for i, n := range taken {
					if n == 0 {
						t.Errorf("messages of each publisher: %d, but none of %d", taken, i)
					}
				}
				_ = s.Close()
				for _, p := range all {
					_ = p.Close()
				}
			})
		}
	}
}

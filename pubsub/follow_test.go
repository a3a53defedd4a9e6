package pubsub_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// items are what Follow has yielded: "message number:text [since]".
type items struct {
	c      chan string
	cancel func()
	done   chan struct{}
}

// With news, Follow tells at once what has happened.
var news = &pubsub.FollowOptions{News: true}

// following runs Follow in a goroutine.
func following(t *testing.T, name string, opts *pubsub.FollowOptions) *items {
	ctx, cancel := context.WithCancel(context.Background())
	f := &items{make(chan string, 100), cancel, make(chan struct{})}
	go func() {
		defer close(f.done)
		for m, err := range pubsub.Follow(ctx, name, opts) {
			text := fmt.Sprint(err)
			if err == nil {
				text = ""
				if m.OK() {
					text = fmt.Sprintf("%d:%s", m.Seq(), m.Bytes())
				}
			}
			if s := m.Since.String(); s != "" {
				text += " [" + s + "]"
			}
			f.c <- text
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-f.done
	})
	return f
}

func (f *items) want(t *testing.T, want ...string) {
	t.Helper()
	for _, w := range want {
		select {
		case got := <-f.c:
			if got != w {
				t.Fatalf("Follow yielded %q, want %q", got, w)
			}
		case <-f.done:
			t.Fatalf("Follow has ended, want %q", w)
		}
	}
}

func publisherWith(t *testing.T, name string, opts *pubsub.Options, texts ...string) *pubsub.Publisher {
	t.Helper()
	p, _, err := pubsub.OpenOrCreatePublisher(name, opts)
	ipctest.NoErr(t, err)
	say(t, p, texts...)
	return p
}

func say(t *testing.T, p *pubsub.Publisher, texts ...string) {
	t.Helper()
	for _, s := range texts {
		ipctest.NoErr(t, p.Send(bg, []byte(s)))
	}
}

// Follow goes on in the same topic after the end of a stream, an Abort and an eviction, and yields
// nothing twice.
func TestFollowGoesOn(t *testing.T) {
	ipctest.NeedNames(t)
	for name, opts := range map[string]*pubsub.Options{
		"plain": {Depth: 4},
		"packs": {Depth: 4, Pack: 4096},
	} {
		t.Run(name, func(t *testing.T) {
			ipctest.Store(t)
			f := following(t, "t", news) // waits for the topic
			p := publisherWith(t, "t", opts, "a")
			f.want(t, "1:a")
			ipctest.NoErr(t, p.Close())
			f.want(t, " [stream ended]")
			p = publisherWith(t, "t", opts, "b")
			f.want(t, "2:b")
			ipctest.NoErr(t, p.Abort())
			f.want(t, " [publisher died]")
			p = publisherWith(t, "t", opts, "c")
			f.want(t, "3:c")
			ipctest.NoErr(t, p.Close())
			f.want(t, " [stream ended]")
			f.cancel()
			f.want(t, `pubsub: take from topic "t": context canceled`)
			<-f.done
			if all, err := samepage.List(); len(all) != 0 || err != nil {
				t.Errorf("after the loop there is %v, %v", all, err)
			}
		})
	}
}

// A reliable subscriber that is evicted goes on where it was. What is gone by then counts as
// missed.
func TestFollowEvicted(t *testing.T) {
	ipctest.NeedNames(t)
	for name, opts := range map[string]*pubsub.Options{
		"plain": {Depth: 4, EvictAfter: 1},
		"packs": {Depth: 4, EvictAfter: 1, Pack: 4096},
	} {
		t.Run(name, func(t *testing.T) {
			ipctest.Store(t)
			p := publisherWith(t, "t", opts)
			defer p.Close()
			next := uint64(1)
			evicted := uint32(0)
			say(t, p, "1")
			for m, err := range pubsub.Follow(bg, "t", nil) {
				ipctest.NoErr(t, err)
				if want := next + m.Since.Missed; m.Seq() != want || string(m.Bytes()) != fmt.Sprint(want) {
					t.Fatalf("message %d is %q, want %d", m.Seq(), m.Bytes(), want)
				}
				next = m.Seq() + 1
				if evicted += m.Since.Evicted; evicted == 2 {
					if m.Since.Missed == 0 {
						t.Error("nothing was missed")
					}
					break
				}
				for i := next; i < next+13 && p.Next() <= i; i++ { // more than a topic has
					say(t, p, fmt.Sprint(p.Next()))
				}
			}
		})
	}
}

// If a topic is removed, Follow goes on with the next one of its name, when the old one has nothing
// more. Its first messages that are gone count as missed.
func TestFollowNewTopic(t *testing.T) {
	ipctest.NeedNames(t)
	dir := ipctest.Store(t)
	f := following(t, "t", &pubsub.FollowOptions{SubscriberOptions: pubsub.SubscriberOptions{From: pubsub.FromNewest}})
	old := publisherWith(t, "t", &pubsub.Options{Depth: 4}, "a")
	f.want(t, "1:a")
	ipctest.Wipe(t, dir)
	p := publisherWith(t, "t", &pubsub.Options{MaxSize: 100_000, Depth: 1}, "A", "B", "C", "D")
	defer p.Close()
	say(t, old, "b")
	f.want(t, "2:b") // the old topic is still in use
	ipctest.NoErr(t, old.Close())
	f.want(t, "4:D [3 missed, stream ended, name gone, new object]")
}

// A publisher that needs other options retires the topic. Follow goes on with the new one, and a
// Subscriber is told.
func TestReplacePublisher(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	for _, lifetime := range []samepage.Lifetime{samepage.WhileUsed, samepage.Persist} {
		small := &pubsub.Options{MaxSize: 10, Lifetime: lifetime}
		large := &pubsub.Options{MaxSize: 100_000, Depth: 2, Lifetime: lifetime}
		p, err := pubsub.ReplacePublisher(bg, "t", small)
		ipctest.NoErr(t, err)
		f := following(t, "t", news)
		say(t, p, "a", "b")
		f.want(t, "1:a")

		_, _, err = pubsub.OpenOrCreatePublisher("t", large)
		ipctest.WantErr(t, err, samepage.ErrDiffers, "MaxSize is 10, want 100000 or more", "Depth is 64, want 2")
		ipctest.WantErr(t, err, samepage.ErrTooLarge)
		_, err = pubsub.ReplacePublisher(bg, "t", large)
		ipctest.WantErr(t, err, samepage.ErrBusy, "it has a publisher")
		say(t, p, "c") // nothing has changed
		s, err := pubsub.OpenSubscriber("t", nil)
		ipctest.NoErr(t, err)
		ipctest.NoErr(t, p.Close())

		ctx, cancel := context.WithCancel(bg)
		replaced := make(chan error)
		go func() {
			_, err := pubsub.ReplacePublisher(ctx, "t", large)
			replaced <- err
		}()
		for n := 0; ; n++ {
			if _, err := s.Take(bg); err != nil {
				if n == 3 && errors.Is(err, samepage.ErrRetired) {
					break
				}
				if n != 3 || err.Error() != "EOF" {
					t.Fatalf("after %d messages: %v", n, err)
				}
				n--
			}
		}
		if _, _, err := s.TryTake(); !errors.Is(err, samepage.ErrRetired) {
			t.Errorf("TryTake of a retired topic: %v", err)
		}
		_, err = pubsub.OpenPublisher("t", nil)
		ipctest.WantErr(t, err, samepage.ErrRetired, "still used by process")
		_, err = pubsub.OpenSubscriber("t", nil)
		ipctest.WantErr(t, err, samepage.ErrRetired)
		cancel()
		ipctest.WantErr(t, <-replaced, context.Canceled, "waiting for its subscribers", "still used by process")

		ipctest.NoErr(t, s.Close())
		p, err = pubsub.ReplacePublisher(bg, "t", large)
		ipctest.NoErr(t, err)
		say(t, p, "A")
		f.want(t, "2:b", "3:c", " [stream ended]", " [retired]", "1:A [new object]")
		ipctest.NoErr(t, p.Close())
		f.want(t, " [stream ended]")
		p, err = pubsub.ReplacePublisher(bg, "t", large) // it fits
		ipctest.NoErr(t, err)
		say(t, p, "B")
		f.want(t, "2:B")
		ipctest.NoErr(t, p.Close())
		f.cancel()
		<-f.done
		ipctest.NoErr(t, errors.Join(removeTopic("t")))
	}
}

func removeTopic(name string) error {
	err := samepage.Remove(name, &samepage.Options{Kind: samepage.KindTopic})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// idleFollower follows a name of which nothing comes, see ipctest.WantIdle.
func idleFollower(args []string) {
	fmt.Println("ok", ipctest.RestCost(func(ctx context.Context) {
		for range pubsub.Follow(ctx, args[0], nil) {
		}
	}))
}

// While nothing happens, Follow does not poll: there is no topic, or none with a publisher.
func TestFollowIdle(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 11 s")
	}
	ipctest.NeedNames(t)
	ipctest.Store(t)
	publisherWith(t, "quiet", &pubsub.Options{Lifetime: samepage.Persist}, "a").Close()
	ipctest.WantIdle(t, ipctest.Start(t, "idle follower", "none"), ipctest.Start(t, "idle follower", "quiet"))
}

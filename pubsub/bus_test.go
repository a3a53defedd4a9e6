package pubsub_test

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"testing"

	"samepage/internal/ipctest"
	"samepage/pubsub"
)

func init() { roles["bus"] = busRole }

const busMessages = 200 // of each member

// A bus: several processes publish to one topic. Each process gets all messages, also its own. The
// messages of one process come in order.
func TestMission002_34_Bus(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	const members = 5
	var all []*ipctest.Child
	for i := range members {
		all = append(all, ipctest.Start(t, "bus", strconv.Itoa(i), strconv.Itoa(members)))
	}
	for i, c := range all {
		if l, want := c.Line(), fmt.Sprint("heard ", members*busMessages); l != want {
			t.Errorf("member %d: %s, want %s", i, l, want)
		}
	}
	for _, c := range all {
		c.Wait()
	}
}

// busRole is a member of the bus: NUMBER MEMBERS. It stays until its standard input ends.
func busRole(args []string) {
	me, _ := strconv.Atoi(args[0])
	members, _ := strconv.Atoi(args[1])
	p, _, err := pubsub.OpenOrCreatePublisher("bus", &pubsub.Options{Publishers: members, Members: 2 * members, MaxSize: 16})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Close() // not before: others still read
	heard, err := busMember(p, uint64(me), members)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("heard", heard)
	_, _ = fmt.Scanln()
}

func busMember(p *pubsub.Publisher, me uint64, members int) (heard int, err error) {
	s, err := pubsub.OpenSubscriber("bus", nil)
	if err != nil {
		return 0, err
	}
	if err := p.WaitSubscribers(bg, members); err != nil {
		return 0, err
	}
	said := make(chan error, 1)
	go func() {
		var b [16]byte
		binary.LittleEndian.PutUint64(b[:], me)
		for n := range uint64(busMessages) {
			binary.LittleEndian.PutUint64(b[8:], n)
			if err := p.Send(bg, b[:]); err != nil {
				said <- err
				return
			}
		}
		said <- nil
	}()
	next := make([]uint64, members)
	for heard < members*busMessages {
		m, err := s.Take(bg)
		if err != nil {
			return heard, err
		}
		who, n := binary.LittleEndian.Uint64(m.Bytes()), binary.LittleEndian.Uint64(m.Bytes()[8:])
		if who >= uint64(members) || n != next[who] {
			return heard, fmt.Errorf("message %d of member %d, want %d", n, who, next)
		}
		next[who]++
		heard++
	}
	return heard, <-said
}

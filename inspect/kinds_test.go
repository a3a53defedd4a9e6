package inspect

import (
	"io"
	"testing"

	"samepage"
	"samepage/cell"
	"samepage/internal/ipctest"
	"samepage/ipcsync"
	"samepage/layout"
	"samepage/pubsub"
	"samepage/rpc"
	"samepage/stream"
)

// makes makes an object of each kind.
var makes = map[samepage.Kind]func() (io.Closer, error){
	samepage.KindMemory:    func() (io.Closer, error) { return samepage.Create("o", 8, nil) },
	samepage.KindEvent:     func() (io.Closer, error) { return ipcsync.CreateEvent("o", nil) },
	samepage.KindMutex:     func() (io.Closer, error) { return ipcsync.CreateMutex("o", nil) },
	samepage.KindRWMutex:   func() (io.Closer, error) { return ipcsync.CreateRWMutex("o", nil) },
	samepage.KindSemaphore: func() (io.Closer, error) { return ipcsync.CreateSemaphore("o", 1, 1, nil) },
	samepage.KindTopic:     func() (io.Closer, error) { return pubsub.CreatePublisher("o", nil) },
	samepage.KindCell:      func() (io.Closer, error) { return cell.CreateWriter("o", 8, nil) },
	samepage.KindService:   func() (io.Closer, error) { return rpc.CreateWorker("o", nil) },
	samepage.KindListener:  func() (io.Closer, error) { return stream.Listen("o", nil) },
}

// MakeEach makes an object of each kind.
func MakeEach(t *testing.T) (all []io.Closer) {
	for _, k := range samepage.Kinds() {
		if makes[k] == nil {
			t.Errorf("%v: no row in this test", k)
			continue
		}
		c, err := makes[k]()
		ipctest.NoErr(t, err)
		all = append(all, c)
	}
	return all
}

// Each kind says what it is, and this is true for an object of the kind. A new kind must pass this
// list.
func TestEachKind(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	names := map[string]bool{}
	for _, k := range samepage.Kinds() {
		l := layout.Kind(k)
		if names[l.String()] || l.String() == "" {
			t.Errorf("kind %d has the name %q, which is empty or another kind's", k, l)
		}
		names[l.String()] = true
		if back, ok := layout.ParseKind(l.String()); back != l || !ok {
			t.Errorf("%v: its name stands for %v", l, back)
		}
		if l.HasMembers() != (inspectors[k] != nil) || l.HasMembers() != (l.Words() != layout.NoWords) {
			t.Errorf("%v: members %t, words %v, inspector %t", l, l.HasMembers(), l.Words(), inspectors[k] != nil)
		}
		if (l.Role(1) != "" || l.Broadcasts()) && l.Words() == layout.LockState || l.Owned() && (l.Words() == layout.LaneState || l.Words() == layout.CallSlots) {
			t.Errorf("%v: roles %q, broadcasts %t, owned %t, words %v", l, l.Role(1), l.Broadcasts(), l.Owned(), l.Words())
		}
	}
	for _, c := range MakeEach(t) {
		defer c.Close()
	}
	st, err := Snapshot(nil)
	ipctest.NoErr(t, err)
	all := st.Objects
	if len(all) != len(makes) {
		t.Errorf("%d objects of %d kinds", len(all), len(makes))
	}
	for _, o := range all {
		if o.Err != nil || (o.Detail != nil) != HasMembers(o.Kind) || len(o.Findings()) != 0 {
			t.Errorf("%v: detail %v, %v, findings %v", o.Kind, o.Detail, o.Err, o.Findings())
		}
		if st := o.Detail; st != nil && (st.Room < 1 || len(st.Members) != 1 || !st.Members[0].Alive || st.Full() || len(st.Dead()) != 0) {
			t.Errorf("%v: %+v", o.Kind, st)
		}
	}
}

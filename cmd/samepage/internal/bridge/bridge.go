// Package bridge carries topics between machines, over NATS. docs/bridge.md says what it promises.
package bridge

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"samepage"
	"samepage/ipcsync"
)

// Options say what a bridge carries, and over which connection. Names, Conn, Space and Tell must be
// set.
type Options struct {
	Names  // the local names for Publish, the names on the way for Subscribe
	Conn   *nats.Conn
	Space  string // the first token of all subjects
	Scope  samepage.Scope
	Owner  string // see samepage.Options
	Policy Policy // of Publish
	Window int    // of Publish with the policies Newest and Wait: bytes that are not acknowledged yet
	// Budget is how many percent of the time of a publisher with the policy Newest, or the writer
	// of a cell, Publish may cost: 0.1 to 100; 0: DefaultBudget.
	Budget float64
	Tick   time.Duration // how often a publishing bridge tells where it is
	// Silence is after how long a subscribing bridge takes a publishing bridge that it does not
	// hear for dead, and the other way round with the policy Wait.
	Silence time.Duration
	Zstd    bool   // of Publish: compress what is sent
	JPEG    int    // of Publish: the quality, 1 to 100, of the JPEGs as which frames cross; 0: without loss
	Keep    int64  // of Publish with the policy Stored: bytes that the server keeps of a topic; 0: all
	Host    string // the name of this host: with it a subscribing bridge goes on with what is stored
	Limit   int64  // of Subscribe: the largest number of bytes that a topic may take in use
	Tell    func(Event)
}

func (o *Options) budget() float64 { return cmp.Or(o.Budget, DefaultBudget) }

// Bridge is a bridge that runs.
type Bridge struct {
	o        *Options
	s        subjects
	session  uint32 // of cells
	receiver uint64
	mark     *ipcsync.Event
	counters counters

	mu      sync.Mutex
	sources []*source
	sinks   map[string]*sink // by far name
	refused map[string]bool  // names that become the same as another, as they were told
	wg      sync.WaitGroup

	listening sync.Mutex
	listeners map[uint64]*listener // subscribing bridges that were heard
}

// listener is a subscribing bridge, as a publishing one knows it.
type listener struct {
	topics []string
	heard  time.Time
}

// markName is the name of an event that exists while a subscribing bridge of this process id lives.
// With it publishing bridges know its publishers, and cut loops.
func markName(pid int) string { return fmt.Sprint(bridgeNames, pid) }

// New prepares a bridge.
func New(o *Options) (*Bridge, error) {
	var b [12]byte
	_, _ = rand.Read(b[:]) // it never fails
	ballast()
	n := &Bridge{
		o: o, s: subjects{o.Space}, session: max(binary.LittleEndian.Uint32(b[:]), 1), receiver: binary.LittleEndian.Uint64(b[4:]),
		sinks: map[string]*sink{}, refused: map[string]bool{}, listeners: map[uint64]*listener{},
	}
	if n.largest() < headerSize+partSize+leastRoom {
		return nil, fmt.Errorf("the server allows messages of %d bytes, which is too little for a bridge", o.Conn.MaxPayload())
	}
	return n, o.Check()
}

// leastRoom is the smallest number of bytes that an envelope has room for.
const leastRoom = 1024

// largest returns the bytes of the largest envelope. The server can have other limits when it is
// started again. It counts the subject, and a header of JetStream.
func (b *Bridge) largest() int { return min(int(b.o.Conn.MaxPayload())-1024, 16<<20) }

// ballast is memory that nobody touches. With it the garbage collector runs at most once in so many
// bytes: nats.go makes garbage of each message, and without it the collector runs after 4 MB.
var ballast = sync.OnceValue(func() []byte { return make([]byte, 32<<20) })

// Counts returns the counts of all topics.
func (b *Bridge) Counts() []Counts { return b.counters.list() }

func (b *Bridge) tell(what, topic string, lost uint64, format string, args ...any) {
	b.o.Tell(Event{what, topic, fmt.Sprintf(format, args...), lost})
}

// each calls f for each object of a kind whose name is one of these, or matches: at once, and for
// those that appear later. A name that is not a pattern counts also without an object. After forget,
// which is nil for such a name, f is called again if the name is there.
func (b *Bridge) each(ctx context.Context, kind samepage.Kind, names []string, f func(name string, forget func())) error {
	var seen sync.Map
	once := func(name string) {
		if _, was := seen.LoadOrStore(name, true); was || strings.HasPrefix(name, bridgeNames) {
			return
		}
		var forget func()
		if !slices.Contains(names, name) {
			forget = func() { seen.Delete(name) }
		}
		f(name, forget)
	}
	patterns := false
	for _, p := range names {
		if isPattern(p) {
			patterns = true
		} else {
			once(p)
		}
	}
	if !patterns {
		<-ctx.Done()
		return ctx.Err()
	}
	t := time.NewTimer(0) // nothing tells that a name appears
	defer t.Stop()
	for {
		begun := time.Now()
		all, err := samepage.List()
		if err != nil {
			return err
		}
		for _, i := range all {
			if i.Kind == kind && i.Scope == b.o.Scope && matches(names, i.Name) {
				once(i.Name)
			}
		}
		t.Reset(max(100*time.Millisecond, 20*time.Since(begun))) // many objects take long
		select {
		case <-t.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Publish sends topics of this machine until ctx ends.
func (b *Bridge) Publish(ctx context.Context) error {
	who, err := b.o.Conn.Subscribe(b.s.who(), b.who)
	if err != nil {
		return err
	}
	defer func() { _ = who.Unsubscribe() }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	b.wg.Go(func() {
		err := b.each(ctx, samepage.KindCell, b.o.Cells, func(name string, forget func()) {
			b.wg.Go(func() { b.runCell(ctx, name, forget) })
		})
		if ctx.Err() == nil {
			b.tell("failed", "", 0, "look for cells: %v", err)
		}
	})
	for _, name := range b.o.Services {
		b.wg.Go(func() { b.publishService(ctx, name) })
	}
	b.wg.Go(func() { b.show(ctx, "publish") })
	pause(ctx, b.o.Tick) // all subscribing bridges that are there say hello
	err = b.each(ctx, samepage.KindTopic, b.o.Patterns, func(name string, forget func()) {
		s := b.addSource(name, forget)
		if s == nil {
			if forget != nil {
				forget()
			}
			return
		}
		b.wg.Go(func() {
			s.run(ctx)
			b.mu.Lock()
			b.sources = slices.DeleteFunc(b.sources, func(x *source) bool { return x == s })
			b.counters.release(s.c)
			b.mu.Unlock()
			if forget != nil {
				forget()
			}
		})
	})
	cancel() // also after an error
	b.wg.Wait()
	_ = b.o.Conn.FlushTimeout(time.Second) // the other side learns that the bridge stops
	return err
}

// addSource makes the source of a name, see newSource. It returns nil if another one sends under
// the same name on the way.
func (b *Bridge) addSource(name string, forget func()) *source {
	b.mu.Lock()
	defer b.mu.Unlock()
	far := b.o.To(name)
	for _, s := range b.sources {
		if s.far == far {
			b.refuse(name, s.name, far)
			return nil
		}
	}
	s := newSource(b, name, forget)
	b.sources = append(b.sources, s)
	return s
}

// refuse tells once that a name is not carried, because it becomes the same as another one.
//
// Preconditions:
//   - The caller has mu.
func (b *Bridge) refuse(name, other, to string) {
	if len(b.refused) < maxRefused && !b.refused[name] {
		b.refused[name] = true
		b.tell("refused", name, 0, "%v", twoNames(other, name, to))
	}
}

// maxRefused is how many names are told: others choose them.
const maxRefused = 1000

// who is called for each hello.
func (b *Bridge) who(m *nats.Msg) {
	var h hello
	isNew := false
	if json.Unmarshal(m.Data, &h) == nil {
		b.listening.Lock()
		l := b.listeners[h.Receiver]
		if isNew = l == nil; isNew {
			l = &listener{}
			if len(b.listeners) >= maxReceivers {
				clear(b.listeners)
			}
			b.listeners[h.Receiver] = l
		}
		l.topics, l.heard = h.Topics, time.Now()
		b.listening.Unlock()
	}
	if isNew {
		b.tell("listens", "", 0, "a subscribing bridge wants %q", h.Topics)
	}
	if isNew || len(m.Data) == 0 {
		b.announce()
	}
}

// known returns the subscribing bridges that want a topic.
func (b *Bridge) known(far string) (all []uint64) {
	b.listening.Lock()
	defer b.listening.Unlock()
	for id, l := range b.listeners {
		if time.Since(l.heard) <= b.o.Silence && matches(l.topics, far) {
			all = append(all, id)
		}
	}
	return all
}

// announce tells all topics.
func (b *Bridge) announce() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, s := range b.sources {
		s.announce()
	}
}

// Subscribe publishes here what other bridges send, until ctx ends.
func (b *Bridge) Subscribe(ctx context.Context) (err error) {
	o := &ipcsync.EventOptions{Scope: b.o.Scope}
	b.mark, err = ipcsync.CreateEvent(markName(os.Getpid()), o)
	if errors.Is(err, fs.ErrExist) { // of another bridge of this process
		b.mark, err = ipcsync.OpenEvent(markName(os.Getpid()), o)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.mark.Close()) }()
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		b.wg.Wait()
	}()
	meta, err := b.o.Conn.Subscribe(b.s.meta(), func(m *nats.Msg) { b.meta(ctx, m.Data) })
	if err != nil {
		return err
	}
	defer func() { _ = meta.Unsubscribe() }()
	for _, p := range b.o.Patterns {
		if !isPattern(p) {
			b.sink(ctx, p)
		}
	}
	b.wg.Go(func() { b.sayHello(ctx) })
	b.wg.Go(func() { b.show(ctx, "subscribe") })
	b.findStored(ctx)
	for _, name := range b.o.Services {
		b.wg.Go(func() { b.subscribeService(ctx, name) })
	}
	if err := b.subscribeCells(ctx); err != nil {
		return err
	}
	<-ctx.Done()
	return ctx.Err()
}

// sayHello tells publishing bridges from time to time that this one is there, until ctx ends.
func (b *Bridge) sayHello(ctx context.Context) {
	text, _ := json.Marshal(hello{b.receiver, b.o.Patterns}) // it has no value that JSON has not
	t := time.NewTicker(b.o.Tick)
	defer t.Stop()
	for ctx.Err() == nil {
		_ = b.o.Conn.Publish(b.s.who(), text)
		select {
		case <-t.C:
		case <-ctx.Done():
		}
	}
	text, _ = json.Marshal(hello{b.receiver, nil})
	_ = b.o.Conn.Publish(b.s.who(), text)
	_ = b.o.Conn.FlushTimeout(time.Second) // publishing bridges do not wait for this one
}

// meta is called for each announcement.
func (b *Bridge) meta(ctx context.Context, data []byte) {
	m, err := parseMeta(data)
	if err == nil && matches(b.o.Patterns, m.Name) && ctx.Err() == nil {
		if s := b.sink(ctx, m.Name); s != nil && m.Policy == Stored {
			s.stored(ctx)
		}
	}
}

// sink returns the sink of a name, and starts it if there is none. It returns nil if another one
// makes the same topic here.
func (b *Bridge) sink(ctx context.Context, name string) *sink {
	b.mu.Lock()
	defer b.mu.Unlock()
	if s := b.sinks[name]; s != nil {
		return s
	}
	for far, s := range b.sinks {
		if s.name == b.o.To(name) {
			b.refuse(name, far, s.name)
			return nil
		}
	}
	s := newSink(ctx, b, name)
	b.sinks[name] = s
	b.wg.Go(s.run)
	return s
}

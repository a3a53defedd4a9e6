package bridge

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"samepage"
	"samepage/cell"
)

// Cells cross as their latest values. A value is sent when it has changed, and again at each tick,
// so that a bridge that comes later, or has lost it, gets it. It is in one envelope or more, of the
// kind kindValue, whose body has this header, CellMeta in JSON, and the bytes:
//
//	 0  uint64  generation of the value
//	 8  uint32  size of the whole value
//	12  uint32  offset of these bytes
//	16  uint32  length of CellMeta
const valueSize = 24

// CellMeta describes a cell at its origin.
type CellMeta struct {
	Name      string `json:"name"` // as it crosses
	Schema    string `json:"schema,omitempty"`
	Cap       int    `json:"cap"`
	Times     bool   `json:"times,omitempty"`
	Checksums bool   `json:"checksums,omitempty"`
}

func (s subjects) cell(name string) string { return s.space + ".cell." + escape(name) }

// When a source lets its cell go, it says so in an envelope of the kind kindOver, with the same
// header and a CellMeta that has only a name: at each tick for a while, because it may be lost.

// cellSource sends one cell of this machine, and those that have its name later.
type cellSource struct {
	b         *Bridge
	name, far string
	c         *counter
	id        samepage.ID
	alone     time.Time // since when nobody else uses the cell; zero: others do

	refused string // why the value is not sent, as it was told

	mu   sync.Mutex
	last [][]byte // the envelopes of the latest value
}

// runCell sends a cell until ctx ends. If forget is not nil, it also ends when nobody else uses the
// cell, or there is none, and calls forget.
func (b *Bridge) runCell(ctx context.Context, name string, forget func()) {
	s := &cellSource{b: b, name: name, far: b.o.To(name)}
	s.c = b.counters.add(name, s.far)
	used, end := context.WithCancel(ctx)
	defer end()
	done := make(chan struct{})
	go func() {
		defer close(done)
		t := time.NewTicker(b.o.Tick)
		defer t.Stop()
		for used.Err() == nil {
			select {
			case <-t.C:
				if others := s.send(); forget != nil && b.deserted(samepage.KindCell, name, others, &s.alone) {
					end()
				}
			case <-used.Done():
			}
		}
	}()
	s.follow(used)
	<-done
	if ctx.Err() == nil {
		s.over(ctx)
		b.counters.release(s.c)
		forget()
	}
}

// follow sends each value until ctx ends.
func (s *cellSource) follow(ctx context.Context) {
	b, name := s.b, s.name
	cost := newBudget(b.o.budget())
	for ctx.Err() == nil {
		opts := &cell.FollowOptions{ReaderOptions: cell.ReaderOptions{Scope: b.o.Scope, Owner: b.o.Owner}}
		var m CellMeta
		for v, err := range cell.Follow(ctx, name, opts) {
			if err != nil {
				if ctx.Err() == nil {
					b.tell("refused", name, 0, "%v", err)
				}
				break
			}
			if m.Name == "" || v.Since.New {
				st, err := cell.Inspect(name, &samepage.InspectOptions{Scope: b.o.Scope, Owner: b.o.Owner})
				i, serr := samepage.Stat(name, &samepage.Options{Scope: b.o.Scope, Owner: b.o.Owner, Kind: samepage.KindCell})
				if err == nil && serr == nil {
					s.id = i.ID
					m = CellMeta{Name: s.far, Schema: v.Schema(), Cap: st.Cap, Times: st.Times, Checksums: st.Checksums}
					b.tell("attached", name, 0, "the cell is sent as %q", s.far)
				}
			}
			if m.Name != "" {
				s.set(&m, &v.Value)
				s.send()
			}
			cost.wake(time.Now())
			cost.read(time.Now(), len(v.Bytes()), 1)
			if d := cost.debt(time.Now()); d > 0 {
				pause(ctx, d)
			}
		}
		pause(ctx, time.Second/2)
	}
}

// over tells for a while that the cell was let go, unless there is one again.
func (s *cellSource) over(ctx context.Context) {
	if s.id == (samepage.ID{}) {
		return // nothing was sent
	}
	s.b.tell("over", s.name, 0, "%v", errDeserted)
	meta, _ := json.Marshal(&CellMeta{Name: s.far}) // it has no value that JSON has not
	e := make([]byte, headerSize+valueSize, headerSize+valueSize+len(meta))
	binary.LittleEndian.PutUint32(e[headerSize+16:], uint32(len(meta)))
	e = append(e, meta...)
	h := envelope{kind: kindOver, session: s.b.session, id: s.id}
	h.seal(e)
	for begun := time.Now(); ctx.Err() == nil; pause(ctx, s.b.o.Tick) {
		s.c.envelopes.Add(1)
		_ = s.b.o.Conn.Publish(s.b.s.cell(s.far), e)
		_, err := samepage.Stat(s.name, &samepage.Options{Scope: s.b.o.Scope, Owner: s.b.o.Owner, Kind: samepage.KindCell})
		if err == nil || time.Since(begun) > s.b.o.Silence {
			return
		}
	}
}

// set makes the envelopes of a value.
func (s *cellSource) set(m *CellMeta, v *cell.Value) {
	meta, _ := json.Marshal(m) // a CellMeta has no value that JSON has not
	b := v.Bytes()
	room := s.b.largest() - headerSize - valueSize - len(meta)
	var all [][]byte
	if room < leastRoom {
		text := fmt.Sprintf("the server allows messages of %d bytes, and the description of the cell has %d", s.b.o.Conn.MaxPayload(), len(meta))
		if s.refused != text {
			s.refused = text
			s.b.tell("refused", s.name, 0, "%s", text)
		}
		s.mu.Lock()
		s.last = nil
		s.mu.Unlock()
		return
	}
	for from := 0; from == 0 || from < len(b); from += room {
		part := b[from:min(from+room, len(b))]
		e := make([]byte, headerSize, headerSize+valueSize+len(meta)+len(part))
		e = binary.LittleEndian.AppendUint64(e, v.Generation())
		e = binary.LittleEndian.AppendUint32(e, uint32(len(b)))
		e = binary.LittleEndian.AppendUint32(e, uint32(from))
		e = binary.LittleEndian.AppendUint32(e, uint32(len(meta)))
		e = binary.LittleEndian.AppendUint32(e, 0)
		e = append(append(e, meta...), part...)
		h := envelope{kind: kindValue, session: s.b.session, number: v.Generation(), id: s.id}
		h.seal(e)
		all = append(all, e)
	}
	s.c.messages.Add(1)
	s.c.bytes.Add(uint64(len(b)))
	s.mu.Lock()
	s.last = all
	s.mu.Unlock()
}

// send sends the latest value, unless a bridge writes the cell. It says whether others use the cell.
func (s *cellSource) send() (used bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st, err := cell.Inspect(s.name, &samepage.InspectOptions{Scope: s.b.o.Scope, Owner: s.b.o.Owner})
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	writes := false // a bridge
	for i := range st.Members {
		m := &st.Members[i]
		used = used || isAnother(&m.Member)
		writes = writes || m.Writer && s.b.isBridgeProcess(&m.Member)
	}
	if !writes {
		for _, e := range s.last {
			s.c.envelopes.Add(1)
			_ = s.b.o.Conn.Publish(s.b.s.cell(s.far), e)
		}
	}
	return used
}

// cellSink sets one cell here.
type cellSink struct {
	name       string
	c          *counter
	w          *cell.Writer
	meta       CellMeta
	id         samepage.ID // of the cell at its origin
	generation uint64      // of the value that was set last
	buf        []byte      // the parts of the next value
	of         valueOf     // the value whose parts are in buf
	refused    string
}

// valueOf tells values of a cell apart.
type valueOf struct {
	id                 samepage.ID
	session            uint32
	generation, length uint64
}

// subscribeCells sets cells here until ctx ends.
func (b *Bridge) subscribeCells(ctx context.Context) error {
	if len(b.o.Cells) == 0 {
		return nil
	}
	sinks := map[string]*cellSink{}
	sub, err := b.o.Conn.Subscribe(b.s.space+".cell.*", func(m *nats.Msg) { b.setCell(ctx, sinks, m.Data) })
	if err != nil {
		return err
	}
	b.wg.Go(func() {
		<-ctx.Done()
		done := make(chan struct{})
		sub.SetClosedHandler(func(string) { close(done) })
		if sub.Unsubscribe() == nil {
			<-done
		}
		for _, s := range sinks {
			if s.w != nil {
				_ = s.w.Close()
			}
		}
	})
	return nil
}

// setCell sets a cell to the value in an envelope, if it is complete.
func (b *Bridge) setCell(ctx context.Context, sinks map[string]*cellSink, data []byte) {
	e, err := parse(data)
	if err == nil && (e.kind != kindValue && e.kind != kindOver || len(e.body) < valueSize) {
		err = errEnvelope
	}
	le := binary.LittleEndian
	var m CellMeta
	var part []byte
	if err == nil {
		n := int64(le.Uint32(e.body[16:]))
		if rest := e.body[valueSize:]; n > int64(len(rest)) {
			err = errEnvelope
		} else {
			err, part = json.Unmarshal(rest[:n], &m), rest[n:]
		}
	}
	if err != nil {
		b.tell("damaged", "", 0, "a value of a cell: %v", err)
		return
	}
	if ctx.Err() != nil || !matches(b.o.Cells, m.Name) {
		return
	}
	s := sinks[m.Name]
	if e.kind == kindOver {
		if s != nil && (s.w == nil || s.id == e.id) {
			b.dropCell(sinks, s, m.Name)
		}
		return
	}
	if s == nil {
		s = &cellSink{name: b.o.To(m.Name)}
		s.c = b.counters.add(s.name, m.Name)
		sinks[m.Name] = s
	}
	s.c.envelopes.Add(1)
	total, offset := int64(le.Uint32(e.body[8:])), int64(le.Uint32(e.body[12:]))
	if e.id == s.id && e.number == s.generation && m == s.meta {
		return // it is here already
	}
	of := valueOf{e.id, e.session, e.number, uint64(total)}
	if offset == 0 {
		s.buf, s.of = s.buf[:0], of
	}
	if of != s.of || int64(len(s.buf)) != offset || offset+int64(len(part)) > total || total > b.o.Limit {
		s.buf = s.buf[:0] // a part is lost; the value comes again
		return
	}
	if s.buf = append(s.buf, part...); int64(len(s.buf)) < total {
		return
	}
	if err := s.set(ctx, b, &m); err != nil {
		if s.refused != err.Error() {
			s.refused = err.Error()
			b.tell("refused", s.name, 0, "%v", err)
		}
		return
	}
	s.id, s.generation, s.refused = e.id, e.number, ""
	s.c.messages.Add(1)
	s.c.bytes.Add(uint64(total))
}

// dropCell lets a cell go that is over at its origin. If its name is a match of a pattern, the next
// value makes another sink.
func (b *Bridge) dropCell(sinks map[string]*cellSink, s *cellSink, far string) {
	if s.w != nil {
		if err := s.w.Close(); err != nil {
			b.tell("failed", s.name, 0, "%v", err)
		}
		b.tell("over", s.name, 0, "the cell is over at its origin")
	}
	*s = cellSink{name: s.name, c: s.c}
	if !slices.Contains(b.o.Cells, far) {
		delete(sinks, far)
		b.counters.release(s.c)
	}
}

// set sets the cell to the value in buf.
func (s *cellSink) set(ctx context.Context, b *Bridge, m *CellMeta) (err error) {
	if s.w == nil || s.meta != *m {
		if s.w != nil {
			if err := s.w.Close(); err != nil {
				return err
			}
			s.w = nil
		}
		o := &cell.Options{Scope: b.o.Scope, Owner: b.o.Owner, Schema: m.Schema, Times: m.Times, Checksums: m.Checksums}
		if n, err := o.InUse(m.Cap, 1); err != nil {
			return err
		} else if n > b.o.Limit {
			return fmt.Errorf("the cell needs %d bytes, the limit is %d: %w", n, b.o.Limit, samepage.ErrTooLarge)
		}
		o.AsItIs = true
		if s.w, _, err = cell.OpenOrCreateWriter(s.name, m.Cap, o); err != nil {
			s.w = nil
			return err
		}
		s.meta = *m
		b.tell("attached", s.name, 0, "the cell comes from %q", m.Name)
	}
	return s.w.Set(ctx, s.buf)
}

package bridge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"samepage"
	"samepage/rpc"
)

// Services cross as requests of NATS: one message for a request, and one for its response, whose
// first byte is 0, or 1 for an error, whose text follows. Several bridges that publish a service
// share its calls.

// ServiceMeta describes a service at its origin.
type ServiceMeta struct {
	Request  int `json:"request"`  // bytes of the largest one that crosses
	Response int `json:"response"` // the same
	Calls    int `json:"calls"`
	// Schema is that of a service whose calls have Go types.
	Schema string `json:"schema,omitempty"`
}

// call is the subject of calls with the types of a schema: so no call gets to a service that has got
// other types since.
func (s subjects) call(name, schema string) string {
	sum := sha256.Sum256([]byte(schema))
	return s.space + ".call." + escape(name) + "." + hex.EncodeToString(sum[:8])
}

func (s subjects) service(name string) string { return s.space + ".service." + escape(name) }

// callTimeout ends a call over a bridge whose caller has no deadline.
const callTimeout = time.Minute

// askTimeout is how long a bridge waits for the server, or for the description of a service.
const askTimeout = 2 * time.Second

// publishService answers requests of NATS with a service of this machine, until ctx ends.
func (b *Bridge) publishService(ctx context.Context, name string) {
	far := b.o.To(name)
	n := b.counters.add(name, far)
	for ctx.Err() == nil {
		err := b.answer(ctx, n, name, far)
		if ctx.Err() == nil && !errors.Is(err, fs.ErrNotExist) {
			b.tell("refused", name, 0, "%v", err)
		}
		pause(ctx, b.o.Tick)
	}
}

func (b *Bridge) answer(ctx context.Context, n *counter, name, far string) error {
	// A client of a service that has a type needs its schema.
	st, err := rpc.Inspect(name, &samepage.InspectOptions{Scope: b.o.Scope, Owner: b.o.Owner})
	if err != nil {
		return err
	}
	c, err := rpc.OpenClient(name, &rpc.Options{Scope: b.o.Scope, Owner: b.o.Owner, Schema: st.Schema})
	if err != nil {
		return err
	}
	room := b.largest() - 1
	meta, _ := json.Marshal(ServiceMeta{min(c.MaxRequest(), room), min(c.MaxResponse(), room), st.Calls, st.Schema})
	var all []*nats.Subscription
	subscribe := func(subject string, f nats.MsgHandler) {
		sub, serr := b.o.Conn.QueueSubscribe(subject, "bridges", f)
		if err = errors.Join(err, serr); serr == nil {
			all = append(all, sub)
		}
	}
	subscribe(b.s.service(far), func(m *nats.Msg) { _ = m.Respond(meta) })
	subscribe(b.s.call(far, st.Schema), func(m *nats.Msg) {
		b.wg.Go(func() {
			within, cancel := context.WithTimeout(ctx, callTimeout)
			defer cancel()
			reply, err := c.CallAppend(within, []byte{0}, m.Data)
			if err == nil && len(reply) > room {
				err = fmt.Errorf("the response has %d bytes, and at most %d cross: %w", len(reply)-1, room, samepage.ErrTooLarge)
			}
			if err != nil {
				reply = append([]byte{1}, err.Error()...)
			}
			n.messages.Add(1)
			n.bytes.Add(uint64(len(m.Data) + len(reply) - 1))
			_ = m.Respond(reply) // if it is lost, the call times out
		})
	})
	if err == nil {
		err = b.o.Conn.FlushTimeout(askTimeout) // from now on the server knows it
	}
	if err == nil {
		b.tell("attached", name, 0, "the service is offered as %q", far)
		for err == nil && ctx.Err() == nil {
			pause(ctx, b.o.Tick)
			err = c.CheckName() // another service may have its name
		}
	}
	for _, sub := range all {
		_ = sub.Unsubscribe()
	}
	return errors.Join(err, c.Close())
}

// subscribeService serves here what another machine offers, until ctx ends.
func (b *Bridge) subscribeService(ctx context.Context, far string) {
	name := b.o.To(far)
	n := b.counters.add(name, far)
	told := ""
	for ctx.Err() == nil {
		if err := b.serve(ctx, n, name, far); err != nil && ctx.Err() == nil && err.Error() != told {
			told = err.Error()
			b.tell("waiting", name, 0, "%v", err)
		}
		pause(ctx, b.o.Tick)
	}
}

// describe asks for the description of a service.
func (b *Bridge) describe(ctx context.Context, far string) (meta ServiceMeta, err error) {
	within, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	m, err := b.o.Conn.RequestWithContext(within, b.s.service(far), nil)
	if err == nil {
		err = json.Unmarshal(m.Data, &meta)
	}
	return meta, err
}

func (b *Bridge) serve(ctx context.Context, n *counter, name, far string) error {
	meta, err := b.describe(ctx, far)
	if err != nil {
		return fmt.Errorf("no bridge offers the service %q: %w", far, err)
	}
	o := &rpc.Options{Scope: b.o.Scope, Owner: b.o.Owner, Calls: meta.Calls, Schema: meta.Schema}
	if o.Schema == "" { // else the types have the sizes
		o.Request, o.Response = meta.Request, meta.Response
	}
	w, _, err := rpc.OpenOrCreateWorker(name, o)
	if err != nil {
		return err
	}
	b.tell("attached", name, 0, "the service comes from %q", far)
	var stale atomic.Bool // the service here must get the new types, too
	changed := func(ctx context.Context) bool {
		is, err := b.describe(ctx, far)
		if err != nil || is.Schema == meta.Schema {
			return false
		}
		stale.Store(true)
		return true
	}
	served, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		for served.Err() == nil && !stale.Load() {
			pause(served, b.o.Tick)
			changed(served) // also if nobody calls
		}
		pause(served, b.o.Tick) // the call that has found it gets its error
		cancel()
	}()
	ask := rpc.Func(func(ctx context.Context, req []byte) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		n.messages.Add(1)
		n.bytes.Add(uint64(len(req)))
		m, err := b.o.Conn.RequestWithContext(ctx, b.s.call(far, meta.Schema), req)
		if errors.Is(err, nats.ErrNoResponders) {
			if changed(ctx) {
				err = fmt.Errorf("its types have changed: %w", samepage.ErrKindMismatch)
			}
		}
		switch {
		case err != nil:
			return nil, fmt.Errorf("call %q over the bridge: %w", far, err)
		case len(m.Data) == 0:
			return nil, errEnvelope
		case m.Data[0] != 0:
			return nil, errors.New(string(m.Data[1:]))
		}
		n.bytes.Add(uint64(len(m.Data) - 1))
		return m.Data[1:], nil
	})
	failed := make(chan error)
	workers := min(max(meta.Calls, 1), 16)
	for range workers {
		go func() { failed <- w.Serve(served, ask) }()
	}
	for range workers {
		err = errors.Join(err, <-failed)
	}
	return errors.Join(err, w.Close())
}

package rpc_test

import (
	"context"
	"encoding/binary"
	"errors"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
	"samepage/rpc"
)

// A program that has the schema of a service, and not its types, calls its workers, and answers its
// clients.
func TestSchemaOption(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	w, err := rpc.CreateWorkerOf[question, answer]("s", nil)
	ipctest.NoErr(t, err)
	ctx, cancel := context.WithCancel(bg)
	done := make(chan error)
	go func() {
		done <- w.Serve(ctx, func(_ *rpc.Job, q *question, a *answer) error {
			*a = answer{q.A + q.B, q.A * q.B}
			return nil
		})
	}()
	schema := w.Schema()
	if st, err := rpc.Inspect("s", nil); err != nil || schema == "" || st.Schema != schema {
		t.Errorf("%q, %+v, %v", schema, st, err)
	}
	c, err := rpc.OpenClient("s", &rpc.Options{Schema: schema})
	ipctest.NoErr(t, err)
	if c.Schema() != schema || c.MaxRequest() != 16 || c.MaxResponse() != 16 {
		t.Errorf("%q, %d, %d", c.Schema(), c.MaxRequest(), c.MaxResponse())
	}
	request := binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, 6), 7)
	response, err := c.Call(bg, request)
	ipctest.NoErr(t, err)
	if len(response) != 16 || response[0] != 13 || response[8] != 42 {
		t.Errorf("%v", response)
	}
	var failed *rpc.Error
	if _, err := c.Call(bg, request[:15]); !errors.As(err, &failed) {
		t.Errorf("a request of another size: %v", err)
	}
	_, err = rpc.OpenClient("s", &rpc.Options{Schema: "int8 int8"})
	ipctest.WantErr(t, err, samepage.ErrKindMismatch)
	cancel()
	<-done
	ipctest.NoErr(t, errors.Join(c.Close(), w.Close()))

	// The other way round.
	o := &rpc.Options{Schema: schema}
	raw, err := rpc.CreateWorker("s", o)
	ipctest.NoErr(t, err)
	ctx, cancel = context.WithCancel(bg)
	go func() {
		done <- raw.Serve(ctx, rpc.Func(func(_ context.Context, b []byte) ([]byte, error) { return b, nil }))
	}()
	typed, err := rpc.OpenClientOf[question, answer]("s", nil)
	ipctest.NoErr(t, err)
	var a answer
	ipctest.NoErr(t, typed.Call(bg, &question{6, 7}, &a))
	if a != (answer{6, 7}) {
		t.Errorf("%+v", a)
	}
	// Size counts the schema.
	size, err := o.Size()
	ipctest.NoErr(t, err)
	i, err := samepage.Stat("s", &samepage.Options{Kind: samepage.KindService})
	ipctest.NoErr(t, err)
	if i.Size != size {
		t.Errorf("the service has %d bytes, and Size is %d", i.Size, size)
	}
	if n, err := o.InUse(1); err != nil || n > size {
		t.Errorf("InUse is %d, %v", n, err)
	}
	cancel()
	<-done
	ipctest.NoErr(t, errors.Join(typed.Close(), raw.Close()))
}

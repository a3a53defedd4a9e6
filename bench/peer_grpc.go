package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
)

// gRPC over a Unix socket, with bytes as messages, so that no encoding is measured. A message
// is a unary call, and a stream is a client stream. One way is half of a call.
var grpcGo = &peer{
	name: "gRPC-go, sleeping", prepare: onLinux,
	subjects: append(goExchanges("grpc", false), wholes("grpc", false)...),
}

// rawBytes is the codec.
type rawBytes struct{}

func (rawBytes) Name() string { return "raw" }

func (rawBytes) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("a %T is no message", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(*b)}, nil
}

// Unmarshal copies the bytes into a slice that is used again.
func (rawBytes) Unmarshal(data mem.BufferSlice, v any) error {
	b, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("a %T is no message", v)
	}
	if n := data.Len(); cap(*b) < n {
		*b = make([]byte, n)
	} else {
		*b = (*b)[:n]
	}
	data.CopyTo(*b)
	return nil
}

// echo answers what it is asked, and receives what it is sent.
type echo struct {
	o        order
	message  []byte
	calls    int
	received chan sample
	failed   chan error
}

func (e *echo) answer(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	err := decode(&e.message)
	if err == nil && e.o.Whole {
		e.calls++
		err = check(e.message, e.calls)
		fill(e.message, e.calls)
	}
	return &e.message, err
}

func (e *echo) receive(_ any, s grpc.ServerStream) error {
	got, err := arrivals(e.o, func() error {
		err := s.RecvMsg(&e.message)
		use(readLines(e.message))
		return err
	})
	if err != nil {
		e.failed <- err
		return err
	}
	e.received <- got
	return s.SendMsg(&e.message)
}

// playServer serves until the other process has ended its work.
func playServer(w wire, o order, ready func() error, e *echo) (s sample, err error) {
	l, err := w.listen(o)
	if err != nil {
		return s, err
	}
	server := grpc.NewServer(grpc.ForceServerCodecV2(rawBytes{}), grpc.MaxRecvMsgSize(64<<20))
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: "bench.Echo",
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Answer", Handler: e.answer}, {
			MethodName: "Stop", Handler: func(any, context.Context, func(any) error, grpc.UnaryServerInterceptor) (any, error) {
				go server.GracefulStop()
				return &[]byte{}, nil
			},
		}},
		Streams: []grpc.StreamDesc{{StreamName: "Receive", Handler: e.receive, ClientStreams: true}},
	}, e)
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	if err := ready(); err != nil {
		return s, errors.Join(err, l.Close())
	}
	if err := <-served; err != nil {
		return s, err
	}
	select {
	case s = <-e.received:
	case err = <-e.failed:
	default:
	}
	return s, err
}

// playClient calls f, and stops the server.
func playClient(w wire, o order, ready func() error, f func(ctx context.Context, c *grpc.ClientConn) (sample, error)) (s sample, err error) {
	c, err := grpc.NewClient("passthrough:///"+o.Name,
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return w.dial(ctx, o) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawBytes{}), grpc.MaxCallRecvMsgSize(64<<20)))
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := ready(); err != nil {
		return s, err
	}
	ctx := context.Background()
	if s, err = f(ctx, c); err != nil {
		return s, err
	}
	var none []byte
	return s, c.Invoke(ctx, "/bench.Echo/Stop", &none, &none)
}

func newEcho(o order) *echo {
	return &echo{o: o, received: make(chan sample, 1), failed: make(chan error, 1)}
}

func playGRPC(w wire) role {
	return func(o order, ready func() error) (sample, error) { return w.grpc(o, ready) }
}

func (w wire) grpc(o order, ready func() error) (sample, error) {
	if o.First {
		return playServer(w, o, ready, newEcho(o))
	}
	return playClient(w, o, ready, func(ctx context.Context, c *grpc.ClientConn) (sample, error) {
		there, back := make([]byte, o.Size), make([]byte, o.Size)
		calls := 0
		return trips(o, func() error {
			if calls++; o.Whole {
				fill(there, calls)
			}
			if err := c.Invoke(ctx, "/bench.Echo/Answer", &there, &back); err != nil || !o.Whole {
				return err
			}
			return check(back, calls)
		})
	})
}

func playGRPCStream(o order, ready func() error) (sample, error) {
	if o.First {
		return playServer(unixWire, o, ready, newEcho(o))
	}
	return playClient(unixWire, o, ready, func(ctx context.Context, c *grpc.ClientConn) (sample, error) {
		s, err := c.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true}, "/bench.Echo/Receive")
		if err != nil {
			return sample{}, err
		}
		for n := range arriving(o) {
			// A fresh one each time: it belongs to gRPC once it is sent.
			message := make([]byte, o.Size)
			fill(message, n)
			if err := s.SendMsg(&message); err != nil && !errors.Is(err, io.EOF) { // EOF: RecvMsg says why
				return sample{}, err
			}
		}
		if err := s.CloseSend(); err != nil {
			return sample{}, err
		}
		var answer []byte
		return sample{}, s.RecvMsg(&answer)
	})
}

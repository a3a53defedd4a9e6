// Grpc is a gRPC server and its client in two processes. Both are of grpc-go, without a change.
// Only two lines differ from those over a socket: the listener and the dialer. The service is the
// health service that comes with grpc-go: a unary call (Check), and a stream of answers (Watch).
//
//	go run ./examples/grpc
//
// It ends by itself, or with Ctrl-C.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	pb "google.golang.org/grpc/health/grpc_health_v1"

	"samepage/stream"
)

func main() {
	run := client
	if len(os.Args) == 2 { // started by the client
		run = func() error { return server(os.Args[1]) }
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func server(name string) error {
	l, err := stream.Listen(name, nil) // instead of net.Listen
	if err != nil {
		return err
	}
	s, h := grpc.NewServer(), health.NewServer()
	pb.RegisterHealthServer(s, h)
	h.SetServingStatus("camera", pb.HealthCheckResponse_SERVING)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	context.AfterFunc(ctx, s.Stop)
	go func() { // a line is a change of the status; the pipe ends with the client, also if it is killed
		b := make([]byte, 1)
		for _, err := os.Stdin.Read(b); err == nil; _, err = os.Stdin.Read(b) {
			h.SetServingStatus("camera", pb.HealthCheckResponse_NOT_SERVING)
		}
		s.Stop()
	}()
	fmt.Println("server: ready")
	return s.Serve(l)
}

func client() (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	name := fmt.Sprintf("grpc-%d", os.Getpid())
	in, wait, err := start(name)
	if err != nil {
		return err
	}
	defer func() {
		if ctx.Err() != nil {
			err = nil
		}
		err = errors.Join(err, in.Close(), wait())
	}()
	c, err := grpc.NewClient("passthrough:///"+name, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, name string) (net.Conn, error) {
			return stream.Dial(ctx, name, nil) // instead of a net.Dialer
		}))
	if err != nil {
		return err
	}
	defer c.Close()
	camera, req := pb.NewHealthClient(c), &pb.HealthCheckRequest{Service: "camera"}
	r, err := camera.Check(ctx, req)
	if err != nil {
		return err
	}
	fmt.Println("client: check:", r.GetStatus())
	updates, err := camera.Watch(ctx, req)
	for n := 0; n < 2 && err == nil; n++ {
		if r, err = updates.Recv(); err == nil {
			fmt.Println("client: watch:", r.GetStatus())
			_, err = io.WriteString(in, "\n")
		}
	}
	return err
}

// start starts this program as the server, and waits until it is ready. It ends when in is closed.
func start(name string) (in io.WriteCloser, wait func() error, err error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(exe, name)
	cmd.Stderr = os.Stderr
	if in, err = cmd.StdinPipe(); err != nil {
		return nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	line := make([]byte, len("server: ready\n"))
	if _, err := io.ReadFull(out, line); err != nil {
		return nil, nil, errors.Join(err, in.Close(), cmd.Wait())
	}
	fmt.Print(string(line))
	return in, cmd.Wait, nil
}

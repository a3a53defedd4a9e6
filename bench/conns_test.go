package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/nettest"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"samepage/internal/ipctest"
	"samepage/stream"
)

// A connection of package stream is a net.Conn. SAMEPAGE_ROUNDS says how often the tests run.
func TestConn(t *testing.T) {
	ipctest.NeedNames(t)
	ipctest.Store(t)
	for range ipctest.Repeat(t, 3, 1, "SAMEPAGE_ROUNDS") {
		nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
			l, err := stream.Listen("s", nil)
			if err != nil {
				return nil, nil, nil, err
			}
			if c1, err = stream.Dial(context.Background(), "s", nil); err == nil {
				c2, err = l.Accept()
			}
			return c1, c2, func() {
				if c1 != nil {
					_ = c1.Close()
				}
				if c2 != nil {
					_ = c2.Close()
				}
				_ = l.Close()
			}, err
		})
	}
}

// connsEnv has what a child serves: "http" or "grpc", the network and the address.
const connsEnv = "SAMEPAGE_TEST_CONNS"

func init() {
	f := strings.SplitN(os.Getenv(connsEnv), " ", 3)
	if len(f) < 3 {
		return
	}
	l, err := listenConns(f[1], f[2])
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	go func() { _, _ = io.Copy(io.Discard, os.Stdin); os.Exit(0) }() // with the test
	if f[0] == "http" {
		err = http.Serve(l, http.HandlerFunc(giveBytes))
	} else {
		err = echoServer().Serve(l)
	}
	fmt.Println(err)
	os.Exit(1)
}

func listenConns(network, at string) (net.Listener, error) {
	if network == "stream" {
		return stream.Listen(at, nil)
	}
	return net.Listen(network, at)
}

func dialConns(ctx context.Context, network, at string) (net.Conn, error) {
	if network == "stream" {
		return stream.Dial(ctx, at, nil)
	}
	var d net.Dialer
	return d.DialContext(ctx, network, at)
}

var zeros = make([]byte, 1<<20)

// giveBytes answers a GET with n bytes, and a POST with the number of bytes that came.
func giveBytes(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
		return
	}
	n, _ := strconv.Atoi(r.URL.Query().Get("n"))
	w.Header().Set("Content-Length", strconv.Itoa(n))
	for n > 0 {
		k, err := w.Write(zeros[:min(n, len(zeros))])
		if err != nil {
			return
		}
		n -= k
	}
}

// echoServer answers each request with itself; Stream gives back each message.
func echoServer() *grpc.Server {
	s := grpc.NewServer(grpc.ForceServerCodecV2(rawBytes{}), grpc.MaxRecvMsgSize(128<<20), grpc.MaxSendMsgSize(128<<20))
	s.RegisterService(&grpc.ServiceDesc{
		ServiceName: "conns.Echo", HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{{MethodName: "Echo", Handler: func(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var b []byte
			err := decode(&b)
			return &b, err
		}}},
		Streams: []grpc.StreamDesc{{StreamName: "Stream", ClientStreams: true, ServerStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
			for {
				var b []byte
				if err := s.RecvMsg(&b); err != nil {
					if errors.Is(err, io.EOF) {
						return nil
					}
					return err
				}
				if err := s.SendMsg(&b); err != nil {
					return err
				}
			}
		}}},
	}, nil)
	return s
}

// connsChild starts a server, and returns its address.
func connsChild(t testing.TB, what, network string) string {
	t.Helper()
	ipctest.NeedNames(t)
	at := filepath.Join(ipctest.Store(t), "s")
	if network == "stream" {
		at = "s"
	}
	cmd, err := ipctest.Self()
	ipctest.NoErr(t, err)
	cmd.Env = append(os.Environ(), connsEnv+"="+what+" "+network+" "+at)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	ipctest.NoErr(t, err)
	out, err := cmd.StdoutPipe()
	ipctest.NoErr(t, err)
	ipctest.NoErr(t, cmd.Start())
	t.Cleanup(func() { _, _ = in.Close(), cmd.Wait() })
	if l, err := bufio.NewReader(out).ReadString('\n'); l != "ready\n" {
		t.Fatal(l, err)
	}
	return at
}

func httpClient(network, at string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DialContext:    func(ctx context.Context, _, _ string) (net.Conn, error) { return dialConns(ctx, network, at) },
		ReadBufferSize: 64 << 10, WriteBufferSize: 64 << 10,
	}}
}

func get(c *http.Client, n int) error {
	r, err := c.Get("http://s/?n=" + strconv.Itoa(n))
	if err != nil {
		return err
	}
	defer r.Body.Close()
	got, err := io.Copy(io.Discard, r.Body)
	if err == nil && got != int64(n) {
		err = fmt.Errorf("got %d bytes, want %d", got, n)
	}
	return err
}

func grpcClient(t testing.TB, network, at string) *grpc.ClientConn {
	t.Helper()
	c, err := grpc.NewClient("passthrough:///s",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return dialConns(ctx, network, at) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawBytes{}), grpc.MaxCallRecvMsgSize(128<<20), grpc.MaxCallSendMsgSize(128<<20)))
	ipctest.NoErr(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// net/http runs over a connection unchanged, also with bodies of 100 MB.
func TestHTTP(t *testing.T) {
	c := httpClient("stream", connsChild(t, "http", "stream"))
	defer c.CloseIdleConnections()
	for _, n := range []int{0, 1, 5000, 100 << 20} {
		ipctest.NoErr(t, get(c, n))
	}
	r, err := c.Post("http://s/", "", bytes.NewReader(make([]byte, 100<<20)))
	ipctest.NoErr(t, err)
	b, err := io.ReadAll(r.Body)
	ipctest.NoErr(t, errors.Join(err, r.Body.Close()))
	if string(b) != "104857600 <nil>" {
		t.Errorf("the server says %q", b)
	}
}

// grpc-go runs over a connection unchanged, also with streams and messages of 100 MB.
func TestGRPC(t *testing.T) {
	c := grpcClient(t, "stream", connsChild(t, "grpc", "stream"))
	for _, n := range []int{0, 1, 5000, 100 << 20} {
		in := bytes.Repeat([]byte{7}, n)
		var out []byte
		ipctest.NoErr(t, c.Invoke(t.Context(), "/conns.Echo/Echo", &in, &out))
		if !bytes.Equal(in, out) {
			t.Errorf("%d bytes come back as %d others", n, len(out))
		}
	}
	s, err := c.NewStream(t.Context(), &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, "/conns.Echo/Stream")
	ipctest.NoErr(t, err)
	for i := range 1000 {
		in, out := bytes.Repeat([]byte{byte(i)}, i*10), []byte(nil)
		ipctest.NoErr(t, s.SendMsg(&in))
		ipctest.NoErr(t, s.RecvMsg(&out))
		if !bytes.Equal(in, out) {
			t.Fatalf("message %d comes back changed", i)
		}
	}
	ipctest.NoErr(t, s.CloseSend())
}

func BenchmarkConns(b *testing.B) {
	for _, n := range []int{64, 1024, 64 << 10, 1 << 20} {
		for _, network := range []string{"stream", "unix"} {
			b.Run(fmt.Sprintf("grpc/%d/%s", n, network), func(b *testing.B) {
				c := grpcClient(b, network, connsChild(b, "grpc", network))
				in, out := make([]byte, n), []byte(nil)
				for b.Loop() {
					ipctest.NoErr(b, c.Invoke(b.Context(), "/conns.Echo/Echo", &in, &out))
				}
			})
		}
	}
	for _, network := range []string{"stream", "unix"} {
		b.Run("http/1048576/"+network, func(b *testing.B) {
			c := httpClient(network, connsChild(b, "http", network))
			defer c.CloseIdleConnections()
			for b.Loop() {
				ipctest.NoErr(b, get(c, 1<<20))
			}
		})
	}
}

//go:build linux && (amd64 || arm64)

package main

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/cloudwego/shmipc-go"
)

// shmipc-go passes messages in shared memory, and wakes the reader over a socket. Messages are
// reserved in place and read in place.
var shmipcGo = &peer{name: "shmipc-go, sleeping", prepare: onLinux, subjects: goExchanges("shmipc", false)}

// window is how many messages of a stream may be unread. If a writer gets further ahead, it
// finds no room in the memory, and then uses the socket for ever.
func window(o order) int { return max(4, min(8192, 16<<20/o.Size)) }

func shmipcConfig(o order) *shmipc.Config {
	c := shmipc.DefaultConfig()
	c.MemMapType = shmipc.MemMapTypeMemFd
	c.InitializeTimeout = 30 * time.Second // a second is too short on a busy machine
	c.QueueCap = 65536
	// Twice the window: buffers take turns, and if there are more, they are no longer in the cache.
	c.ShareMemoryBufferCap = uint32(max(32<<20, 2*window(o)*(o.Size+256)*10/8))
	c.BufferSliceSizes = []*shmipc.SizePercentPair{
		{Size: uint32(o.Size) + 256, Percent: 80}, {Size: 16 << 10, Percent: 10}, {Size: 64 << 10, Percent: 10},
	}
	c.ShareMemoryPathPrefix = filepath.Join(o.Dir, o.Name)
	c.QueuePath = c.ShareMemoryPathPrefix + ".queue"
	return c
}

// openShmipc joins the two processes of a pair; the first one is the server.
func openShmipc(o order, ready func() error) (*shmipc.Stream, func() error, error) {
	shmipc.SetLogLevel(5) // it says nothing
	path := filepath.Join(o.Dir, o.Name+".sock")
	if o.First {
		l, err := net.Listen("unix", path)
		if err != nil {
			return nil, nil, err
		}
		defer l.Close()
		if err := ready(); err != nil {
			return nil, nil, err
		}
		c, err := l.Accept()
		if err != nil {
			return nil, nil, err
		}
		session, err := shmipc.Server(c, shmipcConfig(o))
		if err != nil {
			return nil, nil, errors.Join(err, c.Close())
		}
		s, err := session.AcceptStream()
		return s, session.Close, err
	}
	// The server answers after it has been told to begin.
	if err := ready(); err != nil {
		return nil, nil, err
	}
	conf := shmipc.DefaultSessionManagerConfig()
	conf.Config = shmipcConfig(o)
	conf.Network, conf.Address = "unix", path
	m, err := shmipc.NewSessionManager(conf)
	if err != nil {
		return nil, nil, err
	}
	s, err := m.GetStream()
	return s, m.Close, err
}

// put sends one message. If whole is set, it writes all of it.
func put(s *shmipc.Stream, o order, n int, whole bool) error {
	message, err := s.BufferWriter().Reserve(o.Size)
	if err != nil {
		return err
	}
	if whole {
		fill(message, n)
	} else {
		message[0] = byte(n)
	}
	return s.Flush(false)
}

// take receives one message, and releases it.
func take(s *shmipc.Stream, o order, whole bool) error {
	message, err := s.BufferReader().ReadBytes(o.Size)
	if err != nil {
		return err
	}
	if whole {
		use(readLines(message))
	}
	s.BufferReader().ReleasePreviousRead()
	return nil
}

func playShmipc(o order, ready func() error) (got sample, err error) {
	s, done, err := openShmipc(o, ready)
	if err != nil {
		return got, err
	}
	// The client has the clock, and sends first. The server waits for a message that says that
	// all is done.
	defer func() { err = errors.Join(err, done()) }()
	if !o.First {
		if got, err = trips(o, func() error { return errors.Join(put(s, o, 1, false), take(s, o, false)) }); err != nil {
			return got, err
		}
		return got, errors.Join(put(s, o, 1, false), take(s, o, false))
	}
	if _, err = trips(o, func() error { return errors.Join(take(s, o, false), put(s, o, 1, false)) }); err != nil {
		return sample{}, err
	}
	if err := errors.Join(take(s, o, false), put(s, o, 1, false)); err != nil {
		return sample{}, err
	}
	// The client closes once it has the answer.
	if _, err := s.BufferReader().ReadBytes(1); err == nil {
		return sample{}, fmt.Errorf("a message too many")
	}
	return sample{}, nil
}

// playShmipcStream sends from the client to the server, which acknowledges each half of a
// window.
func playShmipcStream(o order, ready func() error) (got sample, err error) {
	s, done, err := openShmipc(o, ready)
	if err != nil {
		return got, err
	}
	defer func() { err = errors.Join(err, done()) }()
	half, ack := window(o)/2, order{Size: 8}
	if !o.First {
		for n := range arriving(o) {
			if n >= 2*half && n%half == 0 {
				if err := take(s, ack, false); err != nil {
					return got, err
				}
			}
			if err := put(s, o, n, true); err != nil {
				return got, err
			}
		}
		// The rest of the acknowledgements: then all messages have been read.
		for range arriving(o)/half - max(0, (arriving(o)-1)/half-1) + 1 {
			if err := take(s, ack, false); err != nil {
				return got, err
			}
		}
		return got, nil
	}
	n := 0
	if got, err = arrivals(o, func() error {
		if err := take(s, o, true); err != nil {
			return err
		}
		if n++; n%half == 0 {
			return put(s, ack, 1, false)
		}
		return nil
	}); err != nil {
		return got, err
	}
	if err := put(s, ack, 1, false); err != nil {
		return got, err
	}
	if _, err := s.BufferReader().ReadBytes(1); err == nil {
		return got, fmt.Errorf("a message too many")
	}
	return got, nil
}

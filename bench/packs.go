package main

import (
	"context"
	"errors"
	"time"

	"samepage/pubsub"
)

// The roles of topics with packs.

// packsFor is the number of packs that takes all messages of a stream, and the messages in them. It
// is one more than it must be, so that the time begins before the last pack.
func packsFor(o order, size int) (packs, messages int) {
	packs = (arriving(o)+size-1)/size + 1
	return packs, packs * size
}

// packOptions makes a topic in which a subscriber may be so many messages behind, in whole packs.
// This matters much: a ring of 4096 in C is several times as fast as one of 1024, if the CPUs are
// far from each other. So a topic must be as deep as the ring that it is compared with.
func packOptions(o order, size, depth int) *pubsub.Options {
	return &pubsub.Options{MaxSize: o.Size, Pack: o.Size * size, Depth: depth / size, Members: 2}
}

// streamPacks passes packs of so many messages from the second process to the first. The messages
// are written in place, and a pack is taken as one.
func streamPacks(size, depth int) role {
	return func(o order, ready func() error) (sample, error) {
		ctx := context.Background()
		packs, messages := packsFor(o, size)
		if !o.First {
			p, err := streamPublisher(o, ready, packOptions(o, size, depth))
			if err != nil {
				return sample{}, err
			}
			defer p.Close()
			for n := range packs {
				b, err := p.LoanBatch(size, o.Size)
				if err != nil {
					return sample{}, err
				}
				for i := range size {
					writeMessage(b.Bytes(i), n*size+i)
				}
				if err := b.Publish(ctx); err != nil {
					return sample{}, err
				}
			}
			return sample{}, nil
		}
		s, err := streamSubscriber(o, ready)
		if err != nil {
			return sample{}, err
		}
		defer s.Close()
		var sum byte
		return packArrivals(o, messages, func() (int, error) {
			p, ok, err := s.TryTakeAll()
			if !ok && err == nil {
				p, err = s.TakeAll(ctx)
			}
			if err != nil {
				return 0, err
			}
			n := p.Len()
			for i := range n {
				sum += readLines(p.Bytes(i))
			}
			return n, nil
		})
	}
}

// streamSendAll passes packs of so many messages from the second process to the first. The
// messages are copied by SendAll, and taken one by one.
func streamSendAll(size int) role {
	return func(o order, ready func() error) (sample, error) {
		packs, messages := packsFor(o, size)
		if o.First {
			return takeStream(o, ready, messages)
		}
		p, err := streamPublisher(o, ready, packOptions(o, size, streamDepth))
		if err != nil {
			return sample{}, err
		}
		defer p.Close()
		buf := make([]byte, size*o.Size)
		all := make([][]byte, size)
		for i := range all {
			all[i] = buf[i*o.Size : (i+1)*o.Size]
		}
		for n := range packs {
			for i, b := range all {
				writeMessage(b, n*size+i)
			}
			if _, err := p.SendAll(context.Background(), all); err != nil {
				return sample{}, err
			}
		}
		return sample{}, nil
	}
}

// packArrivals is arrivals for a function that receives several messages at once, and returns how
// many. The other process sends so many messages in all.
func packArrivals(o order, messages int, receive func() (int, error)) (sample, error) {
	var begun time.Time
	warm, n, first := arriving(o)-o.Count, 0, 0
	for n < messages {
		if begun.IsZero() && n >= warm {
			begun, first = time.Now(), n
		}
		k, err := receive()
		if err != nil {
			return sample{}, err
		}
		n += k
	}
	if begun.IsZero() {
		return sample{}, errors.New("all messages came before the time began")
	}
	return sample{Mean: each(time.Since(begun), messages-first)}, nil
}

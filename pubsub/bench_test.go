package pubsub_test

import (
	"fmt"
	"testing"

	"samepage/internal/ipctest"
	"samepage/pubsub"
)

// These benchmarks measure one side alone. Module bench measures messages between two processes.

func BenchmarkSend(b *testing.B) {
	ipctest.Store(b)
	p := newPub(b, "t", &pubsub.Options{MaxSize: 64, Depth: 1024})
	buf := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		_ = p.Send(bg, buf)
	}
}

func BenchmarkLoanPublish(b *testing.B) {
	ipctest.Store(b)
	p := newPub(b, "t", &pubsub.Options{MaxSize: 64, Depth: 1024})
	b.ReportAllocs()
	for b.Loop() {
		l, _ := p.Loan(64)
		l.Bytes()[0]++
		_ = l.Publish(bg)
	}
}

func BenchmarkSendAll(b *testing.B) {
	ipctest.Store(b)
	for _, n := range []int{1, 16, 64} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			p := newPub(b, fmt.Sprint("t", n), &pubsub.Options{MaxSize: 64, Depth: 1024})
			var all [][]byte
			for range n {
				all = append(all, make([]byte, 64))
			}
			b.ReportAllocs()
			for b.Loop() {
				_, _ = p.SendAll(bg, all)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/message")
		})
	}
}

func BenchmarkTake(b *testing.B) {
	ipctest.Store(b)
	for _, bestEffort := range []bool{false, true} {
		b.Run(fmt.Sprint("best-effort=", bestEffort), func(b *testing.B) {
			const depth = 1000
			p := newPub(b, fmt.Sprint("t", bestEffort), &pubsub.Options{MaxSize: 64, Depth: depth})
			s := newSub(b, fmt.Sprint("t", bestEffort), &pubsub.SubscriberOptions{BestEffort: bestEffort})
			buf := make([]byte, 64)
			b.ReportAllocs()
			left, sum := 0, 0
			for range b.N {
				if left == 0 {
					b.StopTimer()
					for range depth {
						_ = p.Send(bg, buf)
					}
					left = depth
					b.StartTimer()
				}
				m, _, _ := s.TryTake()
				sum += int(m.Bytes()[0])
				left--
			}
		})
	}
}

// BenchmarkPacks has both sides in one goroutine: each operation is one pack of 16 or 64 messages.
func BenchmarkPacks(b *testing.B) {
	ipctest.Store(b)
	for _, n := range []int{16, 64} {
		run := func(name string, publish func(p *pubsub.Publisher), take func(s *pubsub.Subscriber)) {
			name = fmt.Sprint(name, n)
			b.Run(name, func(b *testing.B) {
				p := newPub(b, name, &pubsub.Options{MaxSize: 64, Pack: n * 64, Depth: 16})
				s := newSub(b, name, nil)
				b.ReportAllocs()
				for b.Loop() {
					publish(p)
					take(s)
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/message")
			})
		}
		loanBatch := func(p *pubsub.Publisher) {
			batch, _ := p.LoanBatch(n, 64)
			for i := range n {
				batch.Bytes(i)[0]++
			}
			_ = batch.Publish(bg)
		}
		all := make([][]byte, n)
		for i := range all {
			all[i] = make([]byte, 64)
		}
		sum := byte(0)
		run("loan-take-", loanBatch, func(s *pubsub.Subscriber) {
			for range n {
				m, _, _ := s.TryTake()
				sum += m.Bytes()[0]
			}
		})
		run("loan-all-", loanBatch, func(s *pubsub.Subscriber) {
			pack, _, _ := s.TryTakeAll()
			for i := range pack.Len() {
				sum += pack.Bytes(i)[0]
			}
		})
		run("loan-iter-", loanBatch, func(s *pubsub.Subscriber) {
			pack, _, _ := s.TryTakeAll()
			for _, m := range pack.All() {
				sum += m[0]
			}
		})
		run("send-all-", func(p *pubsub.Publisher) { _, _ = p.SendAll(bg, all) }, func(s *pubsub.Subscriber) {
			pack, _, _ := s.TryTakeAll()
			for i := range pack.Len() {
				sum += pack.Bytes(i)[0]
			}
		})
	}
}

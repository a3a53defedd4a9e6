package main

import (
	"context"
	"fmt"
	"math"
	"runtime"
)

// measurer measures one block that lasts so many seconds.
type measurer interface {
	measure(ctx context.Context, b *bench, seconds float64) (sample, error)
	String() string
}

// group is measured against one limit, in the same rounds: subjects of this module, peers that
// do the same, and C programs that show what a part of it costs.
type group struct {
	name   string
	about  string // what one operation is
	limit  measurer
	unit   unit
	size   int     // of a message
	length float64 // of a measurement, as a multiple of what was asked for; 0: 1
	rounds int     // at the most; 0: as many as asked for
	oneCPU bool    // the distance of the CPUs does not matter
	// tolerance is how much two limits may differ; 0: disagreement.
	tolerance float64
	mark      mark   // of the JSON file; "": ofBench
	system    string // the only one on which it is measured, as a GOOS; "": each
}

// groupInfo is what a report says about a group.
type groupInfo struct {
	Name  string `json:"name"`
	About string `json:"about"`
	Limit string `json:"limit"`
	Unit  unit   `json:"unit"`
	Size  int    `json:"size,omitempty"`
	Mark  mark   `json:"mark,omitempty"`
}

func (g *group) info() groupInfo {
	return groupInfo{g.name, g.about, g.limit.String(), g.unit, g.size, g.mark}
}

// unit is how a sample is shown.
type unit string

const (
	perOp   unit = "ns"    // nanoseconds
	perSec  unit = "msg/s" // messages a second; the ratio is of rates, and large is good
	volume  unit = "B/s"   // the same in bytes
	percent unit = "%"     // of a CPU
)

func (u unit) rate() bool { return u == perSec || u == volume }

// subject is something that is measured.
type subject struct {
	*group
	name string
	measurer
	goal goal
	peer *peer // whose it is; nil: this module's, or a C program
	ofC  bool  // one of the folder limits, for comparison
}

// id is what -run matches.
func (s subject) id() string { return s.group.name + "/" + s.name }

// here says whether the subject can be measured on this system.
func (s subject) here() bool { return s.system == "" || s.system == runtime.GOOS }

// needsC says whether a C program has a part in the measurement.
func (s subject) needsC() bool {
	_, limit := s.limit.(program)
	return limit || s.ofC || !s.oneCPU
}

// The limits.
var (
	spin          = cProgram("spinpingpong")
	futexPingPong = cProgram("futexpingpong")
	robustMutex   = cProgram("robustmutex")
	robustBaton   = cProgram("mutexhandover", "-baton", "1")
	idleLoop      = cProgram("idle")
)

const (
	toAndFro = "to and fro, the time of one way, first line touched"
	oneWay   = "one way, each written whole and read"
	newValue = "a new value, read and copied"
	whole    = "loaned, written, published, taken and read by one process"
)

// The groups, in the order in which they are measured and drawn.
var (
	mutexAlone  = &group{name: "mutex, uncontended", about: "lock and unlock", limit: robustMutex, unit: perOp, oneCPU: true}
	rlockAlone  = &group{name: "read lock, uncontended", about: "lock and unlock", limit: alone("mutex"), unit: perOp, oneCPU: true}
	readers     = &group{name: "read lock, CPU time", about: "lock and unlock", limit: crowd{"reader", 1}, unit: perOp}
	handoverHot = &group{name: "handover, polled", about: "one way", limit: spin, unit: perOp}
	handover    = &group{name: "handover, asleep", about: "one way", limit: futexPingPong, unit: perOp}
	handoverToC = &group{name: "handover, asleep, pthread", about: "one way", limit: robustBaton, unit: perOp}
	idle        = &group{name: "idle waiters", about: "share of a CPU", limit: idleLoop, unit: percent, length: 50, rounds: 3, oneCPU: true, tolerance: 2}
	message64   = &group{name: "message, 64 B", about: toAndFro, limit: spin, unit: perOp, size: 64}
	message1M   = &group{name: "message, 1 MiB", about: toAndFro, limit: spin, unit: perOp, size: 1 << 20}
	message8M   = &group{name: "message, 8 MiB", about: toAndFro, limit: spin, unit: perOp, size: 8 << 20}
	asleep64    = &group{name: "message, 64 B, asleep", about: toAndFro, limit: futexPingPong, unit: perOp, size: 64}
	asleep1M    = &group{name: "message, 1 MiB, asleep", about: toAndFro, limit: futexPingPong, unit: perOp, size: 1 << 20}
	stream64    = &group{name: "stream, 64 B", about: oneWay, limit: cProgram("stream"), unit: perSec, size: 64}
	stream1M    = &group{name: "stream, 1 MiB", about: oneWay, limit: cProgram("stream", "-size", "1048576"), unit: volume, size: 1 << 20}
	cellIdle    = &group{name: "cell, 64 B, idle", about: "a read", limit: cProgram("copyout"), unit: perOp, size: 64, oneCPU: true}
	cell64      = &group{name: "cell, 64 B, under a writer", about: newValue, limit: cProgram("copyout", "-writer", "1"), unit: perOp, size: 64}
	cell1K      = &group{name: "cell, 1 KiB, under a writer", about: newValue, limit: cProgram("copyout", "-writer", "1", "-size", "1024"), unit: perOp, size: 1 << 10, tolerance: 1.5}
	publish     = &group{name: "publish, CPU time", about: "a publish, nobody asleep", limit: publishCost(1), unit: perOp, length: 3}
	first1M     = &group{name: "first message of a topic of 64 MiB, 1 MiB", about: whole, limit: newTopic{1 << 20, hundredth}, unit: perOp, size: 1 << 20, oneCPU: true, tolerance: 1.5}
	first64     = &group{name: "first message of a topic of 64 MiB, 64 B", about: whole, limit: newTopic{64, hundredth}, unit: perOp, size: 64, oneCPU: true, tolerance: 1.5}
	grpc64      = &group{name: "gRPC, 64 B", about: unary, limit: grpcUnix(64), unit: perOp, size: 64, tolerance: 1.5}
	grpc1K      = &group{name: "gRPC, 1 KiB", about: unary, limit: grpcUnix(1 << 10), unit: perOp, size: 1 << 10, tolerance: 1.5}
	grpc64K     = &group{name: "gRPC, 64 KiB", about: unary, limit: grpcUnix(64 << 10), unit: perOp, size: 64 << 10, tolerance: 1.5}
	grpc1M      = &group{name: "gRPC, 1 MiB", about: unary, limit: grpcUnix(1 << 20), unit: perOp, size: 1 << 20, tolerance: 1.5}
	http1M      = &group{name: "HTTP GET, 1 MiB", about: "half of a GET", limit: pair{role: "http", size: 1 << 20}, unit: perOp, size: 1 << 20, tolerance: 1.5}
	writes1M    = &group{name: "stream of writes, 1 MiB", about: oneWay, limit: pair{role: "socket stream", size: 1 << 20}, unit: volume, size: 1 << 20, tolerance: 1.5}
	groups      = []*group{
		mutexAlone, rlockAlone, readers, handoverHot, handover, handoverToC, idle,
		message64, message1M, message8M, asleep64, asleep1M, stream64, stream1M, publish, first64, first1M, cellIdle, cell64, cell1K,
		grpc64, grpc1K, grpc64K, grpc1M, http1M, writes1M,
		choose64, choose64K, choose3M, wine64, wine64K, wine3M,
	}
)

// ours are the subjects of this module. A new subject needs a line here, and a role, the program
// that its processes run, in roles. A role is a function that prepares, calls ready, measures
// (trips, arrivals, repeat), and cleans up. Its limit is that of its group: a program of the
// folder limits, or another role.
var ours = append([]subject{
	{group: mutexAlone, name: "mutex", measurer: alone("mutex"), goal: atMost(1.2)},
	{group: rlockAlone, name: "read lock", measurer: alone("rlock"), goal: atMost(1.5)},
	{group: readers, name: "4 processes", measurer: crowd{"reader", 4}},
	{group: handoverHot, name: "mutex", measurer: pair{role: "baton", bind: late}},
	{group: handoverHot, name: "event", measurer: pair{role: "events", bind: late}},
	{group: handover, name: "mutex", measurer: pair{role: "baton", bind: early}, goal: atMost(1.2)},
	{group: handover, name: "mutex, GOMAXPROCS 1", measurer: pair{role: "baton", bind: early, procs: 1}},
	{group: handover, name: "event", measurer: pair{role: "events", bind: early}},
	{group: handoverToC, name: "mutex", measurer: pair{role: "baton", bind: early}},
	{group: idle, name: "every kind", measurer: alone("idle"), goal: noMoreThan(1)},
	{group: message64, name: "topic", measurer: pair{role: "topic", size: 64, bind: late}, goal: atMost(1.15)},
	{group: message64, name: "topic, best effort", measurer: pair{role: "topic, best effort", size: 64, bind: late}, goal: atMost(1.3)},
	{group: message64, name: "service", measurer: pair{role: "calls", size: 64, bind: late}, goal: atMost(2)},
	{group: message1M, name: "topic", measurer: pair{role: "topic", size: 1 << 20, bind: late}, goal: atMost(1.25)},
	{group: message1M, name: "topic, best effort", measurer: pair{role: "topic, best effort", size: 1 << 20, bind: late}, goal: atMost(1.3)},
	{group: message1M, name: "service", measurer: pair{role: "calls", size: 1 << 20, bind: late}, goal: atMost(2)},
	{group: message8M, name: "topic", measurer: pair{role: "topic", size: 8 << 20, bind: late}, goal: atMost(1.4)},
	{group: message8M, name: "service", measurer: pair{role: "calls", size: 8 << 20, bind: late}, goal: atMost(2)},
	{group: asleep64, name: "topic", measurer: pair{role: "topic", size: 64, bind: early}, goal: atMost(1.2)},
	{group: asleep64, name: "topic, GOMAXPROCS 1", measurer: pair{role: "topic", size: 64, bind: early, procs: 1}},
	{group: asleep64, name: "service", measurer: pair{role: "calls", size: 64, bind: early}, goal: atMost(1.2)},
	{group: asleep64, name: "service, GOMAXPROCS 1", measurer: pair{role: "calls", size: 64, bind: early, procs: 1}},
	{group: asleep1M, name: "topic", measurer: pair{role: "topic", size: 1 << 20, bind: early}, goal: atMost(1.2)},
	{group: stream64, name: "topic", measurer: pair{role: "topic stream", size: 64, bind: late}, goal: atLeastIn(0.5, 0.35)},
	{group: stream64, name: "topic, Send", measurer: pair{role: "topic stream, Send", size: 64, bind: late}, goal: atLeastIn(0.5, 0.35)},
	{group: stream64, name: "topic, batches of 64", measurer: pair{role: "topic stream of 64", size: 64, bind: late}},
	{group: stream64, name: "topic, packs of 16", measurer: pair{role: "topic packs of 16", size: 64, bind: late}, goal: atLeastIn(1.2, 0.4)},
	{group: stream64, name: "topic, packs of 64", measurer: pair{role: "topic packs of 64", size: 64, bind: late}, goal: atLeastIn(1.8, 0.9)},
	{group: stream64, name: "topic, packs of 64, depth 4096", measurer: pair{role: "topic packs of 64, depth 4096", size: 64, bind: late}},
	{group: stream64, name: "topic, packs of 64, SendAll", measurer: pair{role: "topic packs of 64, SendAll", size: 64, bind: late}},
	{group: stream1M, name: "topic", measurer: pair{role: "topic stream", size: 1 << 20, bind: late}, goal: atLeast(0.97)},
	{group: publish, name: "64 subscribers", measurer: publishCost(64), goal: atMost(1.1)},
	{group: first64, name: "topic", measurer: newTopic{64, 1}, goal: atMost(10)},
	{group: first1M, name: "topic", measurer: newTopic{1 << 20, 1}, goal: atMost(10)},
	{group: cellIdle, name: "cell", measurer: alone("cell"), goal: noMoreThan(10)},
	{group: grpc64, name: "connection", measurer: pair{role: "grpc, connection", size: 64}, goal: atMost(1)},
	{group: grpc1K, name: "connection", measurer: pair{role: "grpc, connection", size: 1 << 10}, goal: atMost(1)},
	{group: grpc64K, name: "connection", measurer: pair{role: "grpc, connection", size: 64 << 10}, goal: atMost(0.65)},
	{group: grpc1M, name: "connection", measurer: pair{role: "grpc, connection", size: 1 << 20}, goal: atMost(0.65)},
	{group: http1M, name: "connection", measurer: pair{role: "http, connection", size: 1 << 20}, goal: atMost(0.5)},
	{group: writes1M, name: "connection", measurer: pair{role: "connection stream", size: 1 << 20}, goal: atLeast(2)},
	{group: cell64, name: "cell", measurer: pair{role: "busy cell", size: 64, bind: late, timed: true}, goal: atMost(1)},
	{group: cell1K, name: "cell", measurer: pair{role: "busy cell", size: 1 << 10, bind: late, timed: true}, goal: atMost(1)},
}, choices()...)

// roles are the programs of the processes, ours and those of peers in Go.
var roles = map[string]role{
	"mutex":         playMutex,
	"rlock":         playRLock,
	"reader":        playReader,
	"baton":         playBaton,
	"events":        playEvents,
	"idle":          playIdle,
	"socket":        playSocket,
	"socket stream": playSocketStream,
	"pipe":          playPipe,
	"pipe stream":   playPipeStream,
	"grpc":          playGRPC(unixWire),
	"grpc stream":   playGRPCStream,
	"shmipc":        playShmipc,
	"shmipc stream": playShmipcStream,

	"calls":              playCalls,
	"connection":         playConnection,
	"grpc, connection":   playGRPC(streamWire),
	"http":               playHTTP(unixWire),
	"http, connection":   playHTTP(streamWire),
	"connection stream":  playConnectionStream,
	"topic":              playTopic,
	"topic, best effort": playTopicBestEffort,
	"topic stream":       streamMessages(1),
	"topic stream of 64": streamMessages(64),
	"topic packs of 16":  streamPacks(16, streamDepth),
	"topic packs of 64":  streamPacks(64, streamDepth),

	"topic packs of 64, SendAll":    streamSendAll(64),
	"topic packs of 64, depth 4096": streamPacks(64, 4096),
	"topic stream, Send":            streamSends,
	"new topics":                    playNewTopics,
	"publisher":                     playPublisher,
	"idle subscriber":               playIdleSubscriber,
	"cell":                          playCell,

	"memory and event":  playMemory,
	"section and event": playSection,
	"TCP":               playTCP,
	"named pipe":        playNamedPipe,
	"WM_COPYDATA":       playCopyData,
	"busy cell":         playBusyCell,
}

// ofC are C programs that are not limits, but show the parts of limits.
var ofC = []subject{
	{group: message64, name: "C, written and read whole", measurer: cProgram("spinpingpong", "-size", "64")},
	{group: message1M, name: "C, written and read whole", measurer: cProgram("spinpingpong", "-size", "1048576")},
	{group: message8M, name: "C, written and read whole", measurer: cProgram("spinpingpong", "-size", "8388608")},
	{group: stream64, name: "C, a ring of 16", measurer: cProgram("stream", "-depth", "16")},
	{group: stream64, name: "C, a ring of 4096", measurer: cProgram("stream", "-depth", "4096")},
}

// subjects returns all subjects, by group: those of this module, of the peers, and those in C.
func subjects() []subject {
	var all []subject
	for _, g := range groups {
		of := func(ss []subject) {
			for _, s := range ss {
				if s.group == g {
					all = append(all, s)
				}
			}
		}
		of(ours)
		for _, p := range peers {
			for _, s := range p.subjects {
				s.name, s.peer = p.name, p
				if s.group == g {
					all = append(all, s)
				}
			}
		}
		for _, s := range ofC {
			s.ofC = true
			of([]subject{s})
		}
	}
	return all
}

// figure shows the value of a sample. If the unit is a rate, it is the time of one message.
func (g groupInfo) figure(v float64) string {
	switch {
	case v == 0:
		return ""
	case g.Unit == perSec:
		return digits(1e3/v) + " M/s"
	case g.Unit == volume:
		return digits(float64(g.Size)/v) + " GB/s"
	case g.Unit == percent:
		return fmt.Sprintf("%.3f %%", v)
	case v >= 1e6:
		return digits(v/1e6) + " ms"
	case v >= 1e3:
		return digits(v/1e3) + " µs"
	}
	return digits(v) + " ns"
}

// digits shows about three significant digits.
func digits(v float64) string {
	switch {
	case v >= 1000:
		unit := math.Pow(10, math.Floor(math.Log10(v))-2)
		return fmt.Sprintf("%.0f", math.Round(v/unit)*unit)
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 0.095:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.2g", v)
}

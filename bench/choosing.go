package main

import (
	"context"
	"errors"
	"fmt"

	"samepage"
	"samepage/ipcsync"
)

// The figures of docs/choosing.md: ways to pass a message between two processes, on Linux and on
// Windows. Each message is written whole and read whole, because most people do that.

const (
	wholeToAndFro = "to and fro, the time of one way, each message written whole and read"
	threeMB       = 3 << 20 // the section of the programs in legacy/earseimage
)

var (
	choose64  = choice("64 B", 64, 0)
	choose64K = choice("64 KiB", 64<<10, 0)
	choose3M  = choice("3 MB", threeMB, manyMessages)
	wine64    = windowsChoice("64 B", 64, 0)
	wine64K   = windowsChoice("64 KiB", 64<<10, 0)
	wine3M    = windowsChoice("3 MB", threeMB, manyMessages)
)

// manyMessages makes a block so long that the first messages, which touch new pages, do not matter.
const manyMessages = 3

// choice is a group on Linux. Its limit are two C programs that sleep.
func choice(name string, size int, length float64) *group {
	return &group{
		name: "choosing, " + name, about: wholeToAndFro, limit: cProgram("futexpingpong", "-size", fmt.Sprint(size)),
		unit: perOp, size: size, length: length, mark: ofChoosing, system: "linux",
	}
}

// windowsChoice is a group on Windows. No C program is a limit there, but a section and an event,
// as programs in C++ use them.
func windowsChoice(name string, size int, length float64) *group {
	return &group{
		name: "choosing on Windows, " + name, about: wholeToAndFro, limit: pair{role: "section and event", size: size, whole: true},
		unit: perOp, size: size, length: length, oneCPU: true, tolerance: 1.6, mark: ofWine, system: "windows",
	}
}

// choices are the subjects of this module in these groups.
func choices() (all []subject) {
	for _, g := range []*group{choose64, choose64K, choose3M} {
		of := func(name, role string, bind binding) {
			all = append(all, subject{group: g, name: name, measurer: pair{role: role, size: g.size, whole: true, bind: bind}})
		}
		of("topic, polled", "topic", late)
		of("topic", "topic", early)
		of("memory and event", "memory and event", early)
		of("call, polled", "calls", late)
		of("call", "calls", early)
		of("connection", "connection", early)
	}
	for _, g := range []*group{wine64, wine64K, wine3M} {
		of := func(name, role string) {
			all = append(all, subject{group: g, name: name, measurer: pair{role: role, size: g.size, whole: true}})
		}
		of("topic, polled", "topic")
		of("call, polled", "calls")
		of("connection, polled", "connection")
	}
	return all
}

// wholes are the subjects of a peer in Go in the groups on Linux.
func wholes(role string, pipes bool) (all []subject) {
	for _, g := range []*group{choose64, choose64K, choose3M} {
		all = append(all, subject{group: g, measurer: pair{role: role, size: g.size, whole: true, bind: early, pipes: pipes}})
	}
	return all
}

// windowsWholes are those in the groups on Windows.
func windowsWholes(role string) (all []subject) {
	for _, g := range []*group{wine64, wine64K, wine3M} {
		all = append(all, subject{group: g, measurer: pair{role: role, size: g.size, whole: true}})
	}
	return all
}

// What only Windows has. The roles of these peers are in files for Windows.
var (
	namedPipe       = &peer{name: "named pipe, sleeping", prepare: onWindows, subjects: windowsWholes("named pipe")}
	copyDataMessage = &peer{name: "WM_COPYDATA, sleeping", prepare: onWindows, subjects: windowsWholes("WM_COPYDATA")}
)

func playMemory(o order, ready func() error) (sample, error) { return passInMemory(o, ready, false) }

// playSection uses the names, and on Windows the events, that programs in other languages use. Who
// waits for such an event does not poll.
func playSection(o order, ready func() error) (sample, error) { return passInMemory(o, ready, true) }

// passInMemory passes messages in a memory, in the first half from the first process to the second,
// and in the other half back. An event for each direction says that a message is there.
func passInMemory(o order, ready func() error, exact bool) (s sample, err error) {
	m, _, err := samepage.OpenOrCreate(o.Name+".memory", int64(2*o.Size), &samepage.Options{Exact: exact})
	if err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	var halves [2][]byte
	var events [2]*ipcsync.Event
	for i, name := range []string{".there", ".back"} {
		v, err := m.View(int64(i*o.Size), int64(o.Size), samepage.ReadWrite)
		if err != nil {
			return s, err
		}
		defer v.Close()
		halves[i] = v.Bytes()
		if events[i], _, err = ipcsync.OpenOrCreateEvent(o.Name+name, &ipcsync.EventOptions{Exact: exact}); err != nil {
			return s, err
		}
		defer events[i].Close()
	}
	if err := ready(); err != nil {
		return s, err
	}
	to, from := 0, 1
	if !o.First {
		to, from = from, to
	}
	ctx := context.Background()
	return passing(o, func(n int) error {
		fill(halves[to], n)
		return events[to].Set()
	}, func(n int) error {
		if err := events[from].Wait(ctx); err != nil {
			return err
		}
		return check(halves[from], n)
	})
}

package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"

	"golang.org/x/sys/windows"
)

// A named pipe in byte mode. A message is one Write.
func playNamedPipe(o order, ready func() error) (sample, error) {
	f, err := connectPipe(`\\.\pipe\`+o.Name, o, ready)
	if err != nil {
		return sample{}, err
	}
	defer f.Close()
	return passBytes(o, f, f)
}

// connectPipe joins the two processes of a pair. The first one makes the pipe.
func connectPipe(name string, o order, ready func() error) (*os.File, error) {
	if !o.First {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		return f, ready()
	}
	text, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return nil, err
	}
	const oneInstance = 1
	h, err := windows.CreateNamedPipe(text, windows.PIPE_ACCESS_DUPLEX, windows.PIPE_TYPE_BYTE|windows.PIPE_REJECT_REMOTE_CLIENTS,
		oneInstance, pipeBuffer, pipeBuffer, 0, nil)
	if err != nil {
		return nil, fmt.Errorf("create pipe %s: %w", name, err)
	}
	f := os.NewFile(uintptr(h), name)
	if err := ready(); err != nil {
		return nil, err
	}
	// The other process may have opened the pipe before.
	if err := windows.ConnectNamedPipe(h, nil); err != nil && !errors.Is(err, windows.ERROR_PIPE_CONNECTED) {
		return nil, fmt.Errorf("connect pipe %s: %w", name, err)
	}
	return f, nil
}

// largestCopy is the most that one WM_COPYDATA carries here. Wine 8 delivers no message of 2 MiB.
const largestCopy = 1 << 20

// A window that gets WM_COPYDATA belongs to the thread that made it. The system calls its function
// on that thread, while the thread waits in SendMessage or GetMessage. So the receiver sends the
// answer within its function, and the sender has it when its own SendMessage returns. This is the
// shortest way, and the programs of legacy/earseimage answer like that.
func playCopyData(o order, ready func() error) (sample, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	mine, other := o.Name+".a", o.Name+".b"
	if !o.First {
		mine, other = other, mine
	}
	message := make([]byte, o.Size)
	block, before, single := o.trips()
	var (
		peer   window
		last   = block + before + single
		taken  int  // whole messages
		have   int  // bytes of the next one
		sum    byte // of these
		failed error
	)
	send := func(from window, n int) error {
		fill(message, n)
		for piece := range slices.Chunk(message, largestCopy) {
			if err := peer.send(from, piece); err != nil {
				return err
			}
		}
		return nil
	}
	w, err := openCopyWindow(mine, func(w window, piece []byte) {
		have, sum = have+len(piece), sum+readLines(piece)
		if have < o.Size {
			return
		}
		taken++
		if have > o.Size || sum != byte(taken) {
			failed = errors.Join(failed, fmt.Errorf("message %d has %d bytes and the sum %d", taken, have, sum))
		}
		if have, sum = 0, 0; !o.First {
			failed = errors.Join(failed, send(w, taken))
			if taken == last || failed != nil {
				quitMessages()
			}
		}
	})
	if err != nil {
		return sample{}, err
	}
	defer w.destroy()
	if o.First {
		if err := ready(); err != nil { // the other process makes its window meanwhile
			return sample{}, err
		}
		if peer, err = findCopyWindow(other); err != nil {
			return sample{}, err
		}
		n := 0
		return trips(o, func() error {
			n++
			if err := send(w, n); err != nil {
				return err
			}
			if taken != n && failed == nil {
				failed = fmt.Errorf("%d messages are sent, and %d answers came", n, taken)
			}
			return failed
		})
	}
	if peer, err = findCopyWindow(other); err != nil {
		return sample{}, err
	}
	if err := ready(); err != nil {
		return sample{}, err
	}
	return sample{}, errors.Join(handleMessages(), failed)
}

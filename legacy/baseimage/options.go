package baseimage

import (
	"math"
	"os/exec"
	"runtime"
	"time"

	"samepage"
	"samepage/internal/option"
	"samepage/ipcsync"
)

// What the existing programs use.
const (
	defaultName  = "BaseImage"
	defaultEvent = "BaseImageMutex"
	defaultSize  = 33554432
)

// SenderOptions are the options of a Sender. The zero value, and nil, mean the default of
// each field.
type SenderOptions struct {
	// Name is the name of the section. Default: BaseImage.
	Name string
	// Event is the name of the event. Default: BaseImageMutex.
	Event string
	// Size is the size of the section in bytes, including the header of 16 bytes. An
	// existing section may be larger. Default: 33,554,432.
	Size int
	// Align is 1 to 4096. Each row is padded to a multiple of Align bytes. Use 4 for a receiver
	// that wants Windows bitmaps. Default: 1.
	Align int
	// Start returns the command of the receiver's program. If that program does not run, the
	// Sender starts it before it sends a picture. If several processes send to receivers of that
	// name, they start only one program together. The program goes on when the Sender ends, and a
	// new Sender finds it, also if all senders had ended. The program has the variable
	// SAMEPAGE_WORKER in its environment. On Windows this process must have the right to open the
	// program's process. Default: nothing is started.
	Start func() (*exec.Cmd, error)
}

// ReceiverOptions are the options of a Receiver. The zero value, and nil, mean the default
// of each field.
type ReceiverOptions struct {
	// Name is the name of the section. Default: BaseImage.
	Name string
	// Event is the name of the event. Default: BaseImageMutex.
	Event string
	// Settle is how long the Receiver watches the header after it has copied a picture. So it
	// finds out whether the picture was complete when the copy began; see Receiver. It stops
	// watching when the base writes the next picture or signals. So Settle costs time only while
	// the base rests. Settle must be longer than the base needs to write a picture, also if the
	// system does not run the base for a while. If the context of a Grab ends before Settle is
	// over, Grab does not get the picture of a base that rests. Default: 100 ms. With a negative
	// value the Receiver does not watch. Use it if the base waits for an answer to each picture.
	Settle time.Duration
}

const (
	maxAlign      = 4096
	defaultSettle = 100 * time.Millisecond
)

// filled returns a copy of o with the defaults in it. Errors: fs.ErrInvalid.
func (o *SenderOptions) filled() (SenderOptions, error) {
	var f SenderOptions
	if o != nil {
		f = *o
	}
	fillNames(&f.Name, &f.Event)
	if f.Size == 0 {
		f.Size = defaultSize
	}
	if f.Align == 0 {
		f.Align = 1
	}
	if err := option.SizeOption("Size", int64(f.Size), math.MaxInt32); err != nil {
		return f, err
	}
	if err := option.Range("Size", f.Size, headerSize+1, math.MaxInt32); err != nil {
		return f, err
	}
	return f, option.Range("Align", f.Align, 1, maxAlign)
}

// filled returns a copy of o with the defaults in it.
func (o *ReceiverOptions) filled() ReceiverOptions {
	var f ReceiverOptions
	if o != nil {
		f = *o
	}
	fillNames(&f.Name, &f.Event)
	if f.Settle == 0 {
		f.Settle = defaultSettle
	}
	return f
}

func fillNames(name, event *string) {
	if *name == "" {
		*name = defaultName
	}
	if *event == "" {
		*event = defaultEvent
	}
}

// exact: the objects have the bare names that C++ programs know, on the system that has such
// programs.
const exact = runtime.GOOS == "windows"

func memoryOptions() *samepage.Options    { return &samepage.Options{Exact: exact} }
func eventOptions() *ipcsync.EventOptions { return &ipcsync.EventOptions{Exact: exact} }

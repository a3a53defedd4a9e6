// Package demo shows what shared memory is for: a base process passes pictures
// to an algorithm process, the worker, and gets two results for each back. All
// pixels are worked on in the shared memory itself.
//
// Three processes take part, all of them this program. Run is the supervisor:
// it starts the other two, starts a new worker when one dies, and ends both.
// RunRole is the other two. They get what they have to do as a line of JSON on
// their standard input, which stays open: when it closes, be it that the
// supervisor was killed, they end. They report in lines of JSON on their
// standard output.
//
// job.go has the shared block and its protocol.
package demo

import (
	"errors"
	"fmt"
	"time"

	"samepage/ipcsync"
)

// Options say what to do.
type Options struct {
	// Images is the folder with the pictures; empty: pictures are drawn.
	Images string `json:"images,omitempty"`
	// Out is the folder to which the results are saved; empty: they are not.
	Out string `json:"out,omitempty"`
	// Count is how many pictures are done; 0: until the end is asked for.
	Count int `json:"count,omitempty"`
	// Once does each picture of Images once, whatever Count says.
	Once bool `json:"once,omitempty"`
}

// Progress tells of one second.
type Progress struct {
	Pictures          int     `json:"pictures"` // since the start
	PicturesPerSecond float64 `json:"pictures_per_second"`
	MBPerSecond       float64 `json:"mb_per_second"`
	LatencyP50        float64 `json:"latency_p50_ms"`
	LatencyP99        float64 `json:"latency_p99_ms"`
}

// Summary tells of all. Bytes and MBPerSecond count the pixels that crossed
// between the processes: a source and two results for each picture.
type Summary struct {
	Pictures          int     `json:"pictures"`
	Skipped           []Bad   `json:"skipped"` // that could not be read
	Failed            []Bad   `json:"failed"`  // that the worker refused, or whose results were wrong
	Saved             int     `json:"saved"`   // files
	Bytes             int64   `json:"bytes"`
	Seconds           float64 `json:"seconds"`
	PicturesPerSecond float64 `json:"pictures_per_second"`
	MBPerSecond       float64 `json:"mb_per_second"`
	LatencyP50        float64 `json:"latency_p50_ms"`
	LatencyP99        float64 `json:"latency_p99_ms"`
	LatencyMax        float64 `json:"latency_max_ms"`
	WorkerRestarts    int     `json:"worker_restarts"`
	Redone            int     `json:"redone"` // times that a new worker began a picture again
	Interrupted       bool    `json:"interrupted"`
}

// Ready tells of a process that is up.
type Ready struct {
	PID    int    `json:"pid"`
	Memory string `json:"memory,omitempty"`
	Size   int64  `json:"size,omitempty"`
}

// RemoteError is an error of a process of the demo, with its exit code.
type RemoteError struct {
	Text string `json:"text"`
	Code int    `json:"code"`
}

func (e *RemoteError) Error() string { return e.Text }

// message is a line from a process to the supervisor: one of the fields.
type message struct {
	Ready    *Ready       `json:"ready,omitempty"`
	Progress *Progress    `json:"progress,omitempty"`
	Skipped  *Bad         `json:"skipped,omitempty"`
	Failed   *Bad         `json:"failed,omitempty"`
	Summary  *Summary     `json:"summary,omitempty"`
	Error    *RemoteError `json:"error,omitempty"`
}

// orders is the line that a process begins with.
type orders struct {
	Name string `json:"name"` // of the objects
	Options
}

// bells are the events that end the sleep of either process.
type bells struct{ request, done *ipcsync.Event }

func requestName(name string) string { return name + "-request" }
func doneName(name string) string    { return name + "-done" }

func openBells(name string, open func(string, *ipcsync.EventOptions) (*ipcsync.Event, error)) (*bells, error) {
	r, err := open(requestName(name), nil)
	if err != nil {
		return nil, err
	}
	d, err := open(doneName(name), nil)
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return &bells{r, d}, nil
}

func (b *bells) close() error { return errors.Join(b.request.Close(), b.done.Close()) }

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// ErrFailed is the end of a demo with pictures that failed.
var ErrFailed = errors.New("pictures failed")

func (s *Summary) err() error {
	if len(s.Failed) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d %w", len(s.Failed), len(s.Failed)+s.Pictures, ErrFailed)
}

// Package demo shows what topics in shared memory are for: a base process publishes
// camera frames, an algorithm process, the worker, makes two results of each and
// publishes them, and a viewer looks at as many frames as it has time for. All pixels
// are worked on in the shared memory itself.
//
// Four processes take part, all of them this program. Run is the supervisor: it starts
// the others, starts a new worker or viewer when one dies, and ends all. RunRole is the
// others. They get what they have to do as a line of JSON on their standard input,
// which stays open: when it closes, be it that the supervisor was killed, they end.
// They report in lines of JSON on their standard output.
//
// topics.go has the topics and their messages.
package demo

import (
	"errors"
	"fmt"
	"time"
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
	// MaxBytes is how many bytes a picture of Images may take when it is decoded.
	MaxBytes int64 `json:"max_bytes,omitempty"`
}

// Progress tells of one second.
type Progress struct {
	Pictures          int     `json:"pictures"` // since the start
	PicturesPerSecond float64 `json:"pictures_per_second"`
	MBPerSecond       float64 `json:"mb_per_second"`
	LatencyP50        float64 `json:"latency_p50_ms"`
	LatencyP99        float64 `json:"latency_p99_ms"`
	ViewerMissed      uint64  `json:"viewer_missed"` // frames, since the start
}

// Summary tells of all. Latencies are from the request to the answer. Bytes and MBPerSecond
// count the pixels that crossed between the processes: a source and two results, of a
// region, for each picture.
type Summary struct {
	Pictures          int     `json:"pictures"`
	Skipped           []Bad   `json:"skipped"`  // that could not be read
	Failed            []Bad   `json:"failed"`   // that the worker refused, or whose results were wrong
	LeftOut           []Bad   `json:"left_out"` // what is in the folder and no picture, and further pages
	Saved             int     `json:"saved"`    // files
	Bytes             int64   `json:"bytes"`
	Seconds           float64 `json:"seconds"`
	PicturesPerSecond float64 `json:"pictures_per_second"`
	MBPerSecond       float64 `json:"mb_per_second"`
	LatencyP50        float64 `json:"latency_p50_ms"`
	LatencyP99        float64 `json:"latency_p99_ms"`
	LatencyMax        float64 `json:"latency_max_ms"`
	WorkerRestarts    int     `json:"worker_restarts"`
	Redone            int     `json:"redone"` // times that a picture was published again for a new worker
	Viewer            Viewed  `json:"viewer"`
	ViewerRestarts    int     `json:"viewer_restarts"`
	Interrupted       bool    `json:"interrupted"`
}

// Viewed tells what viewers have seen. Latencies are from when a frame was published
// until the last of the viewers had it.
type Viewed struct {
	Frames     uint64  `json:"frames"`
	Missed     uint64  `json:"missed"`
	LatencyP50 float64 `json:"latency_p50_ms"`
	LatencyP99 float64 `json:"latency_p99_ms"`
	LatencyMax float64 `json:"latency_max_ms"`
}

// Ready tells of a process that is up.
type Ready struct {
	PID    int      `json:"pid"`
	Topics []string `json:"topics,omitempty"`
	Size   int64    `json:"size,omitempty"` // bytes of shared memory
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
	LeftOut  *Bad         `json:"left_out,omitempty"`
	Summary  *Summary     `json:"summary,omitempty"`
	Viewed   *Viewed      `json:"viewed,omitempty"`
	Error    *RemoteError `json:"error,omitempty"`
}

// orders is the line that a process begins with.
type orders struct {
	Name string `json:"name"` // begins the names of the topics
	Options
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// ErrFailed is the end of a demo with pictures that failed.
var ErrFailed = errors.New("pictures failed")

func (s *Summary) err() error {
	if len(s.Failed) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d %w", len(s.Failed), len(s.Failed)+s.Pictures, ErrFailed)
}

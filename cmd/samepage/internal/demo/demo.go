// Package demo shows what topics and services in shared memory are for. A base process publishes
// camera frames in a topic, and calls a service for each. An algorithm process, the worker of the
// service, makes two results of the frame. A viewer looks at as many frames as it has time for. All
// of them work on the pixels in the shared memory itself.
//
// Four processes take part; all of them run this program. Run is the supervisor: it starts
// the others, starts a new worker or viewer if one dies, and ends all of them. RunRole is
// the code of the others. They read their orders, one line of JSON, from their standard
// input, which stays open. When it closes, also because the supervisor was killed, they end.
// They report in lines of JSON on their standard output.
//
// messages.go has the topic, the service and their messages.
package demo

import (
	"errors"
	"fmt"
	"time"
)

// Options says what the demo does.
type Options struct {
	// Images is the folder with the pictures; empty: the base draws pictures.
	Images string `json:"images,omitempty"`
	// Out is the folder to which the results are saved; empty: they are not saved.
	Out string `json:"out,omitempty"`
	// Count is the number of pictures; 0: go on until the context ends.
	Count int `json:"count,omitempty"`
	// Once makes it do each picture of Images once, whatever Count says.
	Once bool `json:"once,omitempty"`
	// MaxBytes is how many bytes a picture of Images may take when it is decoded.
	MaxBytes int64 `json:"max_bytes,omitempty"`
}

// Progress is about one second.
type Progress struct {
	Pictures          int     `json:"pictures"` // since the start
	PicturesPerSecond float64 `json:"pictures_per_second"`
	MBPerSecond       float64 `json:"mb_per_second"`
	LatencyP50        float64 `json:"latency_p50_ms"`
	LatencyP99        float64 `json:"latency_p99_ms"`
	ViewerMissed      uint64  `json:"viewer_missed"` // frames, since the start
}

// Summary is about the whole run. Latencies are from the request to the answer. Bytes and
// MBPerSecond count the pixels that crossed between the processes: for each picture a source,
// and two results of the size of the region.
type Summary struct {
	Pictures          int     `json:"pictures"`
	Skipped           []Bad   `json:"skipped"`  // that could not be read
	Failed            []Bad   `json:"failed"`   // that the worker refused, or whose results were wrong
	LeftOut           []Bad   `json:"left_out"` // files of the folder that are no pictures, and further pages
	Saved             int     `json:"saved"`    // files
	Bytes             int64   `json:"bytes"`
	Seconds           float64 `json:"seconds"`
	PicturesPerSecond float64 `json:"pictures_per_second"`
	MBPerSecond       float64 `json:"mb_per_second"`
	LatencyP50        float64 `json:"latency_p50_ms"`
	LatencyP99        float64 `json:"latency_p99_ms"`
	LatencyMax        float64 `json:"latency_max_ms"`
	WorkerRestarts    int     `json:"worker_restarts"`
	Redone            int     `json:"redone"` // times that a picture was given to a new worker because the worker before died
	Viewer            Viewed  `json:"viewer"`
	ViewerRestarts    int     `json:"viewer_restarts"`
	Interrupted       bool    `json:"interrupted"`
}

// Viewed is about what the viewers have seen. Latencies are from the publication of a frame
// until the viewer had it.
type Viewed struct {
	Frames     uint64  `json:"frames"`
	Missed     uint64  `json:"missed"`
	LatencyP50 float64 `json:"latency_p50_ms"`
	LatencyP99 float64 `json:"latency_p99_ms"`
	LatencyMax float64 `json:"latency_max_ms"`
}

// Ready is about a process that is ready.
type Ready struct {
	PID     int    `json:"pid"`
	Topic   string `json:"topic,omitempty"`
	Service string `json:"service,omitempty"`
	Size    int64  `json:"size,omitempty"` // bytes of shared memory
}

// RemoteError is an error of a process of the demo, with its exit code.
type RemoteError struct {
	Text string `json:"text"`
	Code int    `json:"code"`
}

func (e *RemoteError) Error() string { return e.Text }

// message is a line from a process to the supervisor. One of the fields is set.
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

// orders is the line that a process reads first.
type orders struct {
	Name string `json:"name"` // begins the names of the topic and the service
	Options
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// ErrFailed is the error of a demo in which pictures failed.
var ErrFailed = errors.New("pictures failed")

func (s *Summary) err() error {
	if len(s.Failed) == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d %w", len(s.Failed), len(s.Failed)+s.Pictures, ErrFailed)
}

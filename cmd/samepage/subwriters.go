package main

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"samepage/frame"
	"samepage/internal/typed"
)

// messageWriter writes a message in one of the forms of sub.
type messageWriter func(w *bufio.Writer, m taken) error

func writeRaw(w *bufio.Writer, m taken) error {
	_, err := w.Write(m.Bytes())
	return err
}

func writeLine(w *bufio.Writer, m taken) error {
	if _, err := w.Write(m.Bytes()); err != nil {
		return err
	}
	return w.WriteByte('\n')
}

// writeShown is writeLine for a terminal.
func writeShown(w *bufio.Writer, m taken) error {
	// Others may still change the message, so it is read once.
	if _, err := w.Write(shown(bytes.Clone(m.Bytes()), "--hex or --raw")); err != nil {
		return err
	}
	return w.WriteByte('\n')
}

func newHexWriter() messageWriter {
	var line []byte
	return func(w *bufio.Writer, m taken) error {
		line = append(hex.AppendEncode(line[:0], m.Bytes()), '\n')
		_, err := w.Write(line)
		return err
	}
}

// messageJSON is a message in JSON.
type messageJSON struct {
	Seq       uint64          `json:"seq"`
	Publisher int             `json:"publisher"`
	Time      time.Time       `json:"time,omitzero"`
	Missed    uint64          `json:"missed,omitempty"`
	Size      int             `json:"size"`
	Text      *string         `json:"text,omitempty"`
	Data      *string         `json:"data,omitempty"`
	Value     json.RawMessage `json:"value,omitempty"` // in a topic of a Go type
}

func newJSONWriter() messageWriter {
	var d typed.Decoder
	return func(w *bufio.Writer, m taken) error {
		// Others may still change the message, so it is read once.
		text := string(m.Bytes())
		j := messageJSON{Seq: m.Seq(), Publisher: m.Publisher(), Time: m.Time(), Missed: m.Missed(), Size: len(text)}
		var err error
		if j.Value, err = d.JSON(m.Schema(), text); err != nil {
			return fmt.Errorf("message %d: %w", m.Seq(), err)
		}
		if j.Value != nil {
			// the value says it all
		} else if utf8.ValidString(text) {
			j.Text = &text
		} else {
			data := base64.StdEncoding.EncodeToString([]byte(text))
			j.Data = &data
		}
		e := json.NewEncoder(visibleJSON{w})
		e.SetEscapeHTML(false)
		return e.Encode(j)
	}
}

// newFrameWriter writes a YUV4MPEG2 stream with the format of the first frame, or one that such a
// stream can carry. If fps is not zero, it replaces the rate of the frames.
func newFrameWriter(fps frame.Ratio) messageWriter {
	var y *frame.Y4MWriter
	var f frame.Frame
	return func(w *bufio.Writer, m taken) error {
		err := f.Attach(m.Bytes())
		if err == nil && y == nil {
			var h *frame.Y4MHeader
			if h, err = frame.Y4MHeaderFor(f.Spec()); err == nil {
				if fps != (frame.Ratio{}) {
					h.Rate = fps
				}
				y, err = frame.NewY4MWriter(w, h)
			}
		}
		if err == nil {
			err = y.WriteFrame(&f)
		}
		if err != nil && !readerGone(err) {
			err = fmt.Errorf("message %d: %w", m.Seq(), err)
		}
		return err
	}
}

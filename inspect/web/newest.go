package web

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"time"
	"unicode/utf8"

	"samepage"
	"samepage/inspect"
	"samepage/internal/typed"
	"samepage/layout"
)

const (
	mostBytes = 64 << 10 // of a message that is copied for its text
	mostHex   = 1 << 10  // bytes that are shown in hexadecimal
	mostText  = 16 << 10 // bytes that are shown as text
)

// newest is the newest message of a topic or the value of a cell, as JSON.
type newest struct {
	Seq       uint64          `json:"seq"` // number of the message, or generation of the value
	Publisher int             `json:"publisher"`
	Time      time.Time       `json:"time,omitzero"`
	Size      int             `json:"size"`
	Text      *string         `json:"text,omitempty"`  // its beginning, if that is UTF-8
	Hex       string          `json:"hex"`             // its beginning
	Value     json.RawMessage `json:"value,omitempty"` // of a Go type
	Picture   *picture        `json:"picture,omitempty"`
	// Error says why Value is missing although the object has a Go type.
	Error string `json:"error,omitempty"`
}

// picture describes a message that is a frame of package frame.
type picture struct {
	Format string `json:"format"`
	Width  uint32 `json:"width"`
	Height uint32 `json:"height"`
}

// copyNewest copies the newest message, and at most so many bytes of it. ok is false if there is
// none, or if it was overwritten again and again.
func copyNewest(kind samepage.Kind, name, scope string, most int, buf []byte) (m inspect.Message, schema string, ok bool, err error) {
	opts := &inspect.WatchOptions{Scope: scopeOf(scope), Owner: "*", From: inspect.FromNewest, Most: most}
	w, err := inspect.Watch(kind, name, opts)
	if err != nil {
		return m, "", false, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	for range 3 {
		if m, ok, err = w.Newest(buf); ok || err != nil {
			break
		}
	}
	return m, w.Schema(), ok, err
}

func scopeOf(text string) samepage.Scope {
	if text == samepage.Global.String() {
		return samepage.Global
	}
	return samepage.Local
}

// shown says whether Options.Match shows the object. If not, it answers as if there were none.
func (s *server) shown(w http.ResponseWriter, kind samepage.Kind, name, scope string) bool {
	if s.match == nil {
		return true
	}
	i, err := samepage.Stat(name, &samepage.Options{Kind: kind, Scope: scopeOf(scope), Owner: "*"})
	if err == nil && !s.match(&i) {
		err = fs.ErrNotExist
	}
	if err != nil {
		fail(w, err)
	}
	return err == nil
}

// message serves the newest message of a topic, or the value of a cell.
func (s *server) message(kind samepage.Kind) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !s.shown(w, kind, nameIn(r), r.FormValue("scope")) {
			return
		}
		m, schema, ok, err := copyNewest(kind, nameIn(r), r.FormValue("scope"), mostBytes, nil)
		switch {
		case err != nil:
			fail(w, err)
			return
		case !ok:
			w.WriteHeader(http.StatusNoContent)
			return
		}
		j := newest{Seq: m.Seq, Publisher: m.Publisher, Time: m.Time, Size: m.Size}
		j.Hex = hex.EncodeToString(m.Data[:min(len(m.Data), mostHex)])
		j.Text = textOf(m.Data)
		if h, err := layout.ParseFrame(m.Data, int64(m.Size)); err == nil {
			j.Picture = &picture{h.Format.String(), h.Width, h.Height}
		}
		if len(m.Data) == m.Size {
			var d typed.Decoder
			if j.Value, err = d.JSON(schema, string(m.Data)); err != nil {
				j.Error = err.Error()
			}
		} else if schema != "" {
			j.Error = "the value is too large to be shown"
		}
		b, err := json.Marshal(j)
		if err != nil {
			fail(w, err)
			return
		}
		reply(w, "application/json", b)
	}
}

// nameIn is the name of the object in a request. A browser takes the names . and .. for a way up,
// so ?name= can have it, too.
func nameIn(r *http.Request) string {
	if n := r.PathValue("name"); n != "" {
		return n
	}
	return r.FormValue("name")
}

// textOf is the beginning of b as text, or nil if it is none.
func textOf(b []byte) *string {
	end := min(len(b), mostText)
	for end > 0 && end < len(b) && !utf8.RuneStart(b[end]) {
		end-- // a character that is cut off
	}
	if !utf8.Valid(b[:end]) {
		return nil
	}
	s := string(b[:end])
	return &s
}

// fail tells an error about an object.
func fail(w http.ResponseWriter, err error) {
	code := http.StatusInternalServerError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		code = http.StatusNotFound
	case errors.Is(err, fs.ErrPermission):
		code = http.StatusForbidden
	case errors.Is(err, samepage.ErrName), errors.Is(err, fs.ErrInvalid):
		code = http.StatusBadRequest
	}
	http.Error(w, err.Error(), code)
}

package bridge

import (
	"bytes"
	"errors"
	"testing"

	"samepage"
)

// FuzzParse: whatever is in an envelope, there is no panic, and no slice outside of it.
func FuzzParse(f *testing.F) {
	e := envelope{kind: kindMessages, session: 7, number: 9}
	b := appendRun(make([]byte, headerSize), &run{place: 1, count: 2, size: 3, seq: 5, time: 6})
	b = append(b, "abcdef"...)
	e.seal(b)
	f.Add(b)
	b = appendPart(make([]byte, headerSize), &part{place: 1, total: 10, offset: 4, seq: 5, bytes: []byte("xyz")})
	e.kind = kindPart
	e.seal(b)
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := parse(b)
		if err != nil { // as if the checksum were right
			e.body = b
		}
		for rest := e.body; len(rest) > 0; {
			var r run
			if r, rest, err = nextRun(rest); err != nil {
				break
			}
			if len(r.bytes) != int(r.count)*int(r.size) || r.count == 0 {
				t.Errorf("%+v", r)
			}
		}
		if p, err := parsePart(e.body); err == nil && int64(p.offset)+int64(len(p.bytes)) > int64(p.total) {
			t.Errorf("%+v", p)
		}
		_ = positions(e.body)
	})
}

func TestEnvelope(t *testing.T) {
	want := envelope{kind: kindPart, flags: flagBye, session: 7, number: 1 << 40, id: samepage.ID{1, 2, 3}}
	p := part{place: 63, total: 1 << 31, offset: 1 << 30, seq: 1 << 50, time: -1, bytes: []byte("xyz")}
	b := appendPart(make([]byte, headerSize), &p)
	want.seal(b)
	got, err := parse(b)
	if err != nil || got.kind != want.kind || got.flags != want.flags || got.session != 7 || got.number != want.number || got.id != want.id {
		t.Errorf("%+v, %v", got, err)
	}
	if q, err := parsePart(got.body); err != nil || q.place != p.place || q.total != p.total || q.offset != p.offset || q.seq != p.seq || q.time != -1 || !bytes.Equal(q.bytes, p.bytes) {
		t.Errorf("%+v, %v", q, err)
	}
	for i := 4; i < len(b); i++ {
		bad := bytes.Clone(b)
		bad[i] ^= 4
		if _, err := parse(bad); !errors.Is(err, samepage.ErrChecksum) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	b[3]++
	if _, err := parse(b); !errors.Is(err, samepage.ErrVersion) {
		t.Error(err)
	}
	a := back{sayHole, 1 << 63, 7, 9}
	if got, ok := parseBack(a.bytes()); !ok || got != a {
		t.Errorf("%+v", got)
	}
}

func TestEscape(t *testing.T) {
	if got := escape("a.b c*>_9ä"); got != "a=2Eb=20c=2A=3E_9=C3=A4" {
		t.Error(got)
	}
	n := Names{Prefix: "p.", Renames: map[string]string{"a": "b"}}
	if n.To("a") != "b" || n.To("c") != "p.c" {
		t.Error(n.To("a"), n.To("c"))
	}
}

// A name from afar cannot choose the scope, unless the user has named it.
func TestMatches(t *testing.T) {
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"cam", "cam", true},
		{"cam", "cam-1", false},
		{"cam-*", "cam-1", true},
		{"*", "a.b", true},
		{"*", `Global\cam`, false},
		{`Global\cam`, `Global\cam`, true},
	} {
		if got := matches([]string{"other", c.pattern}, c.name); got != c.want {
			t.Errorf("%q, %q: %v", c.pattern, c.name, got)
		}
	}
}

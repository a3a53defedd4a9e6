package layout

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

func goldenRecord() *Record {
	return &Record{
		Kind: Event, Scope: Global, Lifetime: Persist, Size: 0x123456789a,
		ID:      ID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16},
		Created: 1_700_000_000_123_456_789, Boot: 0xfedcba9876543210, PID: 4242, Flags: RecordOwnFile,
		Dev: 0x1122, Ino: 0x334455, Name: "frames 图像", Path: `C:\ProgramData\samepage\global\memory-00.dat`,
	}
}

func goldenToken() *Token {
	return &Token{
		Granted: true, Access: ReadOnly, Kind: Memory, Scope: Local,
		From: Process{1234, 567890}, To: Process{4321, 98765}, Number: 7,
		ID: ID{0xff, 1, 2}, Size: 64 << 20, Name: "frames",
	}
}

// The golden files are what version 1 wrote. They must be read and reproduced
// for ever; a change of the layout needs a new version and new files.
func TestGolden(t *testing.T) {
	for name, got := range map[string][]byte{
		"event-auto.bin":       NewEvent(false, false),
		"event-manual-set.bin": NewEvent(true, true),
		"record.bin":           goldenRecord().Append(nil),
		"token.txt":            []byte(goldenToken().String() + "\n"),
	} {
		path := "testdata/v1/" + name
		if *update {
			if err := os.WriteFile(path, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is not what this version writes", path)
		}
	}
	b, _ := os.ReadFile("testdata/v1/record.bin")
	if r, err := ParseRecord(b); err != nil || !reflect.DeepEqual(r, goldenRecord()) {
		t.Errorf("record.bin reads as %+v, %v", r, err)
	}
	text, _ := os.ReadFile("testdata/v1/token.txt")
	if tok, err := ParseToken(strings.TrimSpace(string(text))); err != nil || !reflect.DeepEqual(tok, goldenToken()) {
		t.Errorf("token.txt reads as %+v, %v", tok, err)
	}
	for name, want := range map[string]bool{"event-auto.bin": false, "event-manual-set.bin": true} {
		b, _ := os.ReadFile("testdata/v1/" + name)
		if manual, err := ValidateEvent(b); err != nil || manual != want {
			t.Errorf("%s reads as manual %v, %v", name, manual, err)
		}
	}
}

// docs/layout.md has the offset, width and name of each field of EventBlock,
// and the constants.
func TestLayoutPage(t *testing.T) {
	b, err := os.ReadFile("../docs/layout.md")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.ReplaceAll(string(b), "\r\n", "\n")
	_, section, ok := strings.Cut(page, "## EventBlock")
	if !ok {
		t.Fatal("docs/layout.md has no section EventBlock")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	rows := map[string][2]int{}
	for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \| (\d+) \| (\w+) \|`).FindAllStringSubmatch(section, -1) {
		off, _ := strconv.Atoi(m[1])
		width, _ := strconv.Atoi(m[2])
		rows[m[3]] = [2]int{off, width}
	}
	typ := reflect.TypeFor[EventBlock]()
	fields := 0
	for i := range typ.NumField() {
		f := typ.Field(i)
		if f.Name == "_" {
			continue
		}
		fields++
		if want := [2]int{int(f.Offset), int(f.Type.Size())}; rows[f.Name] != want {
			t.Errorf("docs/layout.md has EventBlock.%s at %v, it is at %v", f.Name, rows[f.Name], want)
		}
	}
	if len(rows) != fields {
		t.Errorf("docs/layout.md has %d fields of EventBlock, there are %d", len(rows), fields)
	}
	for name, value := range map[string]string{
		"EventMagic": fmt.Sprintf("%#x", uint64(EventMagic)), "EventVersion": fmt.Sprint(EventVersion), "EventSize": fmt.Sprint(EventSize),
		"RecordMagic": fmt.Sprintf("%#x", uint64(RecordMagic)), "RecordVersion": fmt.Sprint(RecordVersion), "RecordSize": fmt.Sprint(RecordSize),
		"MaxName": fmt.Sprint(MaxName), "MaxPath": fmt.Sprint(MaxPath), "TokenPrefix": TokenPrefix,
	} {
		if !strings.Contains(page, "| "+name+" | `"+value+"` |") {
			t.Errorf("docs/layout.md lacks the row | %s | `%s` |", name, value)
		}
	}
	// The byte tables of the comments stand there to the letter.
	for file, table := range map[string]*regexp.Regexp{
		"record.go": regexp.MustCompile(`(?m)^//\t( +0  8  magic\n(?://\t.*\n)+)`),
		"token.go":  regexp.MustCompile(`(?m)^//\t( 0  1  how.*\n(?://\t.*\n)+)`),
	} {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		m := table.FindStringSubmatch(strings.ReplaceAll(string(src), "\r\n", "\n"))
		if m == nil {
			t.Fatalf("%s has no table", file)
		}
		if want := strings.ReplaceAll(m[1], "//\t", ""); !strings.Contains(page, want) {
			t.Errorf("docs/layout.md lacks the table of %s:\n%s", file, want)
		}
	}
}

func TestEventVersion(t *testing.T) {
	b := NewEvent(false, false)
	b[8], b[12] = 9, 7
	binary.LittleEndian.PutUint32(b[20:], crc32.Checksum(b[:20], castagnoli))
	_, err := ValidateEvent(b)
	if !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), "9") || !strings.Contains(err.Error(), "version 1") {
		t.Errorf("a block of version 9 is %v, want ErrVersion with both versions", err)
	}
}

func TestRecordVersion(t *testing.T) {
	b := goldenRecord().Append(nil)
	b[8] = 9
	if _, err := ParseRecord(b); !errors.Is(err, ErrVersion) || !strings.Contains(err.Error(), "version 9") || !strings.Contains(err.Error(), "version 1") {
		t.Errorf("a record of version 9 is %v, want ErrVersion with both versions", err)
	}
}

func TestNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"a": true, "": false, "a/b": false, `a\b`: false, "a\x00": false, "\xc3": false, ".": true, "..": true, "CON": true, "a:b": true,
		strings.Repeat("n", 200): true, strings.Repeat("n", 201): false, strings.Repeat("图", 66): true, strings.Repeat("图", 67): false,
	} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("CheckName(%q) is %v", name, err)
		}
	}
}

func TestWords(t *testing.T) {
	for _, k := range Kinds() {
		if got, ok := ParseKind(k.String()); !ok || got != k {
			t.Errorf("kind %v parses as %v, %v", k, got, ok)
		}
	}
	for _, s := range []fmt.Stringer{Kind(99), Scope(99), Lifetime(99), Access(99)} {
		if !strings.Contains(s.String(), "99") {
			t.Errorf("an unknown value prints as %q", s)
		}
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add(goldenToken().String())
	f.Add("samepage1-")
	f.Add((&Token{Size: 1}).String())
	f.Fuzz(func(t *testing.T, s string) {
		tok, err := ParseToken(s)
		if err != nil {
			if !errors.Is(err, ErrBadToken) {
				t.Errorf("%q: %v", s, err)
			}
			return
		}
		if tok.String() != s {
			t.Errorf("%q reads as %+v, which writes as %q", s, tok, tok)
		}
	})
}

// FuzzToken makes well-formed tokens of hostile values.
func FuzzToken(f *testing.F) {
	f.Add(true, uint8(1), uint8(0), uint8(0), uint64(3), int64(100), "x")
	f.Add(false, uint8(9), uint8(9), uint8(9), ^uint64(0), int64(-1), "a/b")
	f.Fuzz(func(t *testing.T, granted bool, access, kind, scope uint8, number uint64, size int64, name string) {
		if len(name) > 255 {
			return
		}
		in := &Token{Granted: granted, Access: Access(access), Kind: Kind(kind), Scope: Scope(scope), Number: number, Size: size, Name: name}
		out, err := ParseToken(in.String())
		if err != nil {
			if !errors.Is(err, ErrBadToken) {
				t.Error(err)
			}
			return
		}
		if !reflect.DeepEqual(in, out) || out.Size <= 0 || out.Size > MaxSize || out.Access == CopyOnWrite {
			t.Errorf("%+v reads as %+v", in, out)
		}
	})
}

func FuzzParseRecord(f *testing.F) {
	f.Add(goldenRecord().Append(nil), 0, byte(0))
	f.Add(goldenRecord().Append(nil), 88, byte(255))
	f.Fuzz(func(t *testing.T, b []byte, at int, x byte) {
		if len(b) > 0 && at >= 0 {
			b = bytes.Clone(b)
			b[at%len(b)] ^= x
		}
		r, err := ParseRecord(b)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Error(err)
			}
			return
		}
		if again, err := ParseRecord(r.Append(nil)); err != nil || !reflect.DeepEqual(again, r) {
			t.Errorf("%+v reads back as %+v, %v", r, again, err)
		}
	})
}

func FuzzValidateEvent(f *testing.F) {
	f.Add(NewEvent(true, true))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := ValidateEvent(b); err != nil &&
			!errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) && !errors.Is(err, ErrKindMismatch) {
			t.Error(err)
		}
	})
}

func FuzzCheckName(f *testing.F) {
	for _, s := range []string{"a", "", "a/b", "\xff", "..", strings.Repeat("x", 200)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if err := CheckName(s); err == nil && (len(s) == 0 || len(s) > MaxName || strings.ContainsAny(s, "/\\\x00")) {
			t.Errorf("%q passes", s)
		}
	})
}

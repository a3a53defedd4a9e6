package layout

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"os"
	"reflect"
	"regexp"
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

func goldenSegment() *SegmentHeader {
	h := &SegmentHeader{
		Kind: uint32(Semaphore), Size: 256 + 512 + 5*MemberSize + 1000, Live: 256, LiveSize: LockWordsSize,
		Table: 768, Members: 5, Stride: MemberSize, Payload: 768 + 5*MemberSize, PayloadSize: 1000,
		Fingerprint: 0x1122334455667788, Created: 1_700_000_000_123_456_789, PID: 4242, Flags: 77,
	}
	PutText(h.TypeName[:], "Point{X,Y int32}")
	PutText(h.Creator[:], "golden 图像")
	return h
}

// goldenLocks are segments of each kind of lock that are in use: they name the holder, the
// sleepers and the members that died.
func goldenLocks() map[string]goldenLock {
	owner, writer := OwnerOf(1, 7), OwnerOf(2, 3)
	return map[string]goldenLock{
		"mutex.bin":     {Kind: Mutex, State: uint64(owner | HeldBit | Dirty), DiedPID: 4244, Sleepers: 1 << 0},
		"rwmutex.bin":   {Kind: RWMutex, State: uint64(writer), Held: 3, Sleepers: 1 << 2}, // waits for the reads of slot 0
		"semaphore.bin": {Kind: Semaphore, Flags: 77, State: 5},
		"event.bin":     {Kind: Event, Flags: EventManual, State: 1},
	}
}

type goldenLock struct {
	Kind     Kind
	Flags    uint32
	State    uint64
	Held     uint64 // of slot 0
	Sleepers uint64
	DiedPID  uint32
}

const goldenTime = 1_700_000_000_123_456_789

// bytes lays a lock out by the types of the code.
func (g goldenLock) bytes() []byte {
	const members = 3
	h := &SegmentHeader{
		Kind: uint32(g.Kind), Flags: g.Flags, Members: members, Created: goldenTime, PID: 4242,
		Live: SegmentHeaderSize, LiveSize: LockWordsSize, Table: SegmentHeaderSize + LockWordsSize,
		Size: SegmentHeaderSize + LockWordsSize + members*MemberSize,
	}
	PutText(h.Creator[:], "golden")
	var b bytes.Buffer
	b.Write(EncodeSegment(h))
	live := LockWords{State: g.State, DiedPID: g.DiedPID}
	live.Sleepers[0] = g.Sleepers
	if g.DiedPID != 0 {
		live.DiedAt = goldenTime + 1
		PutText(live.DiedName[:], "died 图像")
	}
	put := func(v any) {
		if err := binary.Write(&b, binary.LittleEndian, v); err != nil {
			panic(err)
		}
	}
	put(&live)
	for i := range members {
		m := Member{
			Identity: uint64([]uint32{1, 7, 3}[i])<<32 | 1, PID: uint32(4242 + i), Start: 0x1122334455 + uint64(i),
			Joined: goldenTime + int64(i), Waker: uint32(10 + i),
		}
		if i == 0 {
			m.Held = g.Held
		}
		PutText(m.Name[:], fmt.Sprintf("member %d", i))
		put(&m)
	}
	return b.Bytes()
}

// The words of each kind of lock lie where version 1 had them. They are read with the offsets that
// the code uses.
func TestGoldenLocks(t *testing.T) {
	for name, g := range goldenLocks() {
		path := "testdata/v1/" + name
		if *update {
			if err := os.WriteFile(path, g.bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(b, g.bytes()) {
			t.Errorf("%s is not what this version writes", path)
		}
		h, err := ParseSegment(b, g.Kind, int64(len(b)))
		if err != nil {
			t.Errorf("%s: %v", path, err)
			continue
		}
		live, table := b[h.Live:h.Live+h.LiveSize], b[h.Table:]
		le := binary.LittleEndian
		slot := Owner(g.State).Slot()
		read := goldenLock{
			Kind: Kind(h.Kind), Flags: h.Flags, State: le.Uint64(live[LockStateOffset:]), Sleepers: le.Uint64(live[LockSleepersOffset:]),
			Held: le.Uint64(table[MemberHeldOffset:]), DiedPID: le.Uint32(live[LockDiedPIDOffset:]),
		}
		if read != g {
			t.Errorf("%s reads as %+v, want %+v", path, read, g)
		}
		if g.DiedPID != 0 && (le.Uint64(live[LockDiedAtOffset:]) != goldenTime+1 || Text(live[LockDiedNameOffset:][:64]) != "died 图像") {
			t.Errorf("%s: who died is %q", path, live[LockDiedAtOffset:LockDiedNameOffset+64])
		}
		for i := range int(h.Members) {
			m := table[i*MemberSize:]
			if le.Uint32(m[MemberPIDOffset:]) != uint32(4242+i) || le.Uint64(m[MemberStartOffset:]) != 0x1122334455+uint64(i) ||
				le.Uint64(m[MemberJoinedOffset:]) != goldenTime+uint64(i) || le.Uint32(m[MemberWakerOffset:]) != uint32(10+i) ||
				Text(m[MemberNameOffset:][:64]) != fmt.Sprintf("member %d", i) || le.Uint64(m)&1 == 0 {
				t.Errorf("%s: member %d reads as % x", path, i, m[:MemberSize])
			}
		}
		// The owner word names the member that is in its slot.
		if g.Kind == Mutex || g.Kind == RWMutex {
			if id := le.Uint64(table[slot*MemberSize:]); !Owner(g.State).Names(OwnerOf(slot, uint32(id>>32))) {
				t.Errorf("%s: owner word %#x, the member in its slot has identity %#x", path, g.State, id)
			}
		}
	}
}

func goldenToken() *Token {
	return &Token{
		Granted: true, Access: ReadOnly, Kind: Memory, Scope: Local,
		From: Process{1234, 567890}, To: Process{4321, 98765}, Number: 7,
		ID: ID{0xff, 1, 2}, Size: 64 << 20, Name: "frames",
	}
}

// Each version wrote golden files. All later versions must read and reproduce them. A change of the
// layout needs a new version and new files.
func TestGolden(t *testing.T) {
	for name, got := range map[string][]byte{
		"segment.bin": EncodeSegment(goldenSegment()),
		"record.bin":  goldenRecord().Append(nil),
		"token.txt":   []byte(goldenToken().String() + "\n"),
		"lanes.bin":   EncodeLaneConfig(goldenLaneConfig()),
		"calls.bin":   EncodeServiceConfig(goldenServiceConfig()),
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
	seg, _ := os.ReadFile("testdata/v1/segment.bin")
	want := goldenSegment()
	want.Magic, want.Version, want.MinReader, want.CRC = SegmentMagic, 1, 1, binary.LittleEndian.Uint32(seg[124:])
	if h, err := ParseSegment(seg, Semaphore, 1<<20); err != nil || !reflect.DeepEqual(h, want) {
		t.Errorf("segment.bin reads as %+v, %v", h, err)
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
	samePage(t, reflect.TypeFor[SegmentHeader](), reflect.TypeFor[Member](), reflect.TypeFor[LockWords]())
	samePage(t, reflect.TypeFor[ListenerWords](), reflect.TypeFor[ConnWords](), reflect.TypeFor[EndWords]())
	for name, value := range map[string]string{
		"SegmentMagic": fmt.Sprintf("%#x", uint64(SegmentMagic)), "SegmentVersion": fmt.Sprint(SegmentVersion),
		"SegmentFeatures":   fmt.Sprint(SegmentFeatures),
		"SegmentHeaderSize": fmt.Sprint(SegmentHeaderSize), "MemberSize": fmt.Sprint(MemberSize), "LockWordsSize": fmt.Sprint(LockWordsSize),
		"MaxMembers": fmt.Sprint(MaxMembers), "DefaultMembers": fmt.Sprint(DefaultMembers),
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

func TestSegmentVersion(t *testing.T) {
	good := EncodeSegment(goldenSegment())
	for name, c := range map[string]struct {
		at   int
		to   uint32
		want error
		text string
	}{
		"reader too old":  {12, 7, ErrVersion, "version 7"},
		"kind too old":    {8, 0, ErrVersion, "version 0"},
		"kind too new":    {12, 2, ErrVersion, "version 2"},
		"unknown feature": {16, 1 << 9, ErrVersion, "0x200"},
		"other kind":      {20, uint32(Mutex), ErrKindMismatch, "mutex"},
		"no members":      {56, 0, ErrCorrupt, "0 members"},
		"many members":    {56, 1025, ErrCorrupt, "1025"},
		"stride":          {60, 128, ErrCorrupt, "128"},
		"size":            {24, 1 << 30, ErrCorrupt, "1073741824"},
		"live outside":    {32, 1 << 30, ErrCorrupt, "1073741824"},
		"live in header":  {32, 128, ErrCorrupt, "128"},
		"odd table":       {48, 769, ErrCorrupt, "769"},
		"no table":        {48, 0, ErrCorrupt, ""},
		"payload outside": {64, 1 << 31, ErrCorrupt, "2147483648"},
		"payload in live": {64, 384, ErrCorrupt, "384"},
	} {
		b := bytes.Clone(good)
		binary.LittleEndian.PutUint32(b[c.at:], c.to)
		if _, err := ParseSegment(b, Semaphore, 1<<20); c.want != ErrVersion || c.at != 12 {
			if !errors.Is(err, ErrCorrupt) {
				t.Errorf("%s, with a CRC that does not fit: %v", name, err)
			}
		}
		binary.LittleEndian.PutUint32(b[124:], segmentCRC(b))
		if _, err := ParseSegment(b, Semaphore, 1<<20); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v, want %v with %q", name, err, c.want, c.text)
		}
	}
	if _, err := ParseSegment(good[:255], Semaphore, 1<<20); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a short header is %v", err)
	}
	if _, err := ParseSegment(make([]byte, 256), Semaphore, 1<<20); !errors.Is(err, ErrKindMismatch) {
		t.Errorf("zeros are %v", err)
	}
	// Whatever is damaged, it stays a segment; only a later version looks like one.
	for i := range good {
		b := bytes.Clone(good)
		b[i] ^= 0x40
		want := ErrCorrupt
		if i >= 12 && i < 16 {
			want = ErrVersion
		}
		if _, err := ParseSegment(b, Semaphore, 1<<20); !errors.Is(err, want) || errors.Is(err, ErrKindMismatch) {
			t.Errorf("byte %d flipped: %v, want %v", i, err, want)
		}
	}
}

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"": "", "short": "short", "12345678": "12345678", "123456789": "12345678", "1234567ü": "1234567", "图像图": "图像",
	} {
		var b [8]byte
		PutText(b[:], in)
		if got := Text(b[:]); got != want {
			t.Errorf("%q is kept as %q, want %q", in, got, want)
		}
	}
	if got := Text([]byte("a\x1b[2J\xff\x00z")); got != "a\ufffd[2J\ufffd" {
		t.Errorf("hostile text is shown as %q", got)
	}
}

func TestOwner(t *testing.T) {
	for _, slot := range []int{0, 1, 1023} {
		for _, inc := range []uint32{0, 1, 1<<32 - 1} {
			o := OwnerOf(slot, inc)
			for _, w := range []Owner{o, o | Dirty, o | HeldBit, o | Dirty | HeldBit} {
				if w.Slot() != slot || w.Incarnation() != inc || w.Free() || !w.Names(o) || w.Names(OwnerOf(slot, inc+1)) || w.Names(OwnerOf(slot^1, inc)) {
					t.Errorf("slot %d, incarnation %d: %#x is %d, %d", slot, inc, uint64(w), w.Slot(), w.Incarnation())
				}
			}
		}
	}
	if !Owner(0).Free() || !Dirty.Free() || Owner(0).Slot() != -1 {
		t.Error("nobody is somebody")
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

// FuzzToken makes well-formed tokens with hostile values.
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

func FuzzParseSegment(f *testing.F) {
	good := EncodeSegment(goldenSegment())
	f.Add(good, 24, uint64(1<<40), true)
	f.Add(good, 32, ^uint64(0), true)
	f.Add(good, 0, uint64(0), false)
	f.Fuzz(func(t *testing.T, b []byte, at int, x uint64, sign bool) {
		if b = bytes.Clone(b); at >= 0 && at+8 <= len(b) {
			binary.LittleEndian.PutUint64(b[at:], x)
		}
		if sign && len(b) >= SegmentHeaderSize { // a forger can compute a CRC
			binary.LittleEndian.PutUint32(b[124:], segmentCRC(b))
		}
		const size = 1 << 20
		h, err := ParseSegment(b, Semaphore, size)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) && !errors.Is(err, ErrKindMismatch) {
				t.Error(err)
			}
			return
		}
		for _, r := range [][2]uint64{{h.Live, h.LiveSize}, {h.Table, uint64(h.Members) * MemberSize}, {h.Payload, h.PayloadSize}} {
			if r[1] > 0 && (r[0] < SegmentHeaderSize || r[0]+r[1] < r[0] || r[0]+r[1] > size) {
				t.Errorf("region %v passes", r)
			}
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

package layout

import (
	"fmt"
	"math/bits"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// page is a file of docs, with the line ends of Unix.
func page(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("../docs", path))
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}

// tables are the tables of a page that begin with the columns of head, by row and column.
func tables(page, head string) (rows [][]string) {
	for _, part := range strings.Split(page, "\n"+head)[1:] {
		lines := strings.Split(part, "\n")
		for _, l := range lines[min(2, len(lines)):] {
			if !strings.HasPrefix(l, "|") {
				break
			}
			row := strings.Split(strings.Trim(strings.ReplaceAll(l, `\|`, "\x00"), "|"), "|")
			for i := range row {
				row[i] = strings.TrimSpace(row[i])
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// The word tables of docs/protocol name each word of the layout, and its width: bits, or
// bytes where they say so.
func TestProtocolWords(t *testing.T) {
	types := []reflect.Type{
		reflect.TypeFor[Member](), reflect.TypeFor[LockWords](), reflect.TypeFor[LaneWords](), reflect.TypeFor[CellWords](),
		reflect.TypeFor[CursorLine](), reflect.TypeFor[Entry](), reflect.TypeFor[SlotHeader](),
		reflect.TypeFor[NamedReader](),
		reflect.TypeFor[CallOwner](), reflect.TypeFor[CallWork](), reflect.TypeFor[CallAsk](), reflect.TypeFor[CallAnswer](),
		reflect.TypeFor[ListenerWords](), reflect.TypeFor[ConnWords](), reflect.TypeFor[EndWords](),
	}
	width := map[string]int{"SegmentHeader": SegmentHeaderSize * 8} // in bits
	missing := map[string]bool{}
	for _, typ := range types {
		for i := range typ.NumField() {
			f := typ.Field(i)
			if f.Name == "_" {
				continue
			}
			name := typ.Name() + "." + f.Name
			missing[name] = true
			width[name] = int(f.Type.Size()) * 8
			if f.Type.Kind() == reflect.Array && f.Type.Elem().Kind() != reflect.Uint8 {
				width[name] = 1 // a bitmap: member i has bit i
			}
		}
	}
	// Words whose number the settings say.
	c := goldenLaneConfig()
	c.Readers, c.Pins, c.Slots = 16, 16, 1000
	o, err := c.Offsets()
	if err != nil {
		t.Fatal(err)
	}
	width["LaneOffsets.Evicted"] = int(o.Row) / 16 * 8
	width["LaneOffsets.Keeps"] = int(o.Row) / 16 * 8
	width["LaneOffsets.Pins"] = int(o.PinRow) / 16 * 8

	paths, err := filepath.Glob("../docs/protocol/*.md")
	if err != nil || len(paths) < 5 {
		t.Fatalf("%d pages, %v", len(paths), err)
	}
	for _, path := range paths {
		name := filepath.Base(path)
		for _, row := range tables(page(t, "protocol/"+name), "| word | in layout | width |") {
			if row[1] == "" {
				if row[2] != "" {
					t.Errorf("%s: %s is in no structure and %s bits wide", name, row[0], row[2])
				}
				continue
			}
			for _, word := range strings.Split(row[1], ", ") {
				want, ok := width[word]
				if !ok {
					t.Errorf("%s: %s is said to be %s, which package layout does not have", name, row[0], word)
					continue
				}
				delete(missing, word)
				if got := row[2]; got != strconv.Itoa(want) && got != fmt.Sprint(want/8, " bytes") {
					t.Errorf("%s: %s has %s as width, it has %d bits", name, row[0], got, want)
				}
			}
		}
	}
	for word := range missing {
		t.Errorf("no page of docs/protocol tells who writes %s", word)
	}
}

// docs/protocol/locks.md has the bits of the owner word.
func TestProtocolOwnerWord(t *testing.T) {
	got := map[string]uint64{}
	for _, row := range tables(page(t, "protocol/locks.md"), "| bits | meaning |") {
		var from, to int
		if n, _ := fmt.Sscanf(row[0], "%d to %d", &from, &to); n == 1 {
			to = from
		}
		what, _, _ := strings.Cut(row[1], " ")
		got[strings.Trim(what, ":")] = 1<<(to+1) - 1<<from
	}
	want := map[string]uint64{
		"slot": ownerSlot, "DIRTY": uint64(Dirty), "HELD": uint64(HeldBit),
		"incarnation": uint64(OwnerOf(0, 1<<32-1) &^ OwnerOf(0, 0)),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("docs/protocol/locks.md has the masks %v, want %v", got, want)
	}
	if MaxMembers > ownerSlot || bits.OnesCount64(want["incarnation"]) != 32 {
		t.Error("the owner word has no room for every member")
	}
}

// docs/protocol/lane.md says how many slots there are at least, and the limits.
func TestProtocolSlots(t *testing.T) {
	lane := page(t, "protocol/lane.md")
	c := &LaneConfig{Entries: 7, Step: 110, Readers: 1300, Pins: 17, Loans: 19000}
	least := map[string]uint64{}
	cell, evicts := *c, *c
	cell.Lanes, cell.Entries = 0, 0
	c.Lanes, evicts.Lanes, evicts.EvictAfter = 1, 1, 1
	least["a lane"], least["a lane that evicts"], least["a cell"] = c.LeastSlots(), evicts.LeastSlots(), cell.LeastSlots()
	rows := tables(lane, "| slots of | at least |")
	if len(rows) != len(least) {
		t.Errorf("docs/protocol/lane.md tells the slots of %d, want of %d", len(rows), len(least))
	}
	for _, row := range rows {
		if got := sum(t, row[1], c); got != least[row[0]] {
			t.Errorf("docs/protocol/lane.md: %s has %s slots, which is %d, want %d", row[0], row[1], got, least[row[0]])
		}
	}
	for name, value := range map[string]int{
		"MaxMembers": MaxMembers, "MaxLanes": MaxLanes, "MaxEntries": MaxEntries, "MaxSlots": MaxSlots, "MaxPins": MaxPins, "MaxLoans": MaxLoans,
	} {
		if want := []string{name, fmt.Sprintf("`%d`", value)}; !slices.ContainsFunc(tables(lane, "| limit | value |"), func(row []string) bool {
			return slices.Equal(row[:2], want)
		}) {
			t.Errorf("docs/protocol/lane.md lacks the limit %v", want)
		}
	}
}

// sum is the value of an expression of products of fields of c and numbers.
func sum(t *testing.T, expression string, c *LaneConfig) (total uint64) {
	t.Helper()
	for _, term := range strings.Split(strings.Trim(expression, "`"), "+") {
		product := uint64(1)
		for _, factor := range strings.Split(term, "*") {
			factor = strings.TrimSpace(factor)
			if n, err := strconv.ParseUint(factor, 10, 64); err == nil {
				product *= n
			} else if f := reflect.ValueOf(c).Elem().FieldByName(factor); f.IsValid() {
				product *= f.Uint()
			} else {
				t.Errorf("%q is no field of LaneConfig", factor)
			}
		}
		total += product
	}
	return total
}

// docs/layout.md lists the kinds and their numbers, and the roles of their members.
func TestLayoutPageKinds(t *testing.T) {
	text := strings.Join(strings.Fields(page(t, "layout.md")), " ")
	var files, numbers []string
	for _, k := range Kinds() {
		files = append(files, fmt.Sprintf("`%v`", k))
		numbers = append(numbers, fmt.Sprintf("%d %v", uint32(k), k))
	}
	last := len(files) - 1
	for _, want := range []string{
		"with KIND " + strings.Join(files[:last], ", ") + " or " + files[last] + ";",
		"Kind: " + strings.Join(numbers, ", ") + ".",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("docs/layout.md lacks: %s", want)
		}
	}
	for k, roles := range map[Kind]string{Topic: "1 publisher, 2 reliable subscriber, 3 best-effort subscriber", Cell: "1 writer, 2 reader", Service: "1 client, 2 worker"} {
		for _, m := range regexp.MustCompile(`(\d) ([\w-]+)`).FindAllStringSubmatch(roles, -1) {
			if n, _ := strconv.Atoi(m[1]); k.Role(uint32(n)) != m[2] {
				t.Errorf("role %d of a %v is %q, not %q", n, k, k.Role(uint32(n)), m[2])
			}
		}
		if name := k.String(); !strings.Contains(text, strings.ToUpper(name[:1])+name[1:]+": "+roles+".") {
			t.Errorf("docs/layout.md lacks the roles of a %v: %s", k, roles)
		}
	}
}

package layout

import (
	"errors"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// samePage compares sections of docs/layout.md with the structures of their
// names: offset, width and name of each field.
func samePage(t *testing.T, types ...reflect.Type) {
	t.Helper()
	b, err := os.ReadFile("../docs/layout.md")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.ReplaceAll(string(b), "\r\n", "\n")
	for _, typ := range types {
		_, section, ok := strings.Cut(page, "\n## "+typ.Name()+"\n")
		if !ok {
			t.Errorf("docs/layout.md has no section %s", typ.Name())
			continue
		}
		section, _, _ = strings.Cut(section, "\n## ")
		rows := map[string][2]int{}
		for _, m := range regexp.MustCompile(`(?m)^\| (\d+) \| (\d+) \| (\w+) \|`).FindAllStringSubmatch(section, -1) {
			off, _ := strconv.Atoi(m[1])
			width, _ := strconv.Atoi(m[2])
			rows[m[3]] = [2]int{off, width}
		}
		fields := 0
		for i := range typ.NumField() {
			f := typ.Field(i)
			if f.Name == "_" {
				continue
			}
			fields++
			if want := [2]int{int(f.Offset), int(f.Type.Size())}; rows[f.Name] != want {
				t.Errorf("docs/layout.md has %s.%s at %v, it is at %v", typ.Name(), f.Name, rows[f.Name], want)
			}
		}
		if len(rows) != fields {
			t.Errorf("docs/layout.md has %d fields of %s, there are %d", len(rows), typ.Name(), fields)
		}
	}
}

func TestLanePage(t *testing.T) {
	samePage(t, reflect.TypeFor[LaneConfig](), reflect.TypeFor[LaneWords](), reflect.TypeFor[CellWords](),
		reflect.TypeFor[CursorLine](), reflect.TypeFor[Entry](), reflect.TypeFor[SlotHeader](), reflect.TypeFor[PackHeader](), reflect.TypeFor[NamedReader]())
}

func goldenLaneConfig() *LaneConfig {
	c := &LaneConfig{
		Lanes: 2, Entries: 10, Step: 2, Slots: 60, SlotSize: 1152, MaxSize: 1000, Readers: 16, Pins: 2, Loans: 2,
		Flags: LaneChecksum | LaneTime, EvictAfter: 1e9,
	}
	return c
}

func TestLaneConfig(t *testing.T) {
	b := EncodeLaneConfig(goldenLaneConfig())
	c, o, err := ParseLaneConfig(b)
	if err != nil {
		t.Fatal(err)
	}
	c.CRC = 0
	if !reflect.DeepEqual(c, goldenLaneConfig()) {
		t.Errorf("%+v", c)
	}
	want := LaneOffsets{
		Words: 384, Evicted: 384 + 2*384, Cursors: 1152 + 2*128, Keeps: 1408 + 2*16*128, Row: 128, Pins: 5504 + 2*128, PinRow: 128,
		Named: 5760 + 16*128, Live: 5760 + 16*128, Entries: 256, Slots: 2 * 256, Lane: 60 * 1152, Payload: 2 * (256 + 60*1152),
	}
	if *o != want {
		t.Errorf("%+v, want %+v", *o, want)
	}
	packs := goldenLaneConfig()
	packs.Pack, packs.Message = 984, 980
	if c, _, err := ParseLaneConfig(EncodeLaneConfig(packs)); err != nil || c.Pack != 984 || c.Largest() != 980 || goldenLaneConfig().Largest() != 1000 {
		t.Errorf("with packs: %+v, %v", c, err)
	}
	for i := range b {
		bad := append([]byte(nil), b...)
		bad[i] ^= 1
		if _, _, err := ParseLaneConfig(bad); !errors.Is(err, ErrCorrupt) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	for _, change := range []func(c *LaneConfig){
		func(c *LaneConfig) { c.Lanes = MaxLanes + 1 },
		func(c *LaneConfig) { c.Lanes = 0 },
		func(c *LaneConfig) { c.Entries = 1 },
		func(c *LaneConfig) { c.Step = 0 },
		func(c *LaneConfig) { c.Step = c.Entries },
		func(c *LaneConfig) { c.Slots = uint32(c.LeastSlots()) - 1 },
		func(c *LaneConfig) { c.SlotSize++ },
		func(c *LaneConfig) { c.SlotSize = 1 << 50 },
		func(c *LaneConfig) { c.MaxSize = c.SlotSize },
		func(c *LaneConfig) { c.Readers = 0 },
		func(c *LaneConfig) { c.Readers = MaxMembers + 1 },
		func(c *LaneConfig) { c.Pins = 0 },
		func(c *LaneConfig) { c.Loans = 0 },
		func(c *LaneConfig) { c.Flags = 4 },
		func(c *LaneConfig) { c.EvictAfter = -1 },
		func(c *LaneConfig) { c.Pack = 984 },
		func(c *LaneConfig) { c.Message = 1 },
		func(c *LaneConfig) { c.Pack, c.Message = 984, 985 },
		func(c *LaneConfig) { c.Pack, c.Message = 976, 8 },
		func(c *LaneConfig) { c.Pack, c.Message = 1<<32-1, 1<<32-1 },
		func(c *LaneConfig) { // rounded up, Message is 0 as an uint32
			c.Pack, c.Message, c.MaxSize, c.SlotSize = MaxPack, 1<<32-1, PackHeaderSize+MaxPack, 1<<32+128
		},
		func(c *LaneConfig) { c.Pack, c.Message, c.Lanes, c.Entries = 984, 8, 0, 0 },
	} {
		c := goldenLaneConfig()
		change(c)
		if _, _, err := ParseLaneConfig(EncodeLaneConfig(c)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%+v is %v", c, err)
		}
	}
}

// Whatever the settings are, the offsets lie in order and do not wrap.
func FuzzParseLaneConfig(f *testing.F) {
	g := goldenLaneConfig()
	f.Add(g.Lanes, g.Entries, g.Step, g.Slots, g.Readers, g.Pins, g.Loans, g.SlotSize, g.MaxSize, g.EvictAfter)
	f.Add(uint32(0), uint32(0), uint32(32), g.Slots*10, g.Readers, g.Pins, g.Loans, g.SlotSize, g.MaxSize, int64(0))
	f.Fuzz(func(t *testing.T, lanes, entries, step, slots, readers, pins, loans uint32, slotSize, maxSize uint64, evict int64) {
		c, o, err := ParseLaneConfig(EncodeLaneConfig(&LaneConfig{
			Lanes: lanes, Entries: entries, Step: step, Slots: slots, SlotSize: slotSize, MaxSize: maxSize,
			Readers: readers, Pins: pins, Loans: loans, EvictAfter: evict,
		}))
		if err != nil {
			return
		}
		if o.Live < o.Pins || o.Pins < o.Keeps || o.Keeps < o.Words || o.Slots != uint64(c.Lanes)*o.Entries ||
			(o.Payload-o.Slots)/max(uint64(c.Lanes), 1) != o.Lane || o.Lane != uint64(c.Slots)*c.SlotSize || c.WriterSlots() > uint64(c.Slots) || c.MaxSize+SlotHeaderSize > c.SlotSize {
			t.Errorf("%+v is laid out as %+v", c, o)
		}
	})
}

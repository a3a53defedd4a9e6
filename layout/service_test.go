package layout

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func goldenServiceConfig() *ServiceConfig {
	return &ServiceConfig{Calls: 7, Parts: 3, Request: 1000, Response: 5000}
}

// docs/layout.md has the structures of a service, and its limits.
func TestServicePage(t *testing.T) {
	samePage(t, reflect.TypeFor[ServiceConfig](), reflect.TypeFor[CallOwner](), reflect.TypeFor[CallWork](),
		reflect.TypeFor[CallAsk](), reflect.TypeFor[CallAnswer]())
	for name, value := range map[string]int{"MaxCalls": MaxCalls, "MaxParts": MaxParts, "MinErrorRoom": MinErrorRoom} {
		if want := fmt.Sprintf("| %s | `%d` |", name, value); !strings.Contains(page(t, "layout.md"), want) {
			t.Errorf("docs/layout.md lacks %s", want)
		}
	}
}

func TestServiceConfig(t *testing.T) {
	b := EncodeServiceConfig(goldenServiceConfig())
	c, o, err := ParseServiceConfig(b)
	if err != nil {
		t.Fatal(err)
	}
	c.CRC = 0
	if !reflect.DeepEqual(c, goldenServiceConfig()) {
		t.Errorf("%+v", c)
	}
	ask, part := uint64(256), uint64(5120)
	if want := (ServiceOffsets{Work: 128, Ask: ask, Answer: ask + 1152, Part: part, Slot: ask + 1152 + 3*part, Payload: 7 * (ask + 1152 + 3*part)}); *o != want {
		t.Errorf("%+v, want %+v", *o, want)
	}
	small := ServiceConfig{Calls: 1, Parts: 1, Request: 1, Response: 1}
	if o, err := small.Offsets(); err != nil || o.Part < CallAnswerSize+MinErrorRoom {
		t.Errorf("%+v, %v: no room for the text of an error", o, err)
	}
	for i := range b {
		bad := append([]byte(nil), b...)
		bad[i] ^= 1
		if _, _, err := ParseServiceConfig(bad); !errors.Is(err, ErrCorrupt) {
			t.Errorf("with another byte %d: %v", i, err)
		}
	}
	if _, _, err := ParseServiceConfig(b[:127]); !errors.Is(err, ErrCorrupt) {
		t.Error(err)
	}
	for what, change := range map[string]func(c *ServiceConfig){
		"Calls 0":           func(c *ServiceConfig) { c.Calls = 0 },
		"Calls 1025":        func(c *ServiceConfig) { c.Calls = MaxCalls + 1 },
		"Parts 0":           func(c *ServiceConfig) { c.Parts = 0 },
		"Parts 65":          func(c *ServiceConfig) { c.Parts = MaxParts + 1 },
		"Request 0":         func(c *ServiceConfig) { c.Request = 0 },
		"Response 0":        func(c *ServiceConfig) { c.Response = 0 },
		"Request 4294967":   func(c *ServiceConfig) { c.Request = 1 << 32 },
		"Response 42949672": func(c *ServiceConfig) { c.Response = 1 << 32 },
	} {
		c := goldenServiceConfig()
		change(c)
		if _, _, err := ParseServiceConfig(EncodeServiceConfig(c)); !errors.Is(err, ErrCorrupt) || !strings.Contains(fmt.Sprint(err), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// A state and a reply have what they were composed of.
func TestCallWords(t *testing.T) {
	for _, w := range []Owner{OwnerOf(0, 1), OwnerOf(MaxMembers-1, 1<<32-1)} {
		for _, n := range []uint16{0, 1, 1<<16 - 1} {
			for _, phase := range []CallState{CallFree, CallAsked, CallTaken} {
				s := CallStateOf(phase, w, n)
				if s.Phase() != phase || s.Worker() != w || s.Number() != n {
					t.Errorf("%v, %v, %d became %v, %v, %d", phase, w, n, s.Phase(), s.Worker(), s.Number())
				}
			}
			for _, status := range []CallReply{ReplyMore, ReplyDone, ReplyFailed, ReplyEnd, ReplyCut, ReplyCut + ReplyMore} {
				r := CallReplyOf(status, n, 1<<32-1)
				if r.Status() != status || r.Number() != n || r.Parts() != 1<<32-1 || r.Ended(n) != (status != ReplyMore && status != ReplyCut+ReplyMore) || r.Ended(n+1) {
					t.Errorf("%v, %d became %v, %d, %d", status, n, r.Status(), r.Number(), r.Parts())
				}
			}
		}
	}
}

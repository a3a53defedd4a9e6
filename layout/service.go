package layout

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/bits"
	"unsafe"
)

// ServiceConfig says how the call slots of a service are laid out. It is written before anybody can
// open the segment, and never changes.
type ServiceConfig struct {
	Calls    uint32 //  0 call slots, 1 to MaxCalls
	Parts    uint32 //  4 parts of a streamed response that a slot has room for, 1 to MaxParts
	Request  uint64 //  8 bytes of the largest request
	Response uint64 // 16 bytes of the largest response, and of the largest part of a stream
	_        [100]byte
	CRC      uint32 // 124 CRC-32C of bytes 0..123
}

// CallOwner is the first line of a call slot: the words that no worker has to look at for a call.
// docs/protocol/service.md says who writes the words of a call slot, and in which order.
type CallOwner struct {
	// Owner names the client that has the slot: an Owner without Dirty and HeldBit. 0: the slot is
	// free.
	Owner uint64 // 0
	// Cancel says that the client has given up a call:
	//
	//	63                            17 16 15               0
	//	+-------------------------------+--+------------------+
	//	|               0               |1 | number of a call |
	//	+-------------------------------+--+------------------+
	Cancel uint64 // 8
	// Consumed counts the parts of a stream that the client has read and let go:
	//
	//	63                  32 31             16 15            0
	//	+---------------------+-----------------+---------------+
	//	| number of parts     |        0        | of this call  |
	//	+---------------------+-----------------+---------------+
	Consumed uint64 // 16
	_        [104]byte
}

// CallWork is the second line of a call slot: the words that no client has to look at for a call.
type CallWork struct {
	// Begun is the state of the call that a worker has begun last. A worker writes it before it
	// begins.
	Begun uint64 // 0 a CallState
	// The worker that died during the last call that nobody finished. Its reaper writes these before
	// it ends the call.
	DiedAt    int64    //  8 when the death was noticed, nanoseconds since 1970
	DiedSpace uint64   // 16 pid namespace of DiedPID, see Member
	DiedPID   uint32   // 24
	DiedCall  uint32   // 28 the number of the call
	DiedName  [64]byte // 32
	_         [32]byte
}

// CallAsk precedes a request. The request begins on the same line.
type CallAsk struct {
	State    uint64 //  0 a CallState
	Length   uint32 //  8 bytes of the request
	Client   uint32 // 12 the client's slot in the member table
	Deadline int64  // 16 when the caller gives up, nanoseconds since 1970; 0: never
	Flags    uint32 // 24 CallIdempotent, CallStream
	_        [4]byte
}

// CallAnswer precedes each part of a response. The part begins on the same line. Reply is used
// in the first of them only.
type CallAnswer struct {
	Reply  uint64 //  0 a CallReply
	Length uint32 //  8 bytes of the part
	Code   uint32 // 12 of the error, if the part is the text of one
	_      [16]byte
}

// Bits of CallAsk.Flags:
//
//	31                      2 1 0
//	+------------------------+-+-+
//	|           0            |S|I|
//	+------------------------+-+-+
//
// I is CallIdempotent, S is CallStream.
const (
	CallIdempotent = 1 // if the worker dies, another one may execute the call again
	CallStream     = 2 // the client takes a response of several parts
)

// CallState says what happens to the call of a slot:
//
//	63             48 47                          16 15 13 12 11 10            0
//	+----------------+------------------------------+-----+-----+---------------+
//	| number of call | incarnation, 32 bits         |  0  |phase| slot + 1      |
//	+----------------+------------------------------+-----+-----+---------------+
//
// Slot and incarnation name the worker that has the call. They are 0 if no worker has it. The
// number is the lower 16 bits of the number of calls that were asked in the slot.
type CallState uint64

// These are the phases of a CallState.
const (
	CallFree  CallState = 0 << 11 // nobody has asked, or the last call has ended
	CallAsked CallState = 1 << 11 // the request is complete, and no worker has taken it
	CallTaken CallState = 2 << 11 // a worker has the call, or has answered it and looks at the slot

	callPhase CallState = 3 << 11
)

// CallStateOf composes a state. worker is 0 except for CallTaken.
func CallStateOf(phase CallState, worker Owner, number uint16) CallState {
	return phase | CallState(worker) | CallState(number)<<48
}

// Phase is the phase of the state.
func (s CallState) Phase() CallState { return s & callPhase }

// Worker names the worker that has the call.
func (s CallState) Worker() Owner { return Owner(s) & (ownerSlot | (1<<32-1)<<16) }

// Number is the number of the call.
func (s CallState) Number() uint16 { return uint16(s >> 48) }

// String is "asked, call 3".
func (s CallState) String() string {
	name := fmt.Sprintf("phase %d", s.Phase()>>11)
	switch s.Phase() {
	case CallFree:
		name = "free"
	case CallAsked:
		name = "asked"
	case CallTaken:
		name = fmt.Sprintf("taken by member %d", s.Worker().Slot())
	}
	return fmt.Sprintf("%s, call %d", name, s.Number())
}

// CallReply says how far the response to a call is:
//
//	63                          32 31       19 18  16 15              0
//	+-----------------------------+-----------+------+-----------------+
//	| number of parts that are    |     0     |status| number of call  |
//	| complete                    |           |      |                 |
//	+-----------------------------+-----------+------+-----------------+
type CallReply uint64

// These are the statuses of a CallReply.
const (
	ReplyMore   CallReply = 1 << 16 // further parts will follow
	ReplyDone   CallReply = 2 << 16 // the last part is complete
	ReplyFailed CallReply = 3 << 16 // the last part is the text of an error
	ReplyEnd    CallReply = 4 << 16 // there is no further part
	ReplyCut    CallReply = 5 << 16 // there is no further part, and the response is not complete

	replyStatus CallReply = 7 << 16
)

// CallReplyOf composes a reply.
func CallReplyOf(status CallReply, number uint16, parts uint32) CallReply {
	return status | CallReply(number) | CallReply(parts)<<32
}

// Status is the status of the reply.
func (r CallReply) Status() CallReply { return r & replyStatus }

// Number is the number of the call.
func (r CallReply) Number() uint16 { return uint16(r) }

// Parts is the number of parts that are complete.
func (r CallReply) Parts() uint32 { return uint32(r >> 32) }

// Ended says whether the worker has finished call number.
func (r CallReply) Ended(number uint16) bool {
	return r.Number() == number && r.Status() >= ReplyDone && r.Status() <= ReplyCut
}

// These are the sizes and offsets of a service, in bytes, and its limits.
const (
	ServiceConfigOffset = 256 // in the live region, after Sleepers
	ServiceConfigSize   = 128
	// ServiceHintsOffset is the bitmap of call slots in which somebody has asked.
	ServiceHintsOffset = ServiceConfigOffset + ServiceConfigSize
	ServiceLiveSize    = ServiceHintsOffset + MaxCalls/8

	CallOwnerSize      = 128
	CallCancelOffset   = 8
	CallConsumedOffset = 16

	CallWorkSize        = 128
	CallDiedAtOffset    = 8
	CallDiedSpaceOffset = 16
	CallDiedPIDOffset   = 24
	CallDiedCallOffset  = 28
	CallDiedNameOffset  = 32

	CallAskSize        = 32
	CallLengthOffset   = 8
	CallClientOffset   = 12
	CallDeadlineOffset = 16
	CallFlagsOffset    = 24

	CallAnswerSize   = 32
	CallCodeOffset   = 12
	MaxCalls         = 1024
	MaxParts         = 64
	MinErrorRoom     = 256 // a response has room for an error text of this size at least
	maxCallPayload   = 1<<32 - 1
	maxServiceMemory = 1 << 56
)

// These lines stop the build if the structures differ from docs/layout.md.
const (
	_ = -(unsafe.Sizeof(ServiceConfig{}) ^ ServiceConfigSize)
	_ = -(unsafe.Offsetof(ServiceConfig{}.CRC) ^ 124)
	_ = -(unsafe.Sizeof(CallOwner{}) ^ CallOwnerSize)
	_ = -(unsafe.Offsetof(CallOwner{}.Cancel) ^ CallCancelOffset)
	_ = -(unsafe.Offsetof(CallOwner{}.Consumed) ^ CallConsumedOffset)
	_ = -(unsafe.Sizeof(CallWork{}) ^ CallWorkSize)
	_ = -(unsafe.Offsetof(CallWork{}.DiedAt) ^ CallDiedAtOffset)
	_ = -(unsafe.Offsetof(CallWork{}.DiedSpace) ^ CallDiedSpaceOffset)
	_ = -(unsafe.Offsetof(CallWork{}.DiedPID) ^ CallDiedPIDOffset)
	_ = -(unsafe.Offsetof(CallWork{}.DiedCall) ^ CallDiedCallOffset)
	_ = -(unsafe.Offsetof(CallWork{}.DiedName) ^ CallDiedNameOffset)
	_ = -(unsafe.Sizeof(CallAsk{}) ^ CallAskSize)
	_ = -(unsafe.Offsetof(CallAsk{}.Client) ^ CallClientOffset)
	_ = -(unsafe.Offsetof(CallAsk{}.Deadline) ^ CallDeadlineOffset)
	_ = -(unsafe.Offsetof(CallAsk{}.Flags) ^ CallFlagsOffset)
	_ = -(unsafe.Sizeof(CallAnswer{}) ^ CallAnswerSize)
	_ = -(unsafe.Offsetof(CallAnswer{}.Length) ^ CallLengthOffset)
	_ = -(unsafe.Offsetof(CallAnswer{}.Code) ^ CallCodeOffset)
)

// ServiceOffsets say where the parts of a call slot lie in the payload, in bytes.
type ServiceOffsets struct {
	Work    uint64 // of the CallWork, from the begin of a slot
	Ask     uint64 // of the CallAsk, from the begin of a slot
	Answer  uint64 // of the first CallAnswer, from the begin of a slot
	Part    uint64 // bytes from one CallAnswer to the next
	Slot    uint64 // bytes of a slot
	Payload uint64 // bytes of all slots
}

// Offsets checks c and computes the offsets.
//
// Errors: ErrCorrupt.
func (c *ServiceConfig) Offsets() (*ServiceOffsets, error) {
	for _, x := range []struct {
		what           string
		v, least, most uint64
	}{
		{"Calls", uint64(c.Calls), 1, MaxCalls},
		{"Parts", uint64(c.Parts), 1, MaxParts},
		{"Request", c.Request, 1, maxCallPayload},
		{"Response", c.Response, 1, maxCallPayload},
	} {
		if x.v < x.least || x.v > x.most {
			return nil, fmt.Errorf("service settings have %s %d, want %d to %d: %w", x.what, x.v, x.least, x.most, ErrCorrupt)
		}
	}
	o := &ServiceOffsets{Work: CallOwnerSize, Ask: CallOwnerSize + CallWorkSize, Part: lines(CallAnswerSize + max(c.Response, MinErrorRoom))}
	o.Answer = o.Ask + lines(CallAskSize+c.Request)
	o.Slot = o.Answer + uint64(c.Parts)*o.Part
	hi, n := bits.Mul64(uint64(c.Calls), o.Slot)
	if hi != 0 || n > maxServiceMemory {
		return nil, fmt.Errorf("service settings have %d call slots of %d bytes, too many bytes: %w", c.Calls, o.Slot, ErrCorrupt)
	}
	o.Payload = n
	return o, nil
}

// EncodeServiceConfig returns the bytes of c, with the CRC filled in.
func EncodeServiceConfig(c *ServiceConfig) []byte {
	b := make([]byte, ServiceConfigSize)
	le := binary.LittleEndian
	le.PutUint32(b[0:], c.Calls)
	le.PutUint32(b[4:], c.Parts)
	le.PutUint64(b[8:], c.Request)
	le.PutUint64(b[16:], c.Response)
	le.PutUint32(b[124:], crc32.Checksum(b[:124], castagnoli))
	return b
}

// ParseServiceConfig reads and checks a ServiceConfig. b is a private copy of it.
//
// Errors: ErrCorrupt.
func ParseServiceConfig(b []byte) (*ServiceConfig, *ServiceOffsets, error) {
	if len(b) < ServiceConfigSize {
		return nil, nil, fmt.Errorf("service settings of %d bytes, want %d: %w", len(b), ServiceConfigSize, ErrCorrupt)
	}
	le := binary.LittleEndian
	if got, want := le.Uint32(b[124:]), crc32.Checksum(b[:124], castagnoli); got != want {
		return nil, nil, fmt.Errorf("service settings have CRC %#08x, but their bytes give %#08x: %w", got, want, ErrCorrupt)
	}
	c := &ServiceConfig{
		Calls: le.Uint32(b[0:]), Parts: le.Uint32(b[4:]), Request: le.Uint64(b[8:]), Response: le.Uint64(b[16:]), CRC: le.Uint32(b[124:]),
	}
	o, err := c.Offsets()
	return c, o, err
}

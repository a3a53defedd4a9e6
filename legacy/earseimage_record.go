package legacy

import (
	"encoding/binary"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"samepage"
)

// The section, in bytes, as in wire.h:
//
//	0     source    WCHAR name[260], i32 offset, size, type
//	532   result 1  the same; its name is nobody's
//	1064  result 2
//	1596  status    i32: 0 sent, 1 received
//	1600  success   i32: 1, there are results
//	1604  extension WCHAR[4096]
//	9796  the results' files, up to 3,145,728
//
// The requester writes all of the record, then its message (WM_USER+110) or event
// gives the section to the worker. The worker writes the results' files, where they
// are, status, and success last; its message (WM_USER+111) or event gives the section
// back. Nobody looks at the section while it is not theirs: a C++ worker writes
// success before the results.
const (
	earseSize        = 3145728
	earseRecordSize  = 9796
	earseSourceAt    = 0
	earseResultAt    = 532 // of the first; the second one follows
	earseStatusAt    = 1596
	earseSuccessAt   = 1600
	earseExtensionAt = 1604

	earseFileSize  = 532
	earseOffsetIn  = 520 // a file's record
	earseSizeIn    = 524
	earseTypeIn    = 528
	earseName      = 260  // units, with the NUL
	earseExtension = 4096 // units, with the NUL

	earseSent     = 0
	earseReceived = 1
)

func earseInt32(b []byte, at int) int32       { return int32(binary.LittleEndian.Uint32(b[at:])) }
func putEarseInt32(b []byte, at int, v int32) { binary.LittleEndian.PutUint32(b[at:], uint32(v)) }

// earseText reads units of UTF-16 up to a NUL, and says whether there was one.
func earseText(b []byte, at, units int) (string, bool) {
	u := make([]uint16, 0, 64)
	for i := range units {
		c := binary.LittleEndian.Uint16(b[at+2*i:])
		if c == 0 {
			return string(utf16.Decode(u)), true
		}
		u = append(u, c)
	}
	return string(utf16.Decode(u)), false
}

// putEarseText writes text and a NUL, of which there is room for units, into zeros.
// Errors: samepage.ErrTooLarge, samepage.ErrName.
func putEarseText(b []byte, at, units int, text string) error {
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return fmt.Errorf("%.100q is not UTF-8 without NUL: %w", text, samepage.ErrName)
	}
	u := utf16.Encode([]rune(text))
	if len(u) >= units {
		return fmt.Errorf("%.100q has %d units in UTF-16, at most %d fit: %w", text, len(u), units-1, samepage.ErrTooLarge)
	}
	for i, c := range u {
		binary.LittleEndian.PutUint16(b[at+2*i:], c)
	}
	return nil
}

// encodeEarseRequest is the record of a job. Errors: samepage.ErrName,
// samepage.ErrTooLarge.
func encodeEarseRequest(j EarseImageJob) ([]byte, error) {
	b := make([]byte, earseRecordSize)
	if j.Source == "" {
		return nil, fmt.Errorf("a source without a name: %w", samepage.ErrName)
	}
	if err := putEarseText(b, earseSourceAt, earseName, j.Source); err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	if err := putEarseText(b, earseExtensionAt, earseExtension, j.Extension); err != nil {
		return nil, fmt.Errorf("extension: %w", err)
	}
	putEarseInt32(b, earseSourceAt+earseOffsetIn, earseRecordSize)
	putEarseInt32(b, earseSourceAt+earseTypeIn, int32(j.Type))
	return b, nil // size, status and success are 0
}

// parseEarseRequest reads a job from a copy of a record. Errors: samepage.ErrCorrupt.
func parseEarseRequest(b []byte) (j EarseImageJob, err error) {
	j.Type = ImageType(earseInt32(b, earseSourceAt+earseTypeIn))
	source, ok := earseText(b, earseSourceAt, earseName)
	switch {
	case !ok:
		return j, fmt.Errorf("the name of the source, %.20q..., has no NUL within %d units: %w", source, earseName, samepage.ErrCorrupt)
	case source == "":
		return j, fmt.Errorf("the source has no name: %w", samepage.ErrCorrupt)
	}
	j.Source = source
	if status := earseInt32(b, earseStatusAt); status != earseSent {
		return j, fmt.Errorf("status %d, want %d: %w", status, earseSent, samepage.ErrCorrupt)
	}
	if extension, ok := earseText(b, earseExtensionAt, earseExtension); ok {
		j.Extension = extension // otherwise it is what was on the requester's stack
	}
	return j, nil
}

// earsePending says whether a record is a job that nobody has answered. New memory
// has none.
func earsePending(b []byte) bool {
	asked := earseInt32(b, earseSourceAt+earseOffsetIn) != 0 || binary.LittleEndian.Uint16(b[earseSourceAt:]) != 0
	return asked && earseInt32(b, earseStatusAt) == earseSent
}

// earseResult is where a result lies.
type earseResult struct {
	offset, size int32
	typ          ImageType
}

func (r earseResult) end() int64 { return int64(r.offset) + int64(r.size) }

func (r earseResult) String() string {
	return fmt.Sprintf("%v, %d bytes at %d", r.typ, r.size, r.offset)
}

// parseEarseAnswer reads from a copy of a record where the results are: behind it, in
// the section, and not in each other. Errors: ErrJobFailed, samepage.ErrCorrupt.
func parseEarseAnswer(b []byte) (res [2]earseResult, err error) {
	if status := earseInt32(b, earseStatusAt); status != earseSent && status != earseReceived {
		return res, fmt.Errorf("status %d of an answer, want %d or %d: %w", status, earseSent, earseReceived, samepage.ErrCorrupt)
	}
	switch success := earseInt32(b, earseSuccessAt); success {
	case 0:
		return res, earseFailure(b)
	case 1:
	default:
		return res, fmt.Errorf("success %d of an answer, want 0 or 1: %w", success, samepage.ErrCorrupt)
	}
	for i := range res {
		at := earseResultAt + i*earseFileSize
		r := earseResult{earseInt32(b, at+earseOffsetIn), earseInt32(b, at+earseSizeIn), ImageType(earseInt32(b, at+earseTypeIn))}
		if r.offset < earseRecordSize || r.size <= 0 || r.end() > earseSize {
			return res, fmt.Errorf("result %d, %v, is not within %d to %d: %w", i+1, r, earseRecordSize, earseSize, samepage.ErrCorrupt)
		}
		res[i] = r
	}
	if int64(res[0].offset) < res[1].end() && int64(res[1].offset) < res[0].end() {
		return res, fmt.Errorf("result 1, %v, and result 2, %v, overlap: %w", res[0], res[1], samepage.ErrCorrupt)
	}
	return res, nil
}

// earseFailure is the error of an answer without success: an ErrJobFailed, with the
// worker's reason. C++ workers leave the extension as it was asked.
func earseFailure(b []byte) error {
	reason, ok := earseText(b, earseExtensionAt, earseExtension)
	switch {
	case !ok:
		return fmt.Errorf("%w, and its reason has no NUL within %d units: %w", ErrJobFailed, earseExtension, samepage.ErrCorrupt)
	case reason == "" || earseInt32(b, earseStatusAt) != earseReceived:
		return fmt.Errorf("%w: it gave no reason", ErrJobFailed)
	}
	return fmt.Errorf("%w: %s", ErrJobFailed, earsePlain(reason))
}

// earsePlain is a text for messages: quoted when it could do something to a terminal.
func earsePlain(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}

// takeEarseAnswer copies an answer out of the section, each byte once, and checks the
// copy. Errors: ErrJobFailed, samepage.ErrCorrupt.
func takeEarseAnswer(m io.ReaderAt) (*EarseImageAnswer, error) {
	b := make([]byte, earseRecordSize)
	if _, err := m.ReadAt(b, 0); err != nil {
		return nil, err
	}
	res, err := parseEarseAnswer(b)
	if err != nil {
		return nil, err
	}
	a := &EarseImageAnswer{}
	for i, r := range res {
		a.Images[i] = EncodedImage{r.typ, make([]byte, r.size)}
		// A read up to the end of the section may say io.EOF with all of it.
		if n, err := m.ReadAt(a.Images[i].Data, int64(r.offset)); n < int(r.size) {
			return nil, fmt.Errorf("result %d, %v: %w", i+1, r, err)
		}
	}
	return a, nil
}

// checkEarseResults says whether two results can be an answer. Errors:
// samepage.ErrTooLarge, samepage.ErrZeroSize.
func checkEarseResults(first, second []byte) error {
	switch {
	case len(first) == 0 || len(second) == 0:
		return fmt.Errorf("results of %d and %d bytes: %w", len(first), len(second), samepage.ErrZeroSize)
	case len(first) > EarseImageRoom || len(second) > EarseImageRoom-len(first):
		return fmt.Errorf("results of %d and %d bytes, of which %d fit together: %w", len(first), len(second), EarseImageRoom, samepage.ErrTooLarge)
	}
	return nil
}

// writeEarseAnswer writes two results that checkEarseResults has seen: the data, then
// where it is, then status, and success last.
func writeEarseAnswer(m io.WriterAt, t ImageType, first, second []byte) error {
	at := int32(earseRecordSize)
	for i, data := range [][]byte{first, second} {
		if _, err := m.WriteAt(data, int64(at)); err != nil {
			return err
		}
		var f [earseFileSize - earseOffsetIn]byte
		putEarseInt32(f[:], 0, at)
		putEarseInt32(f[:], earseSizeIn-earseOffsetIn, int32(len(data)))
		putEarseInt32(f[:], earseTypeIn-earseOffsetIn, int32(t))
		if _, err := m.WriteAt(f[:], int64(earseResultAt+i*earseFileSize+earseOffsetIn)); err != nil {
			return err
		}
		at += int32(len(data))
	}
	if err := writeEarseInt32(m, earseStatusAt, earseReceived); err != nil {
		return err
	}
	return writeEarseInt32(m, earseSuccessAt, 1)
}

// writeEarseFailure writes that there are no results, and why, as far as there is room.
func writeEarseFailure(m io.WriterAt, why error) error {
	u := utf16.Encode([]rune(strings.ReplaceAll(why.Error(), "\x00", " ")))
	if len(u) >= earseExtension {
		u = u[:earseExtension-1]
		if utf16.IsSurrogate(rune(u[len(u)-1])) && u[len(u)-1] < 0xDC00 {
			u = u[:len(u)-1] // half a character
		}
	}
	b := make([]byte, 0, 2*len(u)+2)
	for _, c := range append(u, 0) {
		b = binary.LittleEndian.AppendUint16(b, c)
	}
	if _, err := m.WriteAt(b, earseExtensionAt); err != nil {
		return err
	}
	if err := writeEarseInt32(m, earseStatusAt, earseReceived); err != nil {
		return err
	}
	return writeEarseInt32(m, earseSuccessAt, 0)
}

func writeEarseInt32(m io.WriterAt, at int64, v int32) error {
	var b [4]byte
	putEarseInt32(b[:], 0, v)
	_, err := m.WriteAt(b[:], at)
	return err
}

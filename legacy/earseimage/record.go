package earseimage

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

// The section, with offsets in bytes (see legacy/wire.h):
//
//	0     source    WCHAR name[260], i32 offset, size, type
//	532   result 1  the same; nobody uses its name
//	1064  result 2
//	1596  status    i32: 0 sent, 1 received
//	1600  success   i32: 1 if there are results
//	1604  extension WCHAR[4096]
//	9796  the files of the results, up to 3,145,728
//
// The requester writes the whole record. Its message (WM_USER+110) or event then gives the
// section to the worker. The worker writes the files of the results, then where they are,
// then status, and success last. Its message (WM_USER+111) or event gives the section back.
// Neither program looks at the section while the other one has it: a C++ worker writes
// success before the results.
const (
	sectionSize = 3145728
	recordSize  = 9796
	sourceAt    = 0
	resultAt    = 532 // of the first; the second one follows
	statusAt    = 1596
	successAt   = 1600
	extensionAt = 1604

	fileSize       = 532
	offsetIn       = 520 // a file's record
	sizeIn         = 524
	typeIn         = 528
	nameUnits      = 260  // units, with the NUL
	extensionUnits = 4096 // units, with the NUL

	statusSent     = 0
	statusReceived = 1
)

func int32At(b []byte, at int) int32     { return int32(binary.LittleEndian.Uint32(b[at:])) }
func putInt32(b []byte, at int, v int32) { binary.LittleEndian.PutUint32(b[at:], uint32(v)) }

// textAt reads up to that many units of UTF-16 before a NUL, and reports whether there was a
// NUL.
func textAt(b []byte, at, units int) (string, bool) {
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

// putText writes a text and a NUL where there are zeros and room for that many units.
// Errors: samepage.ErrTooLarge, samepage.ErrName.
func putText(b []byte, at, units int, text string) error {
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return fmt.Errorf("%.100q is not UTF-8, or contains a NUL: %w", text, samepage.ErrName)
	}
	u := utf16.Encode([]rune(text))
	if len(u) >= units {
		return fmt.Errorf("%.100q has %d units in UTF-16, at most %d are allowed: %w", text, len(u), units-1, samepage.ErrTooLarge)
	}
	for i, c := range u {
		binary.LittleEndian.PutUint16(b[at+2*i:], c)
	}
	return nil
}

// encodeRequest returns the record of a job. Errors: samepage.ErrName, samepage.ErrTooLarge.
func encodeRequest(j Job) ([]byte, error) {
	b := make([]byte, recordSize)
	if j.Source == "" {
		return nil, fmt.Errorf("the source has no name: %w", samepage.ErrName)
	}
	if err := putText(b, sourceAt, nameUnits, j.Source); err != nil {
		return nil, fmt.Errorf("source: %w", err)
	}
	if err := putText(b, extensionAt, extensionUnits, j.Extension); err != nil {
		return nil, fmt.Errorf("extension: %w", err)
	}
	putInt32(b, sourceAt+offsetIn, recordSize)
	putInt32(b, sourceAt+typeIn, int32(j.Type))
	return b, nil // size, status and success are 0
}

// parseRequest reads a job from a copy of a record. Errors: samepage.ErrCorrupt.
func parseRequest(b []byte) (j Job, err error) {
	j.Type = Type(int32At(b, sourceAt+typeIn))
	source, ok := textAt(b, sourceAt, nameUnits)
	switch {
	case !ok:
		return j, fmt.Errorf("the name of the source, %.20q..., has no NUL within %d units: %w", source, nameUnits, samepage.ErrCorrupt)
	case source == "":
		return j, fmt.Errorf("the source has no name: %w", samepage.ErrCorrupt)
	}
	j.Source = source
	if status := int32At(b, statusAt); status != statusSent {
		return j, fmt.Errorf("status %d, want %d: %w", status, statusSent, samepage.ErrCorrupt)
	}
	if extension, ok := textAt(b, extensionAt, extensionUnits); ok {
		j.Extension = extension // otherwise it is what was in the requester's memory
	}
	return j, nil
}

// isPending says whether a record is a job that nobody has answered. A record of zeros, as
// in new memory, is not one.
func isPending(b []byte) bool {
	asked := int32At(b, sourceAt+offsetIn) != 0 || binary.LittleEndian.Uint16(b[sourceAt:]) != 0
	return asked && int32At(b, statusAt) == statusSent
}

// result says where a result is.
type result struct {
	offset, size int32
	typ          Type
}

func (r result) end() int64 { return int64(r.offset) + int64(r.size) }

func (r result) String() string {
	return fmt.Sprintf("%v, %d bytes at %d", r.typ, r.size, r.offset)
}

// parseAnswer reads from a copy of a record where the results are. They must be behind the
// record, within the section, and must not overlap. Errors: ErrJobFailed,
// samepage.ErrCorrupt.
func parseAnswer(b []byte) (res [2]result, err error) {
	if status := int32At(b, statusAt); status != statusSent && status != statusReceived {
		return res, fmt.Errorf("the answer has status %d, want %d or %d: %w", status, statusSent, statusReceived, samepage.ErrCorrupt)
	}
	switch success := int32At(b, successAt); success {
	case 0:
		return res, failureOf(b)
	case 1:
	default:
		return res, fmt.Errorf("the answer has success %d, want 0 or 1: %w", success, samepage.ErrCorrupt)
	}
	for i := range res {
		at := resultAt + i*fileSize
		r := result{int32At(b, at+offsetIn), int32At(b, at+sizeIn), Type(int32At(b, at+typeIn))}
		if r.offset < recordSize || r.size <= 0 || r.end() > sectionSize {
			return res, fmt.Errorf("result %d, %v, is not within %d to %d: %w", i+1, r, recordSize, sectionSize, samepage.ErrCorrupt)
		}
		res[i] = r
	}
	if int64(res[0].offset) < res[1].end() && int64(res[1].offset) < res[0].end() {
		return res, fmt.Errorf("result 1, %v, and result 2, %v, overlap: %w", res[0], res[1], samepage.ErrCorrupt)
	}
	return res, nil
}

// failureOf returns the error of an answer without success: an ErrJobFailed with the reason
// of the worker. C++ workers leave the extension of the request there.
func failureOf(b []byte) error {
	reason, ok := textAt(b, extensionAt, extensionUnits)
	switch {
	case !ok:
		return fmt.Errorf("%w, and the reason that it gave has no NUL within %d units: %w", ErrJobFailed, extensionUnits, samepage.ErrCorrupt)
	case reason == "" || int32At(b, statusAt) != statusReceived:
		return fmt.Errorf("%w: it gave no reason", ErrJobFailed)
	}
	return fmt.Errorf("%w: %s", ErrJobFailed, plain(reason))
}

// plain returns a text for messages, quoted if it could do something to a terminal.
func plain(text string) string {
	if strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}

// takeAnswer copies an answer out of the section, reading each byte once, and checks the
// copy. Errors: ErrJobFailed, samepage.ErrCorrupt.
func takeAnswer(m io.ReaderAt) (*Answer, error) {
	b := make([]byte, recordSize)
	if _, err := m.ReadAt(b, 0); err != nil {
		return nil, err
	}
	res, err := parseAnswer(b)
	if err != nil {
		return nil, err
	}
	a := &Answer{}
	for i, r := range res {
		a.Images[i] = EncodedImage{r.typ, make([]byte, r.size)}
		// A read up to the end of the section may return all of it with io.EOF.
		if n, err := m.ReadAt(a.Images[i].Data, int64(r.offset)); n < int(r.size) {
			return nil, fmt.Errorf("result %d, %v: %w", i+1, r, err)
		}
	}
	return a, nil
}

// checkResults checks whether two results fit into an answer. Errors: samepage.ErrTooLarge,
// samepage.ErrZeroSize.
func checkResults(first, second []byte) error {
	switch {
	case len(first) == 0 || len(second) == 0:
		return fmt.Errorf("the results have %d and %d bytes, and neither may be empty: %w", len(first), len(second), samepage.ErrZeroSize)
	case len(first) > Room || len(second) > Room-len(first):
		return fmt.Errorf("the results have %d and %d bytes, and %d fit together: %w", len(first), len(second), Room, samepage.ErrTooLarge)
	}
	return nil
}

// writeAnswer writes two results that checkResults has accepted: the data, then where it is,
// then status, and success last.
func writeAnswer(m io.WriterAt, t Type, first, second []byte) error {
	at := int32(recordSize)
	for i, data := range [][]byte{first, second} {
		if _, err := m.WriteAt(data, int64(at)); err != nil {
			return err
		}
		var f [fileSize - offsetIn]byte
		putInt32(f[:], 0, at)
		putInt32(f[:], sizeIn-offsetIn, int32(len(data)))
		putInt32(f[:], typeIn-offsetIn, int32(t))
		if _, err := m.WriteAt(f[:], int64(resultAt+i*fileSize+offsetIn)); err != nil {
			return err
		}
		at += int32(len(data))
	}
	if err := writeInt32(m, statusAt, statusReceived); err != nil {
		return err
	}
	return writeInt32(m, successAt, 1)
}

// writeFailure writes that there are no results, and as much of the reason as fits.
func writeFailure(m io.WriterAt, why error) error {
	u := utf16.Encode([]rune(strings.ReplaceAll(why.Error(), "\x00", " ")))
	if len(u) >= extensionUnits {
		u = u[:extensionUnits-1]
		if utf16.IsSurrogate(rune(u[len(u)-1])) && u[len(u)-1] < 0xDC00 {
			u = u[:len(u)-1] // half a character
		}
	}
	b := make([]byte, 0, 2*len(u)+2)
	for _, c := range append(u, 0) {
		b = binary.LittleEndian.AppendUint16(b, c)
	}
	if _, err := m.WriteAt(b, extensionAt); err != nil {
		return err
	}
	if err := writeInt32(m, statusAt, statusReceived); err != nil {
		return err
	}
	return writeInt32(m, successAt, 0)
}

func writeInt32(m io.WriterAt, at int64, v int32) error {
	var b [4]byte
	putInt32(b[:], 0, v)
	_, err := m.WriteAt(b[:], at)
	return err
}

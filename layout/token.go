package layout

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"
)

// TokenPrefix starts the text of each token; the digit is the version.
const TokenPrefix = "samepage1-"

// Process identifies a process. A process id alone is reused; a process id together with the
// start time is not.
type Process struct {
	PID   uint32
	Start uint64 // in the system's unit
}

// Token is the address of a memory that one process hands to another. It grants nothing: its user
// needs the permission of the system, and checks that it finds the object that the token names.
//
// The text of a token is TokenPrefix and then these bytes, in unpadded base64 for URLs:
//
//	 0  1  how: 0 inherited, 1 granted
//	 1  1  access
//	 2  1  kind
//	 3  1  scope
//	 4  4  from: process
//	 8  8  from: start
//	16  4  to: process, 0 when inherited
//	20  8  to: start
//	28  8  number: descriptor or handle in the process that holds it
//	36 16  id
//	52  8  size in bytes
//	60  1  length of the name, 0 for unnamed memory
//	61     name
//	 +  4  CRC-32C of all bytes before
type Token struct {
	Granted  bool
	Access   Access
	Kind     Kind
	Scope    Scope
	From, To Process
	Number   uint64
	ID       ID
	Size     int64
	Name     string
}

const tokenFixed = 61

func (t *Token) String() string {
	b := make([]byte, tokenFixed, tokenFixed+len(t.Name)+4)
	le := binary.LittleEndian
	if t.Granted {
		b[0] = 1
	}
	b[1], b[2], b[3] = byte(t.Access), byte(t.Kind), byte(t.Scope)
	le.PutUint32(b[4:], t.From.PID)
	le.PutUint64(b[8:], t.From.Start)
	le.PutUint32(b[16:], t.To.PID)
	le.PutUint64(b[20:], t.To.Start)
	le.PutUint64(b[28:], t.Number)
	copy(b[36:52], t.ID[:])
	le.PutUint64(b[52:], uint64(t.Size))
	b[60] = byte(len(t.Name))
	b = append(b, t.Name...)
	b = le.AppendUint32(b, crc32.Checksum(b, castagnoli))
	return TokenPrefix + base64.RawURLEncoding.EncodeToString(b)
}

// ParseToken reads the text of a token and checks every field. Errors match ErrBadToken.
func ParseToken(s string) (*Token, error) {
	text, ok := strings.CutPrefix(s, TokenPrefix)
	if !ok {
		return nil, fmt.Errorf("it does not begin with %q: %w", TokenPrefix, ErrBadToken)
	}
	if strings.ContainsAny(text, "\r\n") { // the decoder ignores these
		return nil, fmt.Errorf("it has a line break: %w", ErrBadToken)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", err, ErrBadToken)
	}
	if len(b) < tokenFixed+4 || len(b) != tokenFixed+int(b[60])+4 {
		return nil, fmt.Errorf("it has %d bytes: %w", len(b), ErrBadToken)
	}
	le, body := binary.LittleEndian, b[:len(b)-4]
	if le.Uint32(b[len(body):]) != crc32.Checksum(body, castagnoli) {
		return nil, fmt.Errorf("its checksum is wrong, so the text is cut or mistyped: %w", ErrBadToken)
	}
	t := &Token{
		Granted: b[0] == 1,
		Access:  Access(b[1]),
		Kind:    Kind(b[2]),
		Scope:   Scope(b[3]),
		From:    Process{le.Uint32(b[4:]), le.Uint64(b[8:])},
		To:      Process{le.Uint32(b[16:]), le.Uint64(b[20:])},
		Number:  le.Uint64(b[28:]),
		ID:      ID(b[36:52]),
		Size:    int64(le.Uint64(b[52:])),
		Name:    string(body[tokenFixed:]),
	}
	if b[0] > 1 || !t.Access.Known() || t.Access == CopyOnWrite || !t.Kind.Known() || !t.Scope.Known() ||
		t.Size <= 0 || t.Size > MaxSize || t.Name != "" && CheckName(t.Name) != nil {
		return nil, fmt.Errorf("a field is out of range: %w", ErrBadToken)
	}
	return t, nil
}

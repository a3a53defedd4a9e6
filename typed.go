package samepage

import (
	"encoding/json"
	"fmt"
	"reflect"
	"time"

	"samepage/layout"
)

// CheckType checks whether values of type T can be in shared memory: in a typed topic, cell or
// service, or by As or Slice. Then T has a fixed size, and the same bytes on every system. It has
// no pointers, strings, slices or maps, no int, uint, uintptr or bool, and no padding that is not
// a field. Use Bool in place of bool, and Time in place of time.Time. CheckType is for unit tests,
// for the compiler cannot check this.
//
// Programs may declare T in different packages, each its own. The ends of an object have the same
// type if its name without the package is the same, and the names, types and order of all fields.
//
// Errors: ErrType. The text says all that is wrong, and has a type that can be stored.
func CheckType[T any]() error {
	_, err := typeOf[T]()
	return err
}

func typeOf[T any]() (*layout.Type, error) {
	ty, err := layout.TypeOf(reflect.TypeFor[T]())
	if err != nil {
		return nil, fmt.Errorf("samepage: %w", err)
	}
	return ty, nil
}

// Bool is a bool in shared memory. Another process can write any byte into it, and a Go bool is
// only valid with 0 or 1. Every value except 0 is true.
type Bool uint8

// BoolOf returns b as a Bool.
func BoolOf(b bool) Bool {
	if b {
		return 1
	}
	return 0
}

// Bool says whether b is true.
func (b Bool) Bool() bool { return b != 0 }

// String is "true" or "false".
func (b Bool) String() string { return fmt.Sprint(b.Bool()) }

// MarshalJSON returns true or false.
func (b Bool) MarshalJSON() ([]byte, error) { return json.Marshal(b.Bool()) }

// UnmarshalJSON is the inverse of MarshalJSON.
func (b *Bool) UnmarshalJSON(text []byte) error {
	var v bool
	err := json.Unmarshal(text, &v)
	*b = BoolOf(v)
	return err
}

// Time is a moment in shared memory: nanoseconds since 1970 in UTC, by the clock of the machine.
// 0 means that there is no time. It reaches from the year 1678 to 2262.
type Time int64

// TimeOf returns t as a Time. The zero time is 0.
func TimeOf(t time.Time) Time {
	if t.IsZero() {
		return 0
	}
	return Time(t.UnixNano())
}

// Time returns t as a time.Time, in the local time zone. 0 is the zero time.
func (t Time) Time() time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.Unix(0, int64(t))
}

// String is the time in RFC 3339 with nanoseconds, in UTC.
func (t Time) String() string { return t.Time().UTC().Format(time.RFC3339Nano) }

// MarshalText returns the text of String.
func (t Time) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText reads a time in RFC 3339.
func (t *Time) UnmarshalText(b []byte) error {
	v, err := time.Parse(time.RFC3339Nano, string(b))
	*t = TimeOf(v)
	return err
}

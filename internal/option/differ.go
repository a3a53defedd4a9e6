package option

import (
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"strings"
)

// ErrDiffers: an object exists, but with other options than those of the caller.
var ErrDiffers = errors.New("it exists with other options")

// Differ compares the options of a caller with those of an object that exists. want and is are
// structs of one type. A field that is zero in want says nothing. The fields in atLeast must be at
// least as large in is, and those in equal must be the same.
//
// Errors: ErrDiffers, with the name of each field that differs. It also matches ErrTooLarge if a
// size is too small.
func Differ(want, is any, atLeast, equal []string) error {
	w, i := reflect.ValueOf(want), reflect.ValueOf(is)
	var all []string
	var also error
	for n, name := range append(append([]string(nil), atLeast...), equal...) {
		fw, fi := w.FieldByName(name), i.FieldByName(name)
		more := ""
		if n < len(atLeast) {
			if fi.Int() >= fw.Int() {
				continue
			}
			more = " or more"
			if strings.HasSuffix(name, "Size") {
				also = ErrTooLarge
			}
		}
		if fw.IsZero() || fw.Equal(fi) {
			continue
		}
		all = append(all, fmt.Sprintf("%s is %s, want %s%s", name, shown(fi), shown(fw), more))
	}
	return Differences(all, also)
}

// Differences returns an error that has all differences in its text, or nil if there are none. It
// matches ErrDiffers, and also if that is not nil.
func Differences(all []string, also error) error {
	if len(all) == 0 {
		return nil
	}
	return &differences{strings.Join(all, "; "), also}
}

type differences struct {
	text string
	also error
}

func (d *differences) Error() string { return d.text + ": " + ErrDiffers.Error() }

func (d *differences) Unwrap() []error {
	if d.also == nil {
		return []error{ErrDiffers}
	}
	return []error{ErrDiffers, d.also}
}

// shown is the value of an option in an error text.
func shown(f reflect.Value) string {
	switch v, ok := f.Interface().(fs.FileMode); {
	case ok:
		return fmt.Sprintf("%#o", uint32(v))
	case f.Kind() == reflect.Slice:
		return fmt.Sprintf("%d elements", f.Len())
	}
	return fmt.Sprint(f.Interface())
}

package option

import (
	"fmt"
	"io/fs"
	"reflect"
)

// OnlyCreate refuses options that count only when an object is made. Calls that open an existing
// object use it. opts is a pointer to a struct, and may be nil. fields are the names of the
// fields that must be zero. Errors: fs.ErrInvalid.
func OnlyCreate(opts any, fields ...string) error {
	v := reflect.ValueOf(opts)
	if v.IsNil() {
		return nil
	}
	for _, name := range fields {
		f := v.Elem().FieldByName(name)
		if f.IsZero() {
			continue
		}
		value := fmt.Sprint(f.Interface())
		switch mode, ok := f.Interface().(fs.FileMode); {
		case ok:
			value = fmt.Sprintf("%#o", uint32(mode))
		case f.Kind() == reflect.Slice:
			value = fmt.Sprintf("%d elements", f.Len())
		}
		return Bad(name, value, "none, because it counts only when the object is made")
	}
	return nil
}

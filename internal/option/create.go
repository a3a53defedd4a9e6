package option

import (
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
		return Bad(name, shown(f), "none, because it counts only when the object is made")
	}
	return nil
}

package option

import (
	"strconv"

	"samepage/layout"
)

// TypeOr returns ty, or the type that the option Schema describes if ty is nil; nil means bytes.
//
// Errors: fs.ErrInvalid.
func TypeOr(ty *layout.Type, schema string) (*layout.Type, error) {
	if ty != nil || schema == "" {
		return ty, nil
	}
	ty, err := layout.TypeOfSchema(schema)
	if err != nil {
		return nil, Bad("Schema", strconv.Quote(layout.CutText(schema, 40)), "the description of a type: "+err.Error())
	}
	return ty, nil
}

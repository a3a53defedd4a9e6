package ipctest

import "samepage/layout"

// BadHeaders lists bytes of the header of a segment. If they change, it is not a segment, or one of
// a later version, or a broken one.
var BadHeaders = []struct {
	Offset int
	Want   error
}{{0, layout.ErrCorrupt}, {12, layout.ErrVersion}, {24, layout.ErrCorrupt}, {124, layout.ErrCorrupt}}

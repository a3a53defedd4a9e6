//go:build linux || windows

package sys

import (
	"samepage/internal/sys/syserr"
)

// place fills a Fact about a place in which objects lie with what is wrong with it.
func (f *Fact) place(err error) {
	f.OK = false
	f.Note, f.Mend = syserr.Mend(err)
}

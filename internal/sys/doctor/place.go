//go:build linux || windows

package doctor

import "samepage/internal/sys/syserr"

// place writes into a Fact about a place of objects what is wrong with it.
func (f *Fact) place(err error) {
	f.OK = false
	f.Note, f.Mend = syserr.Mend(err)
}

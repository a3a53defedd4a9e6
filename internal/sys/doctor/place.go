//go:build linux || windows

package doctor

import "samepage/internal/sys/syserr"

// place writes into a Fact what is wrong with a place of objects.
func (f *Fact) place(err error) {
	f.OK = false
	f.Note, f.Mend = syserr.Mend(err)
}

package sys

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"samepage/layout"
)

// Share is what a process has mapped of an object.
type Share struct {
	PID      int
	Name     string // of the program
	Resident int64  // bytes in its page table
	// Proportional is the same, but each page counts for the process only its part: half if two
	// processes have it.
	Proportional int64
}

// Shares returns the Shares of objects, by their IDs, that wanted wants. It leaves out the
// processes that this process may not look at, and those without a page of an object.
//
// Errors: errors.ErrUnsupported, and those of reading /proc.
func Shares(wanted func(layout.ID) bool) (map[layout.ID][]Share, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	all := map[layout.ID][]Share{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		dir := "/proc/" + e.Name() + "/"
		// The kernel walks the page tables only for smaps.
		maps, err := os.ReadFile(dir + "maps")
		if err != nil || !mapsAny(maps, wanted) {
			continue // it has ended, or belongs to another user
		}
		smaps, err := os.ReadFile(dir + "smaps")
		if err != nil {
			continue
		}
		comm, _ := os.ReadFile(dir + "comm")
		for id, s := range sharesOf(smaps, wanted) {
			s.PID, s.Name = pid, strings.TrimSuffix(string(comm), "\n")
			all[id] = append(all[id], *s)
		}
	}
	return all, nil
}

func mapsAny(maps []byte, wanted func(layout.ID) bool) bool {
	for line := range bytes.Lines(maps) {
		if id, _ := mappedFile(line); id != (layout.ID{}) && wanted(id) {
			return true
		}
	}
	return false
}

// mappedFile says whether a line of maps or smaps begins a mapping, and returns the ID of its file,
// which is zero for memory without a file:
//
//	7f0000000000-7f0000001000 rw-s 00000000 00:1a 12345    /dev/shm/x
func mappedFile(line []byte) (id layout.ID, begins bool) {
	f := bytes.Fields(line)
	if len(f) < 5 || bytes.IndexByte(f[0], '-') < 0 {
		return id, false
	}
	var major, minor uint32
	if n, _ := fmt.Sscanf(string(f[3]), "%x:%x", &major, &minor); n != 2 {
		return id, false
	}
	ino, err := strconv.ParseUint(string(f[4]), 10, 64)
	if err != nil {
		return id, false
	}
	if ino == 0 {
		return id, true
	}
	return fileID(&unix.Stat_t{Dev: unix.Mkdev(major, minor), Ino: ino}), true
}

// sharesOf adds up the mappings of each object in smaps.
func sharesOf(smaps []byte, wanted func(layout.ID) bool) map[layout.ID]*Share {
	all := map[layout.ID]*Share{}
	var now *Share
	for line := range bytes.Lines(smaps) {
		if id, ok := mappedFile(line); ok {
			now = nil
			if id != (layout.ID{}) && wanted(id) {
				if now = all[id]; now == nil {
					now = new(Share)
					all[id] = now
				}
			}
			continue
		}
		if now == nil {
			continue
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		kib, _, _ := bytes.Cut(bytes.TrimSpace(value), []byte(" "))
		n, _ := strconv.ParseInt(string(kib), 10, 64)
		switch string(name) {
		case "Rss":
			now.Resident += n << 10
		case "Pss":
			now.Proportional += n << 10
		}
	}
	for id, s := range all {
		if s.Resident == 0 {
			delete(all, id)
		}
	}
	return all
}

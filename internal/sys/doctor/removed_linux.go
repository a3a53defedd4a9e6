package doctor

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"samepage/internal/sys/store"
	"samepage/layout"
)

// FindRemoved looks in /proc for processes that have objects open whose names were removed. It
// sees only processes that this user may look into.
func FindRemoved() []Removed {
	found := map[fileID]*Removed{}
	procs, _ := os.ReadDir("/proc")
	for _, p := range procs {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		fds, _ := os.ReadDir(filepath.Join("/proc", p.Name(), "fd"))
		for _, f := range fds {
			removedAt(found, pid, filepath.Join("/proc", p.Name(), "fd", f.Name()))
		}
	}
	var all []Removed
	for _, r := range found {
		all = append(all, *r)
	}
	slices.SortFunc(all, func(a, b Removed) int { return cmp.Compare(a.Path, b.Path) })
	return all
}

// fileID identifies a file for the kernel.
type fileID struct{ dev, ino uint64 }

// removedAt records the file of a descriptor of a process, if it is an object whose name was
// removed. It is not enough that the kernel calls the file deleted: the maker of an object has a
// descriptor of a file that had no name at first, and this looks the same.
func removedAt(found map[fileID]*Removed, pid int, fd string) {
	target, err := os.Readlink(fd)
	if err != nil {
		return
	}
	path, deleted := strings.CutSuffix(target, " (deleted)")
	if !deleted || !strings.HasPrefix(path, store.BaseDir()+"/samepage") {
		return
	}
	var st unix.Stat_t
	if unix.Stat(fd, &st) != nil || st.Nlink > 0 || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return
	}
	id := fileID{uint64(st.Dev), st.Ino}
	r := found[id]
	if r == nil {
		r = &Removed{Path: path}
		found[id] = r
	}
	if k, name, ok := store.ParseEntry(filepath.Base(path)); ok {
		r.Path, r.Kind, r.Name = path, k, name
		if filepath.Base(filepath.Dir(path)) == "samepage" {
			r.Scope = layout.Global
		}
	}
	if !slices.ContainsFunc(r.Processes, func(p Program) bool { return p.PID == pid }) {
		name, _ := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(fd)), "comm"))
		r.Processes = append(r.Processes, Program{PID: pid, Name: strings.TrimSpace(string(name))})
	}
}

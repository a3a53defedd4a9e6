package doctor

import (
	"bufio"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"samepage/internal/sys/store"
)

// shm is the directory that logind cleans.
const shm = "/dev/shm"

// logindFact warns of systemd-logind. When the last session of a user ends, logind deletes the
// user's files in /dev/shm, unless RemoveIPC=no is set, the user lingers, or the user is a system
// user (logind.conf(5)). root is the root of the file system.
func logindFact(root string, uid int, name string) (Fact, bool) {
	if base := store.BaseDir(); root == "/" && base != shm && !strings.HasPrefix(base, shm+"/") {
		return Fact{}, false
	}
	if _, err := os.Stat(filepath.Join(root, "run/systemd/users")); err != nil {
		return Fact{}, false // there is no logind
	}
	f := Fact{Name: "logind", OK: true}
	value, from := removeIPC(root)
	if !value {
		f.Value = "RemoveIPC=no (" + from + ")"
		return f, true
	}
	f.Value = "RemoveIPC=yes (" + from + ")"
	if last := lastSystemUser(root); uid <= last {
		f.Note = fmt.Sprintf("objects of %s stay at logout: uids up to %d are system users", name, last)
		return f, true
	}
	if _, err := os.Stat(filepath.Join(root, "var/lib/systemd/linger", name)); err == nil {
		f.Note = "objects of " + name + " stay at logout, for that user lingers"
		return f, true
	}
	f.OK = false
	f.Note = "when the last session of " + name + " ends, systemd-logind removes this user's objects, also those that running processes have open: later processes then get other objects of the same names"
	f.Mend = "loginctl enable-linger " + name
	return f, true
}

// removeIPC returns the setting of logind, and the file that has it. If there are several files,
// the last one counts. A file in /etc hides files with the same name in other directories.
func removeIPC(root string) (yes bool, from string) {
	files := []string{}
	for _, dir := range []string{"usr/lib", "usr/local/lib", "run", "etc"} { // the first one found counts
		if _, err := os.Stat(filepath.Join(root, dir, "systemd/logind.conf")); err == nil {
			files = []string{filepath.Join(root, dir, "systemd/logind.conf")}
		}
	}
	dropIns := map[string]string{}
	for _, dir := range []string{"usr/lib", "usr/local/lib", "run", "etc"} {
		found, _ := filepath.Glob(filepath.Join(root, dir, "systemd/logind.conf.d/*.conf"))
		for _, path := range found {
			dropIns[filepath.Base(path)] = path
		}
	}
	var names []string
	for n := range dropIns {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		files = append(files, dropIns[n])
	}
	yes, from = true, "the default"
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			continue
		}
		section := ""
		for lines := bufio.NewScanner(f); lines.Scan(); {
			line := strings.TrimSpace(lines.Text())
			if strings.HasPrefix(line, "[") {
				section = line
			}
			key, value, _ := strings.Cut(line, "=")
			if section != "[Login]" || strings.TrimSpace(key) != "RemoveIPC" {
				continue
			}
			switch strings.ToLower(strings.TrimSpace(value)) {
			case "1", "yes", "y", "true", "t", "on":
				yes, from = true, path
			case "0", "no", "n", "false", "f", "off":
				yes, from = false, path
			case "":
				yes, from = true, "the default"
			}
		}
		_ = f.Close()
	}
	return yes, from
}

// lastSystemUser returns the highest uid of a system user: SYS_UID_MAX of login.defs(5).
func lastSystemUser(root string) int {
	last := 999
	b, _ := os.ReadFile(filepath.Join(root, "etc/login.defs"))
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == "SYS_UID_MAX" {
			if n, err := strconv.Atoi(f[1]); err == nil {
				last = n
			}
		}
	}
	return last
}

// thisUser returns the name of the user of this process: logind uses the names of the user
// database.
func thisUser() (uid int, name string) {
	uid = os.Getuid()
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return uid, u.Username
	}
	return uid, strconv.Itoa(uid)
}

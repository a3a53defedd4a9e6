package doctor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"samepage/internal/ipctest"
)

// TestDoctorWarnsOfRemoveIPC: the files that logind reads, and who is meant.
func TestDoctorWarnsOfRemoveIPC(t *testing.T) {
	const main, usr, drop, hides = "etc/systemd/logind.conf", "usr/lib/systemd/logind.conf", "run/systemd/logind.conf.d/10-x.conf", "etc/systemd/logind.conf.d/10-x.conf"
	for _, c := range []struct {
		name  string
		files map[string]string
		uid   int
		told  bool
		ok    bool
		value string
	}{
		{"no logind", map[string]string{main: "[Login]\n"}, 1000, false, false, ""},
		{"the default", map[string]string{"run/systemd/users/1000": ""}, 1000, true, false, "RemoveIPC=yes (the default)"},
		{"commented out", map[string]string{"run/systemd/users/1000": "", main: "[Login]\n#RemoveIPC=no\n"}, 1000, true, false, "the default"},
		{"no", map[string]string{"run/systemd/users/1000": "", main: "[Login]\nRemoveIPC=no\n"}, 1000, true, true, "RemoveIPC=no ("},
		{"spaces and case", map[string]string{"run/systemd/users/1000": "", main: "[Login]\n RemoveIPC = Off\n"}, 1000, true, true, "RemoveIPC=no ("},
		{"of another section", map[string]string{"run/systemd/users/1000": "", main: "[Other]\nRemoveIPC=no\n"}, 1000, true, false, "the default"},
		{"of the vendor", map[string]string{"run/systemd/users/1000": "", usr: "[Login]\nRemoveIPC=no\n"}, 1000, true, true, "usr/lib"},
		{"etc hides the vendor's", map[string]string{"run/systemd/users/1000": "", usr: "[Login]\nRemoveIPC=no\n", main: "[Login]\n"}, 1000, true, false, "the default"},
		{"a drop-in", map[string]string{"run/systemd/users/1000": "", main: "[Login]\nRemoveIPC=no\n", drop: "[Login]\nRemoveIPC=yes\n"}, 1000, true, false, "10-x.conf"},
		{"a drop-in of etc hides it", map[string]string{"run/systemd/users/1000": "", drop: "[Login]\nRemoveIPC=no\n", hides: ""}, 1000, true, false, "the default"},
		{"a drop-in takes it back", map[string]string{"run/systemd/users/1000": "", main: "[Login]\nRemoveIPC=no\n", drop: "[Login]\nRemoveIPC=\n"}, 1000, true, false, "the default"},
		{"a system user", map[string]string{"run/systemd/users/1000": ""}, 999, true, true, "RemoveIPC=yes"},
		{"root", map[string]string{"run/systemd/users/1000": ""}, 0, true, true, "RemoveIPC=yes"},
		{"system users of login.defs", map[string]string{"run/systemd/users/1000": "", "etc/login.defs": "# x\nSYS_UID_MAX\t\t499\n"}, 500, true, false, "RemoveIPC=yes"},
		{"a user who lingers", map[string]string{"run/systemd/users/1000": "", "var/lib/systemd/linger/somebody": ""}, 1000, true, true, "RemoveIPC=yes"},
		{"another one lingers", map[string]string{"run/systemd/users/1000": "", "var/lib/systemd/linger/other": ""}, 1000, true, false, "RemoveIPC=yes"},
	} {
		root := ipctest.Dir(t)
		for name, text := range c.files {
			path := filepath.Join(root, name)
			ipctest.NoErr(t, os.MkdirAll(filepath.Dir(path), 0o700))
			ipctest.NoErr(t, os.WriteFile(path, []byte(text), 0o600))
		}
		f, told := logindFact(root, c.uid, "somebody")
		if told != c.told || f.OK != c.ok || !strings.Contains(f.Value, c.value) {
			t.Errorf("%s: told %v: %+v", c.name, told, f)
		}
		if mends := f.Mend == "loginctl enable-linger somebody"; mends != (told && !f.OK) {
			t.Errorf("%s: mend %q", c.name, f.Mend)
		}
	}
}

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
)

// An object that cannot be looked at is shown as unknown, and not as 0 bytes and unused, in text
// and in JSON. doctor has the command that removes what is no object. What may lie in a
// directory, and the rights of another user, are specific to Linux.
func TestUnknownIsUnknown(t *testing.T) {
	ipctest.Store(t)
	ipctest.NoErr(t, persistent[samepage.KindMutex]("good"))
	i, err := samepage.Stat("good", &samepage.Options{Kind: samepage.KindMutex})
	ipctest.NoErr(t, err)
	dir := filepath.Dir(i.Path)
	path := func(name string) string { return filepath.Join(dir, name) }
	ipctest.NoErr(t, syscall.Mkfifo(path("memory.pipe"), 0o600))
	ipctest.NoErr(t, os.Symlink("mutex.good", path("mutex.link")))
	ipctest.NoErr(t, os.Mkdir(path("topic.dir"), 0o700))
	ipctest.NoErr(t, os.WriteFile(path("cell.two"), make([]byte, 5000), 0o600))
	ipctest.NoErr(t, os.Link(path("cell.two"), path("event.two")))
	mends := map[string]string{
		"pipe": "rm " + path("memory.pipe"), "link": "rm " + path("mutex.link"), "dir": "rmdir " + path("topic.dir"), "two": "",
	}

	infos, err := samepage.List()
	ipctest.NoErr(t, err)
	for _, i := range infos {
		_, strange := mends[i.Name]
		if strange != errors.Is(i.Err, fs.ErrPermission) || i.InUse || strange != (i.Err != nil) {
			t.Errorf("%+v", i)
		}
		if i.Name == "two" != (strange && i.Size == 5000) && i.Name != "good" {
			t.Errorf("the directory tells the size of a file, and of nothing else: %+v", i)
		}
	}
	if n := len(infos); n != 6 {
		t.Errorf("List tells of %d objects: %+v", n, infos)
	}

	code, out, text := samepageIn("ls")
	if code != 0 {
		t.Errorf("ls: code %d, %s", code, text)
	}
	for _, l := range strings.Split(out, "\n") {
		f := strings.Fields(l)
		if len(f) > 5 && strings.HasPrefix(f[1], "memory") && strings.Join(f[3:6], " ") != "? ? ?" {
			t.Errorf("ls: %s", l)
		}
	}
	if strings.Contains(out, "0 B") || !strings.Contains(out, path("memory.pipe")+" is a named pipe") {
		t.Errorf("ls:\n%s", out)
	}
	for _, args := range [][]string{{"ls", "--json"}, {"clean", "-n", "-v", "--json"}} {
		_, out, _ := samepageIn(args...)
		var all []map[string]any
		ipctest.NoErr(t, json.Unmarshal([]byte(out), &all))
		told := 0
		for _, i := range all {
			if _, strange := mends[fmt.Sprint(i["name"])]; !strange {
				continue
			}
			told++
			for _, field := range []string{"in_use", "lifetime", "size", "id"} {
				v, there := i[field]
				if known := i["name"] == "two" && (field == "size" || field == "id"); !there || (v != nil) != known {
					t.Errorf("samepage %q: %s of %v is %v", args, field, i["name"], v)
				}
			}
			if !strings.Contains(fmt.Sprint(i["error"], i["reason"]), "permission denied") {
				t.Errorf("samepage %q: %v", args, i)
			}
		}
		if told != 5 {
			t.Errorf("samepage %q tells of %d: %s", args, told, out)
		}
	}
	code, out, _ = samepageIn("doctor")
	if code != exitFailed {
		t.Errorf("doctor: code %d", code)
	}
	for name, mend := range mends {
		if !strings.Contains(out, name+": it cannot be read") || mend != "" && !strings.Contains(out, "repair: "+mend+"\n") {
			t.Errorf("doctor does not tell of %s, %q:\n%s", name, mend, out)
		}
	}
	for name, mend := range mends {
		if mend == "" {
			continue
		}
		if b, err := exec.Command("sh", "-c", mend).CombinedOutput(); err != nil {
			t.Errorf("%s: %v, %s", mend, err, b)
		}
		if code, _, text := samepageIn("stat", name); code != 3 {
			t.Errorf("stat %s after %s: code %d, %s", name, mend, code, text)
		}
	}
	// Nobody counts who uses a file of shm_open.
	ipctest.NoErr(t, os.WriteFile(filepath.Join(filepath.Dir(dir), "bare"), make([]byte, 500), 0o600))
	code, out, text = samepageIn("stat", "--exact", "bare")
	if code != 0 || !strings.Contains(out, "in use     ?") || !strings.Contains(out, "500 bytes") {
		t.Errorf("stat --exact: code %d, %s%s", code, out, text)
	}
}

// An object that only another user may read is unknown, too. The directory tells its size, and
// doctor reports no fault.
func TestAnotherUsersIsUnknown(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to be two other users")
	}
	ipctest.Store(t)
	const anna, bert = "64001", "64002"
	exe, err := os.Executable()
	ipctest.NoErr(t, err)
	as := func(user string, args ...string) (int, string) {
		c := exec.Command(exe, append([]string{asUser, user}, args...)...)
		out, _ := c.CombinedOutput()
		return c.ProcessState.ExitCode(), string(out)
	}
	if code, out, text := samepageIn("create", `Global\first`, "--size", "1"); code != 0 { // root makes the directory
		t.Fatal(code, out, text)
	}
	if code, out := as(anna, "create", `Global\hers`, "--size", "5000"); code != 0 {
		t.Fatal(code, out)
	}
	_, out := as(bert, "ls", "--json")
	var all []map[string]any
	ipctest.NoErr(t, json.Unmarshal([]byte(out), &all))
	told := false
	for _, i := range all {
		if i["name"] != "hers" {
			continue
		}
		told = true
		if use, there := i["in_use"]; use != nil || !there || i["size"] != 5000.0 || i["lifetime"] != "persist" ||
			!strings.Contains(fmt.Sprint(i["owner"]), anna) || !strings.Contains(fmt.Sprint(i["error"]), "permission denied") {
			t.Errorf("ls --json: %v", i)
		}
	}
	if !told {
		t.Errorf("ls --json: %s", out)
	}
	if _, out := as(bert, "doctor"); !strings.Contains(out, `note memory Global\hers: it cannot be read`) {
		t.Errorf("doctor: %s", out)
	}
	if _, out := as(bert, "clean", "-n", "-v"); !strings.Contains(out, "kept memory hers") || !strings.Contains(out, "not known") {
		t.Errorf("clean: %s", out)
	}
}

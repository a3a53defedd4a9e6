package examples_test

import (
	"bytes"
	"errors"
	"image"
	"image/jpeg"
	"image/png"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"samepage"
	"samepage/internal/ipctest"
)

func TestMain(m *testing.M) { ipctest.Main(m, nil) }

// What each example prints, by its folder.
var examples = map[string][]string{
	"camera": {
		`(?m)^camera: publishing 100 frames$`,
		`(?m)^recorder: 100 frames, 0 missed, each at most \S+ after it was published$`,
		`(?m)^monitor: \d+ frames, [1-9]\d* missed, `,
	},
	"pose": {
		`(?m)^refused: pubsub: subscribe to topic "pose-\d+": .*Pose.*OldPose`,
		`(?m)^follower: pose 51 is 0\.00, 1\.00, heading 3\.14$`,
		`(?m)^follower: 200 poses, half of them within `,
	},
	"legacytext": {
		`(?s)\Aserver: hello my first mapping file!\nclient: hello my first mapping file!\n(server: second data!\n){3}\z`,
	},
	"erase": {
		`(?m)^client: sending a picture of 640 x 480 pixels, \d+ bytes$`,
		`(?m)^client: the picture "erased" has \d+ bytes$`,
		`(?m)^client: the picture "region" has \d+ bytes$`,
	},
	"http": {
		`(?m)^server: ready$`,
		`(?m)^client: 200 OK: HELLO$`,
		`(?m)^client: 200 OK: 104857600 bytes$`,
	},
	"grpc": {
		`(?m)^server: ready\nclient: check: SERVING\nclient: watch: SERVING\nclient: watch: NOT_SERVING$`,
	},
	"config": {
		`(?m)^worker: ended after 3 changes$`,
	},
}

func needGo(t *testing.T) {
	t.Helper()
	ipctest.NeedNames(t)
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("there is no go command here, as under Wine")
	}
}

// Each example is listed above, runs, prints its lines, ends by itself, and leaves nothing.
func TestExamples(t *testing.T) {
	needGo(t)
	folders, err := filepath.Glob("*/main.go")
	if err != nil || len(folders) != len(examples) {
		t.Errorf("examples are %q (%v), and %d are tested", folders, err, len(examples))
	}
	for name, lines := range examples {
		t.Run(name, func(t *testing.T) {
			store := ipctest.Store(t)
			out, err := exec.CommandContext(t.Context(), "go", "run", "./"+name).CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			for _, l := range lines {
				if !regexp.MustCompile(l).Match(bytes.ReplaceAll(out, []byte("\r"), nil)) {
					t.Errorf("no line %s in\n%s", l, out)
				}
			}
			wantEmpty(t, store)
		})
	}
}

// The script of the example twohosts shows pictures on another host.
func TestTwoHosts(t *testing.T) {
	needGo(t)
	if runtime.GOOS != "linux" {
		t.Skip("the script is for Linux")
	}
	out, err := exec.CommandContext(t.Context(), "sh", "twohosts/twohosts.sh").CombinedOutput()
	if err != nil || !regexp.MustCompile(`(?m)^the viewer got [1-9]\d* pictures$`).Match(out) {
		t.Errorf("%v\n%s", err, out)
	}
}

// With a file, the example erase writes both results beside the file.
func TestEraseFile(t *testing.T) {
	needGo(t)
	store, dir := ipctest.Store(t), ipctest.Dir(t)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, 31, 20)), nil); err != nil {
		t.Fatal(err)
	}
	for name, bytes := range map[string][]byte{"photo.jpg": b.Bytes(), "cut.jpg": b.Bytes()[:b.Len()-4]} {
		if err := os.WriteFile(filepath.Join(dir, name), bytes, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	run := func(name string) (string, error) {
		out, err := exec.CommandContext(t.Context(), "go", "run", "./erase", filepath.Join(dir, name)).CombinedOutput()
		return string(out), err
	}
	if out, err := run("photo.jpg"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for name, size := range map[string]image.Point{"photo-erased.png": {31, 20}, "photo-region.png": {11, 8}} {
		f, err := os.Open(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		m, err := png.Decode(f)
		if err := errors.Join(err, f.Close()); err != nil || m.Bounds().Size() != size {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
	// The worker cannot decode this file.
	if out, err := run("cut.jpg"); err == nil || !strings.Contains(out, "decode the picture: invalid JPEG") {
		t.Errorf("half a picture: %v\n%s", err, out)
	}
	wantEmpty(t, store)
}

// Ctrl-C ends an example early, with all its processes, and leaves nothing.
func TestInterrupt(t *testing.T) {
	needGo(t)
	if runtime.GOOS == "windows" {
		t.Skip("os.Interrupt cannot be sent on Windows")
	}
	dir := ipctest.Dir(t)
	for name := range examples {
		t.Run(name, func(t *testing.T) {
			store := ipctest.Store(t)
			exe := filepath.Join(dir, name)
			if out, err := exec.Command("go", "build", "-o", exe, "./"+name).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			c := ipctest.StartCmd(t, exec.Command(exe))
			c.Line() // it is at work
			// It may have ended by itself by now.
			if err := c.Cmd.Process.Signal(os.Interrupt); err != nil && !errors.Is(err, os.ErrProcessDone) {
				t.Fatal(err)
			}
			// The children have its standard output, too: it ends with them.
			if st := c.Wait(); st.ExitCode() != 0 {
				t.Errorf("ends with %v", st)
			}
			wantEmpty(t, store)
		})
	}
}

func wantEmpty(t *testing.T, store string) {
	t.Helper()
	if strings.HasSuffix(t.Name(), "/http") || strings.HasSuffix(t.Name(), "/grpc") {
		// These clients close connections in goroutines of their own, which may not run any more
		// when the process ends. Then the connections are those of a process that has died.
		if _, err := samepage.Clean(); err != nil {
			t.Error(err)
		}
	}
	err := filepath.WalkDir(store, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			t.Errorf("left behind: %s", path)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

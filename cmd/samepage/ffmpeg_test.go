package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"samepage/internal/ipctest"
)

// ffmpegOf returns a function that runs ffmpeg and returns its output, and the path of ffmpeg. It
// skips the test if there is none.
func ffmpegOf(t *testing.T) (run func(in io.Reader, args ...string) []byte, path string) {
	t.Helper()
	ipctest.NeedNames(t)
	if runtime.GOOS == "windows" {
		t.Skip("ffmpeg is the system's own")
	}
	path, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("ffmpeg is not installed")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*ipctest.Patience)
	t.Cleanup(cancel)
	return func(in io.Reader, args ...string) []byte {
		t.Helper()
		c := exec.CommandContext(ctx, path, append([]string{"-v", "error", "-nostdin"}, args...)...)
		c.Stdin = in
		var errs bytes.Buffer
		c.Stderr = &errs
		out, err := c.Output()
		if err != nil {
			t.Fatalf("ffmpeg %v: %v, %s", args, err, errs.String())
		}
		return out
	}, path
}

// Pictures that ffmpeg makes pass through a topic unchanged: raw ones, and those of encoded
// clips.
func TestFFmpeg(t *testing.T) {
	run, ffmpeg := ffmpegOf(t)
	ipctest.Store(t)
	dir := ipctest.Dir(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*ipctest.Patience)
	defer cancel()
	y4m := []string{"-pix_fmt", "yuv420p", "-f", "yuv4mpegpipe", "-"}
	encoders := string(run(nil, "-hide_banner", "-encoders"))
	for _, codec := range []string{"", "libx264", "mpeg4"} {
		if !strings.Contains(encoders, " "+codec+" ") && codec != "" {
			t.Logf("this ffmpeg has no %s", codec)
			continue
		}
		source := []string{"-f", "lavfi", "-i", "testsrc=size=320x240:rate=60", "-t", "1"}
		if codec != "" {
			clip := filepath.Join(dir, codec+".mkv")
			run(nil, append(source, "-c:v", codec, "-pix_fmt", "yuv420p", clip)...)
			source = []string{"-i", clip}
		}
		direct := run(nil, append(source, y4m...)...)
		want := run(bytes.NewReader(direct), "-f", "yuv4mpegpipe", "-i", "-", "-f", "framemd5", "-")

		sub := startProcess(t, "sub", "cam", "--y4m")
		pub := exec.CommandContext(ctx, "samepage", "pub", "cam", "--y4m", "-q")
		producer := exec.CommandContext(ctx, ffmpeg, append(append([]string{"-v", "error", "-nostdin"}, source...), y4m...)...)
		var err error
		pub.Stdin, err = producer.StdoutPipe()
		if err == nil {
			err = errors.Join(producer.Start(), pub.Start())
		}
		if err != nil {
			t.Fatal(err)
		}
		got := run(sub.out, "-f", "yuv4mpegpipe", "-i", "-", "-f", "framemd5", "-")
		if err := errors.Join(pub.Wait(), producer.Wait()); err != nil {
			t.Error(err)
		}
		sub.want(0, "")
		if n := bytes.Count(want, []byte("115200")); !bytes.Equal(got, want) || n < 60 || !bytes.Contains(got, []byte("#tb 0: 1/60\n")) && codec == "" {
			t.Errorf("codec %q: of %d frames %d bytes of hashes differ from %d", codec, n, len(got), len(want))
		}
	}
}

// Every pixel format that ffmpeg writes as YUV4MPEG2 passes through two processes unchanged, in
// even and odd sizes, with interlacing, rate, aspect and range: the sums of all pictures and the
// facts that ffmpeg lists are the same.
func TestFFmpegFormats(t *testing.T) {
	run, _ := ffmpegOf(t)
	ipctest.Store(t)
	dir := ipctest.Dir(t)
	names := []string{
		"yuv420p", "yuv422p", "yuv444p", "yuv411p", "yuva444p", "yuvj420p", "yuvj422p", "yuvj444p", "gray", "gray9le", "gray10le", "gray12le", "gray16le",
	}
	for _, bits := range []int{9, 10, 12, 14, 16} {
		for _, shape := range []string{"420", "422", "444"} {
			names = append(names, fmt.Sprintf("yuv%sp%dle", shape, bits))
		}
	}
	type clip struct{ in, out string }
	var clips []clip
	args := []string{
		"-y", "-f", "lavfi", "-i", "testsrc=size=64x16:rate=60,setsar=128/117",
		"-f", "lavfi", "-i", "testsrc=size=63x15:rate=30000/1001,setfield=tff", "-f", "lavfi", "-i", "testsrc=size=64x15:rate=24,setfield=bff",
	}
	for i, name := range names {
		for odd := range 2 {
			from, more := fmt.Sprint(odd), []string{}
			if odd == 1 {
				more = []string{"-field_order", "tt", "-color_range", "pc"}
			}
			// ffmpeg 5.1 leaves out half of the last colour sample of rows of odd length, if it has
			// two bytes, and cannot read that itself.
			if odd == 1 && strings.HasPrefix(name, "yuv42") && strings.HasSuffix(name, "le") {
				from, more = "2", []string{"-field_order", "bb"}
			}
			c := clip{filepath.Join(dir, fmt.Sprintf("%d-%d-in.y4m", i, odd)), filepath.Join(dir, fmt.Sprintf("%d-%d-out.y4m", i, odd))}
			clips = append(clips, c)
			args = append(args, "-map", from+":v", "-frames:v", "2", "-pix_fmt", name)
			args = append(append(args, more...), "-strict", "-1", c.in)
		}
	}
	run(nil, args...)
	sums, maps := []string{"-y"}, []string{}
	for i, c := range clips {
		in, err := os.Open(c.in)
		if err != nil {
			t.Fatal(err)
		}
		out, err := os.Create(c.out)
		if err != nil {
			t.Fatal(err)
		}
		name := fmt.Sprint("cam", i)
		sub := exec.CommandContext(t.Context(), "samepage", "sub", name, "--y4m", "-q")
		sub.Stdout, sub.Stderr = out, os.Stderr
		pub := exec.CommandContext(t.Context(), "samepage", "pub", name, "--y4m", "-q")
		pub.Stdin, pub.Stderr = in, os.Stderr
		if err := errors.Join(sub.Start(), pub.Run(), sub.Wait(), in.Close(), out.Close()); err != nil {
			t.Fatalf("%s: %v", c.in, err)
		}
		if a, b := tagsOf(t, c.in), tagsOf(t, c.out); a != b {
			t.Errorf("%q has become %q", a, b)
		}
		for k, path := range []string{c.in, c.out} {
			sums = append(sums, "-i", path)
			maps = append(maps, "-map", fmt.Sprintf("%d:v", 2*i+k), "-f", "framemd5", path+".md5")
		}
	}
	run(nil, append(sums, maps...)...)
	for _, c := range clips {
		a, err := os.ReadFile(c.in + ".md5")
		b, err2 := os.ReadFile(c.out + ".md5")
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) || bytes.Count(a, []byte("\n0,")) != 2 {
			t.Errorf("%s: the sums\n%s\nhave become\n%s", c.in, a, b)
		}
	}
}

// tagsOf is the first line of a YUV4MPEG2 file without XYSCSS, which repeats the C tag.
func tagsOf(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(b), "\n")
	var kept []string
	for _, tag := range strings.Fields(line) {
		if !strings.HasPrefix(tag, "XYSCSS=") {
			kept = append(kept, tag)
		}
	}
	return strings.Join(kept, " ")
}

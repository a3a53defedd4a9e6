package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"

	"github.com/spf13/cobra"

	"samepage/cmd/samepage/internal/demo"
)

// roleCommand is the hidden command that the processes of the demo run.
const roleCommand = "demo-role"

// drawnPictures is how many pictures the base draws if no number is given.
const drawnPictures = 300

func newDemoCommand(a *app) *cobra.Command {
	var o demo.Options
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show processes that work on shared pictures",
		Long: `demo starts three processes: the base, the worker (an algorithm) and a viewer. The
base publishes pictures, one after another, as frames of a topic in shared memory. For
each picture it calls a service. The worker of the service erases a region, and responds
with two results in shared memory, too: the pixels that fill the erased region, and the
pixels that were there. The base checks them, pixel by pixel. The viewer looks at as many
frames as it has time for, and no other process waits for it. If the worker is killed, a
new worker replaces it and does its picture again. A killed viewer is replaced, too.

With --images the pictures come from a folder (` + strings.Join(demo.Extensions, " ") + `), and
the middle of each is erased. Without --images the base draws a scene, and a ball is erased. A
line each second shows how many pictures are done, how many a second, the MB of pixels a
second between base and worker, the latency from the request to the answer, and how many
frames the viewer has missed.

A picture is skipped, with a message, if it cannot be read or if there is not enough
shared memory: 29 bytes are needed for each pixel of the largest picture. demo also
names the files in the folder that are not pictures. The exit code is 1 if a result was wrong. After Ctrl-C it is
130; all processes have then ended, and nothing is left behind.`,
		Example: "  samepage demo\n  samepage demo --images photos --out results",
		Args:    names(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if o.Count < 0 {
				return usage(c, "--count %d is negative", o.Count)
			}
			if !c.Flags().Changed("count") {
				o.Count, o.Once = drawnPictures, o.Images != ""
			}
			if sameFolder(o.Images, o.Out) {
				return usage(c, "--out is the folder of --images: results could overwrite pictures")
			}
			return runDemo(c.Context(), a, o)
		},
	}
	f := c.Flags()
	f.StringVar(&o.Images, "images", "", "use the pictures in the folder `dir`")
	f.StringVar(&o.Out, "out", "", "save the results to the folder `dir`, as NAME-erased.png (the picture without the region) and NAME-region.png (the region on a transparent background)")
	addLimit(c, &o.MaxBytes)
	f.IntVar(&o.Count, "count", 0, fmt.Sprintf("end after this `number` of pictures; 0: never (default %d, or with --images each of them once)", drawnPictures))
	for _, name := range []string{"images", "out"} {
		if err := c.MarkFlagDirname(name); err != nil {
			panic(err)
		}
	}
	return c
}

func sameFolder(a, b string) bool {
	if a == "" || b == "" {
		return false
	}
	sa, aerr := os.Stat(a)
	sb, berr := os.Stat(b)
	return aerr == nil && berr == nil && os.SameFile(sa, sb)
}

func newDemoRoleCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:    roleCommand + " ROLE",
		Hidden: true,
		Args:   names(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			// In the demo only a file or a folder can be missing.
			code := func(err error) int { return exitCode(noFile(err)) }
			err := demo.RunRole(args[0], a.stdin, a.stdout, code)
			var remote *demo.RemoteError
			a.told = errors.As(err, &remote) // the supervisor prints it
			return err
		},
	}
}

func runDemo(ctx context.Context, a *app, o demo.Options) error {
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("demo: cannot find the file of this program: %w", err)
	}
	start := func(role string) *exec.Cmd {
		c := exec.Command(exe, roleCommand, role)
		c.Stderr = a.stderr
		return c
	}
	w := &demoLines{w: a.stdout, stderr: a.stderr}
	if a.json {
		w.w = io.Discard
	}
	sum, err := demo.Run(ctx, o, start, w)
	w.rest()
	var remote *demo.RemoteError
	if err == nil || errors.Is(err, demo.ErrFailed) || errors.Is(err, context.Canceled) && sum.Seconds > 0 {
		if perr := a.printer().print(demoSummary{sum, o.Out}); err == nil {
			err = perr
		}
	}
	if err != nil && !errors.As(err, &remote) {
		err = fmt.Errorf("demo: %w", err)
	}
	return err
}

// demoLines prints what happens, in lines.
type demoLines struct {
	w, stderr io.Writer
	left      int // files and pages that were left out
}

// leftLines is how many of them get a line each.
const leftLines = 10

func (l *demoLines) LeftOut(b demo.Bad) {
	if l.left++; l.left <= leftLines {
		fmt.Fprintf(l.stderr, "samepage: left out %s: %s\n", plain(b.File), visible(b.Reason))
	}
}

// rest prints how many were left out without a line.
func (l *demoLines) rest() {
	if n := l.left - leftLines; n > 0 {
		fmt.Fprintf(l.stderr, "samepage: left out %d more; --json names them\n", n)
	}
}

func (l *demoLines) Started(base, worker, viewer demo.Ready) {
	fmt.Fprintf(l.w, "base process %d, worker process %d and viewer process %d share the topic %s and the service %s (%s)\n",
		base.PID, worker.PID, viewer.PID, base.Topic, base.Service, formatSize(base.Size))
}

func (l *demoLines) Restarted(role string, died, pid int, why string) {
	fmt.Fprintf(l.w, "%s process %d has ended (%s); %s process %d takes over\n", role, died, why, role, pid)
}

func (l *demoLines) Progress(p demo.Progress) {
	fmt.Fprintf(l.w, "%7d pictures %8.1f/s %8.0f MB/s   latency p50 %6.2f ms, p99 %6.2f ms   viewer missed %d\n",
		p.Pictures, p.PicturesPerSecond, p.MBPerSecond, p.LatencyP50, p.LatencyP99, p.ViewerMissed)
}

func (l *demoLines) Skipped(b demo.Bad) {
	fmt.Fprintf(l.stderr, "samepage: skipped %s: %s\n", plain(b.File), visible(b.Reason))
}

func (l *demoLines) Failed(b demo.Bad) {
	fmt.Fprintf(l.stderr, "samepage: failed %s: %s\n", plain(b.File), visible(b.Reason))
}

type demoSummary struct {
	demo.Summary
	out string
}

func (s demoSummary) text(w io.Writer) error {
	how := "done"
	if s.Interrupted {
		how = "interrupted"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s in %.1f s, %.1f/s, %.0f MB/s\n", how, count(s.Pictures, "picture"), s.Seconds, s.PicturesPerSecond, s.MBPerSecond)
	if s.Pictures > 0 {
		fmt.Fprintf(&b, "latency from request to answer: p50 %.2f ms, p99 %.2f ms, at most %.2f ms\n", s.LatencyP50, s.LatencyP99, s.LatencyMax)
		fmt.Fprintln(&b, "both results of each are as expected")
	}
	if v := s.Viewer; v.Frames > 0 {
		fmt.Fprintf(&b, "viewer: %s seen, %d missed, latency from base to viewer: p50 %.2f ms, p99 %.2f ms, at most %.2f ms\n",
			count(int(v.Frames), "frame"), v.Missed, v.LatencyP50, v.LatencyP99, v.LatencyMax)
	}
	if n := len(s.Failed); n > 0 {
		fmt.Fprintf(&b, "%s failed\n", count(n, "picture"))
	}
	if n := len(s.LeftOut); n > 0 {
		fmt.Fprintf(&b, "left out: %d (files that are no pictures, and further pages)\n", n)
	}
	if n := len(s.Skipped); n > 0 {
		fmt.Fprintf(&b, "%s skipped\n", count(n, "picture"))
	}
	if s.WorkerRestarts > 0 {
		fmt.Fprintf(&b, "%s of the worker, %s done again\n", count(s.WorkerRestarts, "restart"), count(s.Redone, "picture"))
	}
	if s.ViewerRestarts > 0 {
		fmt.Fprintf(&b, "%s of the viewer\n", count(s.ViewerRestarts, "restart"))
	}
	if s.out != "" {
		fmt.Fprintf(&b, "%s saved in %s\n", count(s.Saved, "file"), plain(s.out))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

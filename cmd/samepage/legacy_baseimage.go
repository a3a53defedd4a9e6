package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"

	"github.com/spf13/cobra"

	"samepage"
	"samepage/cmd/samepage/internal/picture"
	"samepage/legacy/baseimage"
)

type baseImageOptions struct {
	name, event string
	align       int
	out         string
	count       int
	wait        bool
	timeout     time.Duration // negative: none
	start       string
	limit       int64 // of the picture that is read, in bytes
	noAlpha     bool
	over        bool
}

func newLegacyBaseImageCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "baseimage",
		Short: "Pictures from a base program to an algorithm's",
		Long: `A base program writes the pictures of a camera into the section BaseImage, one over
the other, and sets the event BaseImageMutex; an algorithm's program waits for the
event and copies the picture. grab is the algorithm's program, send the base.`,
		Args: noSubcommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newBaseImageGrabCommand(a), newBaseImageSendCommand(a))
	return c
}

func (o *baseImageOptions) addNames(c *cobra.Command) {
	c.Flags().StringVar(&o.name, "name", "BaseImage", "name of the section")
	c.Flags().StringVar(&o.event, "event", "BaseImageMutex", "name of the event")
}

func newBaseImageGrabCommand(a *app) *cobra.Command {
	o := baseImageOptions{timeout: -1}
	c := &cobra.Command{
		Use:   "grab --out FILE",
		Short: "Take the next picture of a base program into a file",
		Long: `grab waits for the next picture, copies it, and writes it to a file: ` + picture.Written + `.
With --count it takes so many, and %d in FILE is the number of each, from 1 on.

Samples go as they were sent: those of 32-bit pictures with their fourth byte as alpha,
with which no colour is multiplied. Where that byte is no alpha, as many cameras leave
anything there, --drop-alpha leaves it out. A BMP has the upper 8 bits of 16.

A picture that the base writes over while it is copied is not taken: the next one is.
Without a base program the exit code is 10, unless --wait waits for one; when the
time runs out first it is 7, and when the base ends while a picture is waited for 8.`,
		Example: "  samepage legacy baseimage grab --out picture.png --timeout 10s\n  samepage legacy baseimage grab --out 'picture-%d.bmp' --count 100 --wait",
		Args:    names(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if err := o.checkGrab(c); err != nil {
				return err
			}
			return runBaseImageGrab(c.Context(), a.printer(), o)
		},
	}
	o.addNames(c)
	c.Flags().StringVar(&o.out, "out", "", "file to write")
	c.Flags().IntVar(&o.count, "count", 1, "how many pictures")
	c.Flags().BoolVar(&o.noAlpha, "drop-alpha", false, "write 32-bit pictures without the fourth byte of their pixels")
	c.Flags().BoolVar(&o.wait, "wait", false, "wait until a base program runs")
	c.Flags().DurationVar(&o.timeout, "timeout", -1, "wait at most this long in all, such as 500ms or 2m")
	c.Flags().Lookup("timeout").DefValue = "0" // keeps "(default -1ns)" out of the help
	return c
}

func (o *baseImageOptions) checkGrab(c *cobra.Command) error {
	switch {
	case o.out == "":
		return usage(c, "--out FILE is missing")
	case o.count < 1:
		return usage(c, "--count %d, want 1 or more", o.count)
	case c.Flags().Changed("timeout") && o.timeout < 0:
		return usage(c, "--timeout %v is negative", o.timeout)
	case o.count > 1 && !pictureNumber.MatchString(o.out):
		return usage(c, "--out %q has no %%d for the number of each picture", o.out)
	}
	if _, err := pictureExt(o.out); err != nil {
		return usage(c, "%w", err)
	}
	return nil
}

// pictureNumber is where the number of a picture stands in the name of its file.
var pictureNumber = regexp.MustCompile(`%0?\d?d`)

// fileOf is the file of picture n.
func (o *baseImageOptions) fileOf(n int) string {
	return pictureNumber.ReplaceAllStringFunc(o.out, func(verb string) string { return fmt.Sprintf(verb, n) })
}

// baseImage tells of one picture.
type baseImage struct {
	File   string `json:"file"`
	Width  int    `json:"width"`
	Height int    `json:"height"`
	Bits   int    `json:"bits,omitempty"` // of a pixel
	Loss   string `json:"loss,omitempty"` // what the file does not have of it
}

// baseImages tells of those that were grabbed.
type baseImages struct {
	Pictures []baseImage `json:"pictures"`
}

func (r baseImages) text(w io.Writer) error {
	for _, p := range r.Pictures {
		tail := ""
		if p.Loss != "" {
			tail = "; " + p.Loss
		}
		if _, err := fmt.Fprintf(w, "%s: %d x %d pixels, %d bits%s\n", plain(p.File), p.Width, p.Height, p.Bits, tail); err != nil {
			return err
		}
	}
	return nil
}

func runBaseImageGrab(ctx context.Context, p printer, o baseImageOptions) (err error) {
	if o.timeout >= 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
	}
	var r *baseimage.Receiver
	opts := &baseimage.ReceiverOptions{Name: o.name, Event: o.event}
	if o.wait {
		r, err = baseimage.AwaitReceiver(ctx, opts)
	} else {
		r, err = baseimage.OpenReceiver(opts)
	}
	if err != nil {
		return err
	}
	defer closing(r, &err)
	var all baseImages
	for n := 1; n <= o.count; n++ {
		f, err := r.Grab(ctx)
		if err != nil {
			return errors.Join(err, o.told(p, all))
		}
		file := o.fileOf(n)
		img := f.Image()
		if o.noAlpha {
			img = picture.DropAlpha(img)
		}
		if err := writePicture(file, img); err != nil {
			return errors.Join(noFile(err), o.told(p, all))
		}
		all.Pictures = append(all.Pictures, baseImage{file, f.Width(), f.Height(), f.Bits(), picture.LossOf(img, filepath.Ext(file))})
	}
	return o.told(p, all)
}

// told prints what was grabbed, if anything was.
func (o *baseImageOptions) told(p printer, all baseImages) error {
	if len(all.Pictures) == 0 {
		return nil
	}
	return p.print(all)
}

func newBaseImageSendCommand(a *app) *cobra.Command {
	var o baseImageOptions
	c := &cobra.Command{
		Use:   "send FILE [--start EXE [-- ARG...]]",
		Short: "Be a base program with one picture",
		Long: `send writes a picture (` + picture.Written + ` or JPEG) into the section, sets the
event, and stays until Ctrl-C, so that the algorithm's program finds it. Gray pictures
go with 8 or 16 bits a pixel, opaque ones with 24, others with 32, whose colours are not
multiplied with alpha.

When a program has the section open already the exit code is 4: it may be another base,
which would go on to write its own pictures there. --takeover writes all the same, for an
algorithm's program that waits for a new base.

With --start it starts the algorithm's program, and stays until that ends, too; the
program's input and output are those of this command. It is not ended by Ctrl-C here
unless it listens to that itself.`,
		Example: "  samepage legacy baseimage send picture.png\n  samepage legacy baseimage send picture.bmp --align 4 --start algorithm.exe -- --fast",
		Args: func(c *cobra.Command, args []string) error {
			switch {
			case len(args) == 0:
				return usage(c, "a FILE is missing")
			case len(args) > 1 && o.start == "":
				return usage(c, "one FILE is expected, got %q", args)
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			return runBaseImageSend(c.Context(), a, o, args[0], args[1:])
		},
	}
	o.addNames(c)
	c.Flags().IntVar(&o.align, "align", 1, "make the bytes of a row a multiple of this: 4 as in Windows bitmaps")
	addLimit(c, &o.limit)
	c.Flags().BoolVar(&o.over, "takeover", false, "take over a section that a program has open already")
	c.Flags().StringVar(&o.start, "start", "", "program to start when the picture is there")
	return c
}

// sentBaseImage tells what was sent.
type sentBaseImage struct {
	baseImage
	Section string `json:"section"`
	Started int    `json:"started,omitempty"` // process id of the program
}

func (r sentBaseImage) text(w io.Writer) error {
	tail := ""
	if r.Started != 0 {
		tail = fmt.Sprintf("; process %d was started", r.Started)
	}
	_, err := fmt.Fprintf(w, "%s: %d x %d pixels are in %s%s\n", plain(r.File), r.Width, r.Height, plain(r.Section), tail)
	return err
}

func runBaseImageSend(ctx context.Context, a *app, o baseImageOptions, file string, args []string) (err error) {
	img, err := picture.Read(file, o.limit)
	if err != nil {
		return noFile(err)
	}
	var s *baseimage.Sender
	opts := &baseimage.SenderOptions{Name: o.name, Event: o.event, Align: o.align}
	if o.over {
		s, _, err = baseimage.OpenOrCreateSender(opts)
	} else if s, err = baseimage.CreateSender(opts); errors.Is(err, samepage.ErrBusy) {
		return fmt.Errorf("%w; --takeover takes it over from a receiver", err)
	}
	if err != nil {
		return err
	}
	defer closing(s, &err)
	if err := s.Send(ctx, img.Image); err != nil {
		return err
	}
	if img.Pages > 1 {
		fmt.Fprintf(a.stderr, "samepage: %s has %d pictures, of which the first one is sent\n", plain(file), img.Pages)
	}
	size := img.Bounds().Size()
	sent := sentBaseImage{baseImage: baseImage{File: file, Width: size.X, Height: size.Y}, Section: o.name}
	if o.start == "" {
		if err := a.printer().print(sent); err != nil {
			return err
		}
		fmt.Fprintln(a.stderr, "samepage: the picture stays until Ctrl-C")
		<-ctx.Done()
		return nil
	}
	program := exec.Command(o.start, args...)
	program.Stdin, program.Stdout, program.Stderr = a.stdin, a.stdout, a.stderr
	if err := program.Start(); err != nil {
		return fmt.Errorf("start %s: %w", o.start, noProgram(err))
	}
	sent.Started = program.Process.Pid
	fmt.Fprintf(a.stderr, "samepage: the picture stays until %s ends, or Ctrl-C\n", plain(o.start))
	ended := make(chan error, 1)
	go func() { ended <- program.Wait() }()
	if err := a.printer().print(sent); err != nil {
		return err
	}
	select {
	case err := <-ended:
		if err != nil {
			return fmt.Errorf("%s: %w", o.start, err)
		}
	case <-ctx.Done():
	}
	return nil
}

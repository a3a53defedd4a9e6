package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"

	"github.com/spf13/cobra"

	"samepage"
	"samepage/cmd/samepage/internal/picture"
	"samepage/legacy/baseimage"
)

type baseImageOptions struct {
	waiting
	name, event string
	align       int
	out         string
	count       int
	wait        bool
	start       string
	limit       int64 // of the picture that is read, in bytes
	noAlpha     bool
	over        bool
}

func newLegacyBaseImageCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "baseimage",
		Short: "Pass pictures from a base program to an algorithm's program",
		Long: `A base program writes the pictures of a camera into the section BaseImage, each over the
one before, and sets the event BaseImageMutex. An algorithm's program waits for the event
and copies the picture. grab is the algorithm's program, and send is the base.`,
		Args: noSubcommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newBaseImageGrabCommand(a), newBaseImageSendCommand(a))
	return c
}

func (o *baseImageOptions) addNames(c *cobra.Command) {
	c.Flags().StringVar(&o.name, "name", "BaseImage", "`name` of the section")
	c.Flags().StringVar(&o.event, "event", "BaseImageMutex", "`name` of the event")
}

func newBaseImageGrabCommand(a *app) *cobra.Command {
	var o baseImageOptions
	c := &cobra.Command{
		Use:   "grab --out FILE",
		Short: "Take the next picture of a base program into a file",
		Long: `grab waits for the next picture, copies it, and writes it to a file: ` + picture.Written + `.
With --count it takes that many pictures, and %d in FILE is the number of each, from 1.

The samples are written as they were sent. The fourth byte of a 32-bit pixel is alpha, and
no colour is multiplied with it. Many cameras leave any value in that byte: use
--drop-alpha to leave it out. Of 16-bit samples a BMP has the upper 8 bits.

If the base writes over a picture during the copy, grab takes the next one. The exit code
is 10 if no base program runs (--wait waits for one), 7 if --timeout passes first, and 8
if the base ends while grab waits for a picture.`,
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
	c.Flags().StringVar(&o.out, "out", "", "`file` to write")
	c.Flags().IntVar(&o.count, "count", 1, "`number` of pictures")
	c.Flags().BoolVar(&o.noAlpha, "drop-alpha", false, "write 32-bit pictures without the fourth byte of their pixels")
	c.Flags().BoolVar(&o.wait, "wait", false, "wait until a base program runs")
	o.addTimeout(c, noLimit)
	return c
}

func (o *baseImageOptions) checkGrab(c *cobra.Command) error {
	switch {
	case o.out == "":
		return usage(c, "--out FILE is missing")
	case o.count < 1:
		return usage(c, "--count %d, want 1 or more", o.count)
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

// fileOf returns the file for picture n.
func (o *baseImageOptions) fileOf(n int) string {
	return pictureNumber.ReplaceAllStringFunc(o.out, func(verb string) string { return fmt.Sprintf(verb, n) })
}

// baseImage describes one picture.
type baseImage struct {
	File   string `json:"file"`
	Width  int    `json:"width"`
	Height int    `json:"height"`
	Bits   int    `json:"bits,omitempty"` // of a pixel
	Loss   string `json:"loss,omitempty"` // what the file lacks of it
}

// baseImages describes the pictures that were grabbed.
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
	ctx, cancel := o.within(ctx)
	defer cancel()
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

// told prints what was grabbed, if there is anything.
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
		Long: `send writes a picture (` + picture.Written + ` or JPEG) into the section, sets the event, and
stays until Ctrl-C, so that the algorithm's program finds the picture. Gray pictures have
8 or 16 bits a pixel, opaque ones 24, others 32. Colours are not multiplied with alpha.

If a program has the section open already, the exit code is 4: it may be another base,
which would write its own pictures there. With --takeover, send writes anyway: use it if
an algorithm's program waits for a new base.

With --start it starts the algorithm's program, and stays until that program ends or until
Ctrl-C. The program has the input and output of this command. Ctrl-C ends the program only
if the program itself listens to it.`,
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
	c.Flags().IntVar(&o.align, "align", 1, "pad the bytes of a row to a multiple of this `number`: 4 as in Windows bitmaps")
	addLimit(c, &o.limit)
	c.Flags().BoolVar(&o.over, "takeover", false, "take over a section that a program has open already")
	c.Flags().StringVar(&o.start, "start", "", "`program` to start after the picture was written")
	return c
}

// sentBaseImage describes what was sent.
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
		fmt.Fprintf(a.notes(), "samepage: %s has %d pictures, and only the first one is sent\n", plain(file), img.Pages)
	}
	if turned := img.Turned(); turned != "" {
		fmt.Fprintf(a.notes(), "samepage: %s is %s\n", plain(file), turned)
	}
	size := img.Bounds().Size()
	sent := sentBaseImage{baseImage: baseImage{File: file, Width: size.X, Height: size.Y}, Section: o.name}
	if o.start == "" {
		if err := a.printer().print(sent); err != nil {
			return err
		}
		fmt.Fprintln(a.notes(), "samepage: the picture stays until Ctrl-C")
		<-ctx.Done()
		return nil
	}
	program := exec.Command(o.start, args...)
	program.Stdin, program.Stdout, program.Stderr = a.stdin, a.stdout, a.stderr
	if err := program.Start(); err != nil {
		return fmt.Errorf("start %s: %w", o.start, noProgram(err))
	}
	sent.Started = program.Process.Pid
	fmt.Fprintf(a.notes(), "samepage: the picture stays until %s ends, or Ctrl-C\n", plain(o.start))
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

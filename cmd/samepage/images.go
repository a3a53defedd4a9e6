package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"samepage"
	"samepage/cmd/samepage/internal/picture"
	"samepage/frame"
	"samepage/pubsub"
)

// numbered is the name of numbered files, such as cam-%06d.png.
var numbered = regexp.MustCompile(`^[^%]*%(0\d{1,2})?d[^%]*$`)

// newImageWriter writes each frame to a file of its own. encode makes the file.
func newImageWriter(pattern string, encode func(image.Image) ([]byte, error)) messageWriter {
	n := 0
	return func(_ *bufio.Writer, m taken) error {
		n++
		return writeFrame(fmt.Sprintf(pattern, n), m, encode)
	}
}

// writeFrame writes the frame of a message to a file.
func writeFrame(path string, m taken, encode func(image.Image) ([]byte, error)) error {
	var f frame.Frame
	err := f.Attach(m.Bytes())
	var b []byte
	if err == nil {
		b, err = encode(f.Image())
	}
	if err == nil {
		err = replaceFile(path, b)
	}
	if err != nil {
		return fmt.Errorf("message %d: %w", m.Seq(), err)
	}
	return nil
}

func encodePNG(img image.Image) ([]byte, error) { return picture.Encode(img, ".png") }

// shot is what snapshot has written.
type shot struct {
	Topic   string `json:"topic"`
	Message uint64 `json:"message"`
	File    string `json:"file"`
	Width   int    `json:"width"`
	Height  int    `json:"height"`
	Format  string `json:"format"`
}

func (s shot) text(w io.Writer) error {
	_, err := fmt.Fprintf(w, "wrote %s: message %d of %s, %d x %d pixels, %s\n", plain(s.File), s.Message, plain(s.Topic), s.Width, s.Height, s.Format)
	return err
}

func newSnapshotCommand(a *app) *cobra.Command {
	o := subOptions{from: pubsub.FromNewest, bestEffort: true, count: 1}
	var file string
	c := &cobra.Command{
		Use:   "snapshot TOPIC -o FILE",
		Short: "Write the newest picture of a topic to a file",
		Long: `snapshot writes the newest frame of a topic to a file: ` + picture.Written + `,
or JPEG (.jpg). If there is none, it waits for the next one. It never makes a publisher
wait. A file that exists is replaced, either completely or not at all.

A JPEG keeps the picture only roughly, with 8 bits a sample and without alpha. The other
files have the samples of the frame; Y, Cb and Cr are converted to RGB as the range and
the matrix of the frame say.`,
		Example:           "  samepage snapshot cam -o cam.png\n  samepage snapshot cam -o cam.jpg --timeout 2s",
		Args:              names(1, 1),
		ValidArgsFunction: completeNames(false, samepage.KindTopic),
		RunE: func(c *cobra.Command, args []string) error {
			encode := picture.JPEG
			switch ext := strings.ToLower(filepath.Ext(file)); {
			case file == "":
				return usage(c, "where to? want -o FILE, such as -o cam.png")
			case ext == ".jpg" || ext == ".jpeg":
			default:
				if picture.Kind(ext) == "" {
					return usage(c, "a snapshot is a file of %s, or JPEG (.jpg), not %q", picture.Written, file)
				}
				encode = func(img image.Image) ([]byte, error) { return picture.Encode(img, ext) }
			}
			return runSnapshot(c.Context(), a, o, args[0], file, encode)
		},
	}
	o.addFlags(c)
	o.addTimeout(c, noLimit)
	c.Flags().StringVarP(&file, "output", "o", "", "the `file` to write")
	return c
}

func runSnapshot(ctx context.Context, a *app, o subOptions, name, file string, encode func(image.Image) ([]byte, error)) error {
	var s *shot
	err := runSub(ctx, a, o, name, func(_ *bufio.Writer, m taken) error {
		if err := writeFrame(file, m, encode); err != nil {
			return err
		}
		f, err := frame.Open(m.Bytes())
		if err == nil {
			s = &shot{name, m.Seq(), file, f.Width(), f.Height(), f.Format().String()}
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case s == nil:
		return fmt.Errorf("topic %q has no picture: its stream has ended", name)
	}
	return a.summary(s)
}

// imageFiles lists the files of a directory that may be pictures, by name.
func imageFiles(dir string) (all []string, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if !e.IsDir() && picture.Readable(filepath.Ext(e.Name())) {
			all = append(all, filepath.Join(dir, e.Name()))
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("directory %q has no picture: want files of %s", dir, picture.ReadableKinds)
	}
	return all, nil
}

// largestImage is the size in bytes of the largest frame of the files.
func largestImage(files []string, limit int64) (largest int64, err error) {
	for _, path := range files {
		i, err := picture.Measure(path, limit)
		if err != nil {
			return 0, err
		}
		s := frame.Spec{Format: frame.RGBA, Width: i.Width, Height: i.Height}
		if err := s.Check(); err != nil {
			return 0, &picture.Error{Path: path, Err: err}
		}
		largest = max(largest, s.Size())
	}
	return largest, nil
}

// images publishes the pictures of files.
func (u *publishing) images(files []string) error {
	var f frame.Frame
	for _, path := range files {
		p, err := picture.Read(path, u.o.limit)
		if err != nil {
			return err
		}
		b := p.Bounds()
		spec := frame.Spec{Format: formatOf(p.Image), Width: b.Dx(), Height: b.Dy(), Rate: u.o.fps, Seq: u.p.Next()}
		l, err := u.p.Loan(int(spec.Size()))
		if err != nil {
			return &picture.Error{Path: path, Err: err}
		}
		err = f.Reset(l.Bytes(), spec)
		if err == nil {
			frame.Draw(&f, p.Image)
			err = u.pace()
		}
		if err == nil {
			err = u.publish(l)
		}
		if err != nil {
			l.Discard()
			return err
		}
		u.count(1, int(spec.Size()))
	}
	return nil
}

// formatOf is the format of the frame of a picture.
func formatOf(img image.Image) frame.Format {
	switch img.(type) {
	case *image.Gray:
		return frame.Gray
	case *image.Gray16:
		return frame.Gray16
	}
	if o, ok := img.(interface{ Opaque() bool }); ok && o.Opaque() {
		return frame.RGB
	}
	return frame.RGBA
}

// checkImages checks the flags for pictures.
func (o *pubOptions) checkImages(c *cobra.Command) error {
	changed := c.Flags().Changed
	switch {
	case changed("fps") && o.images == "":
		return usage(c, "--fps needs --images; frames of a YUV4MPEG2 stream have its rate")
	case changed("fps") && changed("rate"):
		return usage(c, "--fps and --rate exclude each other")
	case o.images != "" && (o.pack > 0 || o.batch > 1):
		return usage(c, "--images excludes --pack and --batch")
	}
	if changed("fps") {
		o.rate = float64(o.fps.Num) / float64(o.fps.Den)
	}
	return nil
}

// errNoNumber is the error for the name of numbered files.
var errNoNumber = errors.New("want a name with one number, such as cam-%06d")

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"math"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"samepage"
	"samepage/cmd/samepage/internal/picture"
	"samepage/legacy/earseimage"
)

func newLegacyEarseImageCommand(a *app) *cobra.Command {
	c := &cobra.Command{
		Use:   "earseimage",
		Short: "Ask a worker for two images made from a file, or be the worker",
		Long: `A requester names an image file. A worker opens it, makes two images from it, and returns
them, encoded, in the section EaresImageSharedMemory of 3 MiB. They notify each other by
messages to their windows UnionRectTest and EarseImage. One requester and one worker can
run at a time.`,
		Args: noSubcommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newEarseRequestCommand(a), newEarseServeCommand(a))
	return c
}

// imageTypes maps the extensions of image files to their types.
var imageTypes = map[string]earseimage.Type{
	".bmp": earseimage.BMP, ".gif": earseimage.GIF, ".jpg": earseimage.JPEG, ".jpeg": earseimage.JPEG,
	".png": earseimage.PNG, ".ico": earseimage.ICO, ".tif": earseimage.TIFF, ".tiff": earseimage.TIFF,
	".tga": earseimage.TGA, ".pcx": earseimage.PCX,
}

type earseRequestOptions struct {
	out   [2]string
	limit int64 // of a picture, in bytes
	waiting
}

func newEarseRequestCommand(a *app) *cobra.Command {
	var o earseRequestOptions
	c := &cobra.Command{
		Use:   "request FILE --out1 FILE --out2 FILE",
		Short: "Let a worker make two images from a file, and write them",
		Long: `request lets the worker make two images from FILE. The extension of FILE says its type
(.bmp, .gif, .jpg, .png, .ico, .tif, .tga, .pcx). It writes the images to the files of
--out1 and --out2, as ` + picture.Written + ` according to their extensions. If the worker
returns a file of that type, request writes it byte for byte.

The exit code is 10 if no worker runs, 8 if the worker dies before it answers, 7 if
--timeout passes, and 1 if the worker could not do the job.`,
		Example: "  samepage legacy earseimage request page.tif --out1 rest.png --out2 region.png --timeout 30s",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usage(c, "one FILE is expected, got %q", args)
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			job, err := o.job(args[0])
			if err != nil {
				return usage(c, "%w", err)
			}
			return runEarseRequest(c.Context(), a, o, job)
		},
	}
	c.Flags().StringVar(&o.out[0], "out1", "", "`file` for the first result")
	c.Flags().StringVar(&o.out[1], "out2", "", "`file` for the second result")
	addLimit(c, &o.limit)
	o.addTimeout(c, noLimit)
	return c
}

// job returns the job for the worker, or an error if the options make no sense.
func (o *earseRequestOptions) job(file string) (earseimage.Job, error) {
	var j earseimage.Job
	for i, out := range o.out {
		if out == "" {
			return j, fmt.Errorf("--out%d is missing", i+1)
		}
		if _, err := pictureExt(out); err != nil {
			return j, err
		}
	}
	if filepath.Clean(o.out[0]) == filepath.Clean(o.out[1]) {
		return j, fmt.Errorf("--out1 and --out2 are both %q", o.out[0])
	}
	var known bool
	if j.Type, known = imageTypes[strings.ToLower(filepath.Ext(file))]; !known {
		return j, fmt.Errorf("the extension of %q is no known kind of image", file)
	}
	var err error
	j.Source, err = filepath.Abs(file) // the worker has another working folder
	return j, err
}

// earseResult describes one of the images.
type earseResult struct {
	File   string `json:"file"`
	Type   string `json:"type"` // as it came
	Size   int    `json:"size"` // bytes, as it came
	Width  int    `json:"width"`
	Height int    `json:"height"`
}

// earseResults describes what a worker has made.
type earseResults struct {
	Source  string        `json:"source"`
	Type    string        `json:"type"`
	Results []earseResult `json:"results"`
}

func (r earseResults) text(w io.Writer) error {
	for _, i := range r.Results {
		if _, err := fmt.Fprintf(w, "%s: %d x %d pixels, from %s of %s\n", plain(i.File), i.Width, i.Height, i.Type, count(i.Size, "byte")); err != nil {
			return err
		}
	}
	return nil
}

func runEarseRequest(ctx context.Context, a *app, o earseRequestOptions, job earseimage.Job) (err error) {
	ctx, cancel := o.within(ctx)
	defer cancel()
	r, err := earseimage.CreateRequester(nil)
	if err != nil {
		return err
	}
	defer closing(r, &err)
	answer, err := r.Do(ctx, job)
	if err != nil {
		return err
	}
	res := earseResults{Source: job.Source, Type: job.Type.String()}
	var files [2][]byte
	for i, e := range answer.Images {
		size, file, err := o.file(i, e)
		if err != nil {
			return fmt.Errorf("result %d, %v of %d bytes: %w", i+1, e.Type, len(e.Data), err)
		}
		files[i] = file
		res.Results = append(res.Results, earseResult{o.out[i], e.Type.String(), len(e.Data), size.X, size.Y})
	}
	for i, b := range files {
		if err := replaceFile(o.out[i], b); err != nil {
			return noFile(err)
		}
	}
	return a.printer().print(res)
}

// file is what goes to the file of result i: the worker's own bytes, if they are a
// picture of the kind that the extension stands for.
func (o *earseRequestOptions) file(i int, e earseimage.EncodedImage) (size image.Point, file []byte, err error) {
	p, err := picture.Decode(bytes.NewReader(e.Data), int64(len(e.Data)), o.limit)
	if err != nil {
		return size, nil, err
	}
	ext := filepath.Ext(o.out[i])
	if picture.Kind(ext) == p.Kind {
		return p.Bounds().Size(), e.Data, nil
	}
	file, err = picture.Encode(p.Image, ext)
	return p.Bounds().Size(), file, err
}

type earseServeOptions struct {
	limit  int64 // of a picture, in bytes
	region string
	rect   image.Rectangle // empty: the middle half
}

func newEarseServeCommand(a *app) *cobra.Command {
	var o earseServeOptions
	c := &cobra.Command{
		Use:   "serve",
		Short: "Make the images that requesters ask for, until Ctrl-C",
		Long: `serve does the jobs of requesters, one at a time. It reads the file of the job and returns
two pictures: one in which a region is white, and one that is white except for that region.
(Nobody knows what the existing workers erase.) Both have the type of the source, which
must be PNG, TIFF or BMP, and its samples. TIFF files are compressed only if the two would
not fit otherwise. Of a source with several pages serve uses the first. If a job fails, the
requester learns why.

serve prints one line for each job. With --json that is an object, with "error" if the job
failed.`,
		Example: "  samepage legacy earseimage serve --region 100,50,640x480",
		Args:    names(0, 0),
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("region") {
				var err error
				if o.rect, err = parseRegion(o.region); err != nil {
					return usage(c, "--region: %w", err)
				}
			}
			return runEarseServe(c.Context(), a, o)
		},
	}
	addLimit(c, &o.limit)
	c.Flags().StringVar(&o.region, "region", "", "`X,Y,WxH`: left, top, width and height in pixels (default: half of the width and height, in the middle)")
	return c
}

// parseRegion reads X,Y,WxH.
func parseRegion(s string) (image.Rectangle, error) {
	var x, y, w, h int32
	var rest string
	if n, _ := fmt.Sscanf(s+" .", "%d,%d,%dx%d %s", &x, &y, &w, &h, &rest); n != 5 || rest != "." || x < 0 || y < 0 || w <= 0 || h <= 0 {
		return image.Rectangle{}, fmt.Errorf("want X,Y,WxH with X and Y from 0 and W and H from 1, got %q", s)
	}
	end := func(at, n int32) int { return int(min(int64(at)+int64(n), math.MaxInt32)) }
	return image.Rect(int(x), int(y), end(x, w), end(y, h)), nil
}

// earseServed describes a job.
type earseServed struct {
	Source string `json:"source"`
	Type   string `json:"type"`
	Width  int    `json:"width,omitempty"`
	Height int    `json:"height,omitempty"`
	Pages  int    `json:"pages,omitempty"`  // of the source, if there are several; the first one is used
	Turned string `json:"turned,omitempty"` // in words, if the source was turned as EXIF says
	Sizes  []int  `json:"sizes,omitempty"`  // of the results, in bytes
	Error  string `json:"error,omitempty"`
}

func (j *earseServed) line(asJSON bool) string {
	if asJSON {
		b, err := json.Marshal(j)
		if err != nil {
			return err.Error()
		}
		return string(b)
	}
	if j.Error != "" {
		return fmt.Sprintf("%s: failed: %s", plain(j.Source), visible(j.Error))
	}
	pages := ""
	if j.Pages > 1 {
		pages = fmt.Sprintf(", the first of %d pages", j.Pages)
	}
	if j.Turned != "" {
		pages += ", " + j.Turned
	}
	return fmt.Sprintf("%s: %s of %d x %d pixels%s, results of %d and %d bytes", plain(j.Source), j.Type, j.Width, j.Height, pages, j.Sizes[0], j.Sizes[1])
}

// toldError is the error of a job for which a line was printed.
type toldError struct{ error }

func (e toldError) Unwrap() error { return e.error }

func runEarseServe(ctx context.Context, a *app, o earseServeOptions) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended, mute := make(chan error, 1), make(chan error, 1)
	go func() {
		ended <- earseimage.Serve(ctx, &earseimage.WorkerOptions{
			Ready: func() { fmt.Fprintln(a.notes(), "samepage: waiting for jobs until Ctrl-C") },
			Log: func(err error) {
				if _, told := errors.AsType[toldError](err); !told {
					fmt.Fprintln(a.stderr, message(err))
				}
			},
		}, func(ctx context.Context, j earseimage.Job) ([]byte, []byte, error) {
			res, err := o.serve(ctx, a, j)
			if _, told := errors.AsType[toldError](err); err != nil && !told {
				select {
				case mute <- err:
				default:
				}
				stop()
			}
			return res[0], res[1], err
		})
	}()
	select {
	case err := <-ended:
		if ctx.Err() == nil {
			return err
		}
	case <-ctx.Done():
		// Do not stay because a requester does not take its answer.
		select {
		case <-ended:
		case <-time.After(time.Second):
		}
	}
	select {
	case err := <-mute: // the lines cannot be printed
		return err
	default:
		return nil
	}
}

// serve does a job and prints its line. Its error is a toldError, or that of printing. When
// ctx ends it returns at once, even in the middle of the job: the process ends then, too.
func (o *earseServeOptions) serve(ctx context.Context, a *app, j earseimage.Job) (res [2][]byte, err error) {
	told := &earseServed{Source: j.Source, Type: j.Type.String()}
	type made struct {
		res [2][]byte
		err error
	}
	done := make(chan made, 1)
	go func() {
		res, err := o.make(j, told)
		done <- made{res, err}
	}()
	select {
	case m := <-done:
		res, err = m.res, m.err
	case <-ctx.Done():
		return res, toldError{errors.New("the worker has been told to end")}
	}
	told.Sizes = []int{len(res[0]), len(res[1])}
	if err == nil && len(res[0])+len(res[1]) > earseimage.Room {
		err = fmt.Errorf("the results have %d and %d bytes, and %d fit together: %w", len(res[0]), len(res[1]), earseimage.Room, samepage.ErrTooLarge)
	}
	if err != nil {
		told.Sizes, told.Error = nil, err.Error()
		err = toldError{err}
	}
	w := io.Writer(visibleWriter{a.stdout})
	if a.json {
		w = visibleJSON{a.stdout}
	}
	if _, werr := fmt.Fprintln(w, told.line(a.json)); werr != nil {
		return res, fmt.Errorf("print the line of a job: %w", werr)
	}
	return res, err
}

// make makes the two encoded results of a job.
func (o *earseServeOptions) make(j earseimage.Job, told *earseServed) (res [2][]byte, err error) {
	ext := ""
	switch j.Type {
	case earseimage.PNG:
		ext = ".png"
	case earseimage.BMP:
		ext = ".bmp"
	case earseimage.TIFF:
		ext = ".tif"
	default:
		return res, fmt.Errorf("this worker makes %s, not %v", picture.Written, j.Type)
	}
	p, err := picture.Read(j.Source, o.limit)
	if err != nil {
		return res, err
	}
	told.Width, told.Height = p.Bounds().Dx(), p.Bounds().Dy()
	told.Turned = p.Turned()
	if p.Pages > 1 {
		told.Pages = p.Pages
	}
	rest, region, err := erase(p.Image, o.rect)
	if err != nil {
		return res, err
	}
	if ext == ".tif" {
		return tiffResults(rest, region, p.TIFF()), nil
	}
	for i, img := range []image.Image{rest, region} {
		if res[i], err = picture.Encode(img, ext); err != nil {
			return res, err
		}
	}
	return res, nil
}

// tiffResults returns two TIFF files that any program can read, or compressed ones if they do
// not fit otherwise.
func tiffResults(rest, region image.Image, o *picture.TIFFOptions) (res [2][]byte) {
	var as picture.TIFFOptions
	if o != nil {
		as = *o
	}
	for _, as.Deflate = range []bool{false, true} {
		res = [2][]byte{picture.EncodeTIFF(rest, &as), picture.EncodeTIFF(region, &as)}
		if len(res[0])+len(res[1]) <= earseimage.Room {
			break
		}
	}
	return res
}

// erase returns img with a white region, and a white picture with only that region of img.
// The region counts from the upper left corner of img. An empty one means half of the width
// and height, in the middle.
func erase(img image.Image, region image.Rectangle) (rest, alone image.Image, err error) {
	all := image.Rect(0, 0, img.Bounds().Dx(), img.Bounds().Dy())
	if region.Empty() {
		quarter := all.Size().Div(4)
		region = image.Rectangle{all.Min.Add(quarter), all.Max.Sub(quarter)}
	}
	if region = region.Intersect(all); region.Empty() {
		return nil, nil, fmt.Errorf("the region is outside of the picture of %d x %d pixels", all.Dx(), all.Dy())
	}
	rest, alone = picture.Part(img, region)
	return rest, alone, nil
}

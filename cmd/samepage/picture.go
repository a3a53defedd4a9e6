package main

import (
	"errors"
	"fmt"
	"image"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"samepage/cmd/samepage/internal/picture"
)

// pictureExt is the extension of path, which says how a picture is written there. Errors:
// errUsage if samepage does not write files of this extension.
func pictureExt(path string) (string, error) {
	ext := strings.ToLower(filepath.Ext(path))
	if picture.Kind(ext) == "" {
		return "", fmt.Errorf("%w: a picture can be written to a file of %s, not to %q", errUsage, picture.Written, path)
	}
	return ext, nil
}

// addLimit adds the option that limits the size of the pictures that a command reads.
func addLimit(c *cobra.Command, limit *int64) {
	*limit = picture.DefaultLimit
	c.Flags().Var(sizeFlag{limit, 1}, strings.TrimPrefix(picture.LimitOption, "--"),
		"refuse a picture that needs more memory than this when it is decoded")
}

// writePicture writes a picture to path, either completely or not at all.
func writePicture(path string, img image.Image) (err error) {
	ext, err := pictureExt(path)
	if err != nil {
		return err
	}
	b, err := picture.Encode(img, ext)
	if err != nil {
		return err
	}
	return replaceFile(path, b)
}

// replaceFile writes b to the file at path, either completely or not at all.
func replaceFile(path string, b []byte) error {
	return replaceFileWith(path, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
}

// replaceFileWith is replaceFile for what write writes.
func replaceFileWith(path string, write func(io.Writer) error) (err error) {
	// A new file gets the rights that the system gives it; an existing file keeps its own.
	perm, st := fs.FileMode(0o666), fs.FileInfo(nil)
	if st, _ = os.Stat(path); st != nil {
		perm = st.Mode().Perm()
	}
	temp := filepath.Join(filepath.Dir(path), fmt.Sprintf(".samepage-%016x%s", rand.Uint64(), filepath.Ext(path)))
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, perm)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	err = write(f)
	if st != nil {
		err = errors.Join(err, f.Chmod(perm))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}

package main

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	_ "image/jpeg" // to read such files
	"image/png"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
)

// pictureEncoders are the files that pictures go out as, by extension.
var pictureEncoders = map[string]func(io.Writer, image.Image) error{
	".png":  png.Encode,
	".bmp":  bmp.Encode,
	".tif":  encodeTIFF,
	".tiff": encodeTIFF,
}

// pictureFiles is for messages and help texts.
const pictureFiles = "PNG, TIFF or BMP (.png, .tif, .bmp)"

func encodeTIFF(w io.Writer, img image.Image) error {
	return tiff.Encode(w, img, &tiff.Options{Compression: tiff.Deflate})
}

// pictureExt is the extension by which a picture goes to path. Errors: errUsage
// where it stands for no known kind of file.
func pictureExt(path string) (string, error) {
	ext := strings.ToLower(filepath.Ext(path))
	if pictureEncoders[ext] == nil {
		return "", fmt.Errorf("%w: a picture goes to a file of %s, not to %q", errUsage, pictureFiles, path)
	}
	return ext, nil
}

// readPicture reads a picture from a file.
func readPicture(path string) (image.Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	img, _, err := image.Decode(f)
	if err != nil {
		return nil, fmt.Errorf("read picture %s (%s or JPEG): %w", path, pictureFiles, err)
	}
	return img, nil
}

// encodePicture is the file of a picture, of the kind that an extension stands for.
func encodePicture(img image.Image, ext string) ([]byte, error) {
	ext, err := pictureExt("x" + ext)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	if err := pictureEncoders[ext](&b, img); err != nil {
		return nil, fmt.Errorf("encode a %s of %v: %w", ext, img.Bounds().Size(), err)
	}
	return b.Bytes(), nil
}

// writePicture writes a picture to path, all of it or nothing.
func writePicture(path string, img image.Image) (err error) {
	ext, err := pictureExt(path)
	if err != nil {
		return err
	}
	b, err := encodePicture(img, ext)
	if err != nil {
		return err
	}
	return replaceFile(path, b)
}

// replaceFile has b appear at path, all of it or nothing.
func replaceFile(path string, b []byte) (err error) {
	// As the system makes new files; one that there is keeps its rights.
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
	_, err = f.Write(b)
	if st != nil {
		err = errors.Join(err, f.Chmod(perm))
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}

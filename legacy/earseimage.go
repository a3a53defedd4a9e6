package legacy

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"io/fs"

	"samepage"
	"samepage/ipcsync"
)

// The names that the programs know. Elsewhere than on Windows they are those of
// events, and of the locks of the two roles.
const (
	earseSection   = "EaresImageSharedMemory" // spelled so
	earseWorker    = "EarseImage"
	earseRequester = "UnionRectTest"
)

// EarseImageRoom is how many bytes the two results of a job have room for, together.
const EarseImageRoom = earseSize - earseRecordSize

// ErrJobFailed: the worker could not do the job. The text has its reason, if it gave
// one.
var ErrJobFailed = errors.New("the worker could not do the job")

// ImageType is a kind of image file, by the numbers of the CxImage library.
type ImageType int32

// The kinds of image files. Which of them a worker can read and write is its own
// affair.
const (
	ImageUnknown ImageType = iota
	ImageBMP
	ImageGIF
	ImageJPEG
	ImagePNG
	ImageICO
	ImageTIFF
	ImageTGA
	ImagePCX
	ImageWBMP
	ImageWMF
	ImageJP2
	ImageJPC
	ImagePGX
	ImagePNM
	ImageRAS
	ImageJBG
	ImageMNG
	ImageSKA
	ImageRAW
	ImagePSD
)

var imageTypes = [...]string{
	"unknown", "BMP", "GIF", "JPEG", "PNG", "ICO", "TIFF", "TGA", "PCX", "WBMP", "WMF",
	"JP2", "JPC", "PGX", "PNM", "RAS", "JBG", "MNG", "SKA", "RAW", "PSD",
}

// String is the usual name, such as "TIFF", or "type 99".
func (t ImageType) String() string {
	if t < 0 || int(t) >= len(imageTypes) {
		return fmt.Sprintf("type %d", int32(t))
	}
	return imageTypes[t]
}

// EarseImageJob is what a requester asks for: two images made from a file.
type EarseImageJob struct {
	// Source is the path of the file, which the worker opens itself, so it should be
	// absolute: UTF-8, 1 to 259 units when encoded in UTF-16, without NUL.
	Source string
	// Type of the source, and of the results.
	Type ImageType
	// Extension is a text of the users', at most 4095 units in UTF-16, without NUL. A
	// C++ requester that does not use it leaves there what was in its memory before.
	Extension string
}

// EncodedImage is an image as its file has it.
type EncodedImage struct {
	Type ImageType // what the worker says that it is
	Data []byte
}

// EarseImageAnswer is what a worker made of a job. It is the receiver's own: no part
// of it lies in shared memory.
type EarseImageAnswer struct {
	Images [2]EncodedImage
}

// earsePixels is how many pixels Decode decodes at most: a pixel takes up to eight bytes, so
// a picture 1 GiB.
const earsePixels = 1 << 27

// Decode decodes image i, 0 or 1, by image.Decode: import the decoders of what is to
// be expected, such as image/png, or golang.org/x/image/tiff. What Data says of its
// kind counts, not Type. Errors: fs.ErrInvalid (another i), samepage.ErrTooLarge (more
// than 2^27 pixels, which may take 1 GiB), and those of image.Decode.
func (a *EarseImageAnswer) Decode(i int) (image.Image, error) {
	if i < 0 || i >= len(a.Images) {
		return nil, fmt.Errorf("legacy: decode image %d of %d: %w", i, len(a.Images), fs.ErrInvalid)
	}
	img, err := decodeEarseImage(a.Images[i].Data)
	if err != nil {
		return nil, fmt.Errorf("legacy: decode image %d, %v of %d bytes: %w", i, a.Images[i].Type, len(a.Images[i].Data), err)
	}
	return img, nil
}

func decodeEarseImage(b []byte) (image.Image, error) {
	c, _, err := image.DecodeConfig(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	if c.Width < 0 || c.Height < 0 || c.Height > 0 && c.Width > earsePixels/c.Height {
		return nil, fmt.Errorf("it claims %d x %d pixels, which may take 8 bytes each when they are decoded; at most %d pixels, 1 GiB, are accepted: %w", c.Width, c.Height, earsePixels, samepage.ErrTooLarge)
	}
	img, _, err := image.Decode(bytes.NewReader(b))
	return img, err
}

// EarseImageOptions refine a requester or a worker. The zero value, and nil, mean the
// default of each field.
type EarseImageOptions struct {
	// SecurityDescriptor is that of the section that a requester makes, on Windows, as
	// an SDDL string. Default: its user and the system.
	SecurityDescriptor string
	// Log is told by a worker of each job that it could not do, or whose answer it
	// could not deliver. It is called by one goroutine at a time, and must return soon.
	// Default: nobody is told.
	Log func(error)
	// Ready is called by a worker once, when requesters can find it.
	Ready func()
}

// takeEarseRole makes this caller the only one of its role among the programs that use
// this package, until it lets go or dies. Errors: fs.ErrExist.
func takeEarseRole(name string) (*ipcsync.Mutex, error) {
	m, _, err := ipcsync.OpenOrCreateMutex(name, nil)
	if err != nil {
		return nil, err
	}
	ok, err := m.TryLock()
	if err = earseConsistent(m, err); err == nil && !ok {
		err = fmt.Errorf("another %s runs: %w", name, fs.ErrExist)
	}
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// earseConsistent is the error of a lock that guards nothing that a death could damage.
func earseConsistent(m *ipcsync.Mutex, err error) error {
	if errors.Is(err, samepage.ErrOwnerDied) {
		return m.Consistent()
	}
	return err
}

// earseLetGo unlocks a mutex and closes it.
func earseLetGo(m *ipcsync.Mutex) error { return errors.Join(m.Unlock(), m.Close()) }

// checkEarseSection judges a section of the name by its size, which every view of
// either program has.
func checkEarseSection(m *samepage.Memory) error {
	if m.Size() != earseSize {
		return fmt.Errorf("section %q has %d bytes, want %d: %w", earseSection, m.Size(), earseSize, samepage.ErrCorrupt)
	}
	return nil
}

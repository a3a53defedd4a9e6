package earseimage

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"runtime"

	"samepage"
	"samepage/ipcsync"
)

// The names in the existing programs. On other systems than Windows they are the names of
// the events, and of the locks of the two roles.
const (
	sectionName   = "EaresImageSharedMemory" // spelled so
	workerName    = "EarseImage"
	requesterName = "UnionRectTest"
)

// Room is the number of bytes that the two results of a job may have together.
const Room = sectionSize - recordSize

// ErrJobFailed: the worker could not do the job. The text of the error says why, if the
// worker has given a reason.
var ErrJobFailed = errors.New("the worker could not do the job")

// Type is a kind of image file. The values are those of the CxImage library.
type Type int32

// The kinds of image files. It depends on the worker which of them it can read and write.
const (
	Unknown Type = iota
	BMP
	GIF
	JPEG
	PNG
	ICO
	TIFF
	TGA
	PCX
	WBMP
	WMF
	JP2
	JPC
	PGX
	PNM
	RAS
	JBG
	MNG
	SKA
	RAW
	PSD
)

var typeNames = [...]string{
	"unknown", "BMP", "GIF", "JPEG", "PNG", "ICO", "TIFF", "TGA", "PCX", "WBMP", "WMF",
	"JP2", "JPC", "PGX", "PNM", "RAS", "JBG", "MNG", "SKA", "RAW", "PSD",
}

// String returns the usual name, such as "TIFF", or "type 99" for an unknown number.
func (t Type) String() string {
	if t < 0 || int(t) >= len(typeNames) {
		return fmt.Sprintf("type %d", int32(t))
	}
	return typeNames[t]
}

// Job is what a requester asks for: two images made from a file.
type Job struct {
	// Source is the path of the file. The worker opens it, so the path should be absolute.
	// It is UTF-8 without NUL and has 1 to 259 units in UTF-16.
	Source string
	// Type is the type of the source and of the results.
	Type Type
	// Extension is a text for the two programs, UTF-8 without NUL and with at most 4095
	// units in UTF-16. A C++ requester that does not use it sends whatever was in its
	// memory.
	Extension string
}

// EncodedImage is an image as it is in a file.
type EncodedImage struct {
	Type Type // what the worker says it is
	Data []byte
}

// Answer is what a worker has made of a job. No part of it is in shared memory.
type Answer struct {
	Images [2]EncodedImage // the results, in the order in which the worker has returned them
}

// maxPixels is how many pixels Decode accepts. A pixel takes up to eight bytes, so a picture
// takes up to 1 GiB.
const maxPixels = 1 << 27

// Decode decodes image i, 0 or 1, with image.Decode. So import the decoders of the types
// that you expect, such as image/png or golang.org/x/image/tiff. Decode finds out the type
// from Data, not from Type.
//
// Errors: fs.ErrInvalid (i is not 0 or 1), samepage.ErrTooLarge (more than 2^27 pixels, which
// can take 1 GiB), and those of image.Decode.
func (a *Answer) Decode(i int) (image.Image, error) {
	if i < 0 || i >= len(a.Images) {
		return nil, fmt.Errorf("earseimage: decode image %d of %d: %w", i, len(a.Images), fs.ErrInvalid)
	}
	img, err := decode(a.Images[i].Data)
	if err != nil {
		return nil, fmt.Errorf("earseimage: decode image %d, %v of %d bytes: %w", i, a.Images[i].Type, len(a.Images[i].Data), err)
	}
	return img, nil
}

func decode(b []byte) (image.Image, error) {
	c, _, err := image.DecodeConfig(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	if c.Width < 0 || c.Height < 0 || c.Height > 0 && c.Width > maxPixels/c.Height {
		return nil, fmt.Errorf("its header says %d x %d pixels; at most %d are accepted, which take up to 8 bytes each: %w", c.Width, c.Height, maxPixels, samepage.ErrTooLarge)
	}
	img, _, err := image.Decode(bytes.NewReader(b))
	return img, err
}

// RequesterOptions are the options of a Requester. The zero value, and nil, mean the default
// of each field.
type RequesterOptions struct {
	// SecurityDescriptor says who may use the section, if the Requester makes it, on Windows:
	// a text in SDDL. An existing section keeps its own. Default: this user and the system.
	SecurityDescriptor string
}

// WorkerOptions are the options of Serve. The zero value, and nil, mean the default of each
// field.
type WorkerOptions struct {
	// Log is called with the error of each job that the worker could not do, or whose answer
	// it could not deliver. It is called by one goroutine at a time, and must return soon.
	// Default: nothing is called.
	Log func(error)
	// Ready is called once, when requesters can find the worker. Default: nothing is called.
	Ready func()
}

// exact: the section has the bare name that C++ programs know, on the system that has such
// programs.
const exact = runtime.GOOS == "windows"

func memoryOptions() *samepage.Options { return &samepage.Options{Exact: exact} }

// takeRole makes the caller the only one with that role among the programs that use this
// package, until letGo or until its process dies. Errors: fs.ErrExist.
func takeRole(name string) (*ipcsync.Mutex, error) {
	m, _, err := ipcsync.OpenOrCreateMutex(name, nil)
	if err != nil {
		return nil, err
	}
	ok, err := m.TryLock()
	if err = consistent(m, err); err == nil && !ok {
		err = fmt.Errorf("another %s runs: %w", name, fs.ErrExist)
	}
	if err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

// consistent is for the error of a lock that protects nothing that a death could damage: it
// ignores samepage.ErrOwnerDied.
func consistent(m *ipcsync.Mutex, err error) error {
	if errors.Is(err, samepage.ErrOwnerDied) {
		return m.Consistent()
	}
	return err
}

// letGo unlocks a mutex and closes it.
func letGo(m *ipcsync.Mutex) error { return errors.Join(m.Unlock(), m.Close()) }

// checkSection checks the size of a section: both programs map that many bytes.
func checkSection(m *samepage.Memory) error {
	if m.Size() != sectionSize {
		return fmt.Errorf("section %q has %d bytes, want %d: %w", sectionName, m.Size(), sectionSize, samepage.ErrCorrupt)
	}
	return nil
}

// Package frame is for images in shared memory: pixels that a camera or a program
// in another language put there are a Go image.Image as they stand, with no copy
// between.
//
// A [Frame] is a message: a header of 128 bytes that says what the picture is
// (docs/layout.md), and its pixels. [New] makes one in any bytes, such as a
// message on loan of a topic, or a view of a memory; [Open] reads one.
//
//	spec := frame.Spec{Format: frame.BGR, Width: 640, Height: 480}
//	f, err := frame.New(loan, spec)            // at least spec.Size() bytes
//	camera.Read(f.Pix(0))                      // rows are f.Stride(0) bytes apart
//	...
//	f, err := frame.Open(message)              // another process
//	png.Encode(w, f.Image())                   // reads the shared bytes themselves
//
// A [Publisher] and a [Subscriber] do this with the topics of package pubsub: the camera
// draws where all viewers read.
//
// Each frame has its own size and format, so a stream may go from 640 x 480 to 4K
// and back; what carries it needs room for the largest. A Frame that is Reset or
// Attached to the next message allocates nothing.
//
// # Formats and images
//
// Image gives, by format,
//
//	Gray        *image.Gray
//	Gray16      *Gray16Image: little-endian, which image.Gray16 is not
//	RGB BGR     *PackedImage
//	RGBA        *image.NRGBA: alpha is not premultiplied
//	BGRA        *PackedImage, the same
//	NV12        *NV12Image
//	I420        *image.YCbCr
//
// all over the frame's own bytes. All but the last two are a draw.Image. [Draw]
// draws into every format.
//
// NV12 and I420 are converted to and from RGB as in package image/color: ITU-R BT.601
// over the full range, as JPEG has it. Range and Siting of a frame are what its
// writer says of the samples; they go with it, and no conversion here heeds them.
//
// # Whom to trust
//
// The writer of a message may be hostile. Open copies the header once, checks the
// copy, and never looks at the shared one again; whatever stands there, no plane
// reaches outside the message. Pixels may be any bytes, and a writer that does not
// keep to the rules of what carries the message can change them while they are read.
package frame

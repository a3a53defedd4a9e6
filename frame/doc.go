// Package frame is for images in shared memory. A camera, or a program in another language,
// writes pixels there, and Go uses them as an image.Image without a copy.
//
// A [Frame] is a message: a header of 128 bytes that describes the picture (docs/layout.md),
// and the pixels. [New] makes a frame in any bytes, such as a message on loan of a topic or a
// view of a memory. [Open] reads a frame.
//
//	spec := frame.Spec{Format: frame.BGR, Width: 640, Height: 480}
//	f, err := frame.New(loan, spec)            // loan has at least spec.Size() bytes
//	camera.Read(f.Pix(0))                      // rows are f.Stride(0) bytes apart
//	...
//	f, err := frame.Open(message)              // another process
//	png.Encode(w, f.Image())                   // reads the shared bytes themselves
//
// A [Publisher] and a [Subscriber] do this with the topics of package pubsub: the camera
// draws into the memory that all viewers read.
//
// Each frame has its own size and format. So a stream may change from 640 x 480 to 4K and
// back. Its messages need room for the largest frame. A Frame that is Reset or Attached to the
// next message allocates nothing.
//
// # Formats and images
//
// The type of Image depends on the format:
//
//	Gray        *image.Gray
//	Gray16      *Gray16Image: little-endian; image.Gray16 is big-endian
//	RGB BGR     *PackedImage
//	RGBA        *image.NRGBA: alpha is not premultiplied
//	BGRA        *PackedImage: alpha is not premultiplied
//	NV12        *NV12Image
//	I420        *image.YCbCr
//
// All of them use the frame's own bytes. All but the last two are a draw.Image. [Draw] draws
// into every format.
//
// NV12 and I420 are converted to and from RGB as in package image/color: ITU-R BT.601 with the
// full range, as in JPEG. The Range and Siting of a frame are what its writer says about the
// samples. They stay with the frame, but no conversion of this package uses them.
//
// # What may be hostile
//
// The writer of a message may be hostile. Open copies the header once, checks the copy, and
// never reads the shared header again. So no plane reaches outside the message, whatever the
// header says. Pixels may have any values. If the writer breaks the rules of the topic or
// memory, pixels can change while they are read.
package frame

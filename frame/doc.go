// Package frame is for images in shared memory. A camera, or a program in another language,
// writes pixels there, and Go uses them as an image.Image without a copy.
//
// A [Frame] is a message: a header of 256 bytes that describes the picture (docs/layout.md),
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
//	Gray              *image.Gray
//	Gray16, gray9 ..  *Gray16Image: little-endian; image.Gray16 is big-endian
//	RGB BGR           *PackedImage
//	RGBA              *image.NRGBA: alpha is not premultiplied
//	BGRA              *PackedImage: alpha is not premultiplied
//	all others        *YUVImage; *image.YCbCr if its samples mean the same, see below
//
// All of them use the frame's own bytes. All but the last two are a draw.Image. [Draw] draws
// into every format.
//
// Samples Y, Cb and Cr are colours by the Range and the Matrix of the frame, both in Image and in
// Draw. If they are unknown, they are the limited range and ITU-R BT.601, as in ffmpeg. The samples
// of I420, I422, I444 and I411 with the full range and BT.601 are those of image.YCbCr, as in JPEG.
// The Siting, Interlace, Aspect and Rate of a frame are what its writer says; no conversion uses
// them.
//
// # Pictures of other programs
//
// A frame holds what most cameras and libraries deliver, often without a copy:
//
//   - Rows with padding: Stride is the bytes from row to row.
//   - Planes with padding below them, such as 1088 rows for a picture of 1080: their bytes go into
//     one plane after the other with Pix. Or make the frame with Height 1088, and let readers use
//     the SubImage of the upper 1080 rows.
//   - Rows from the bottom up, as in a Windows DIB: copy them in reverse order. A stride is never
//     negative.
//   - YUYV, UYVY, P010 and NV21 are not among the formats. ffmpeg converts them and writes them
//     into a pipe for a [Y4MReader].
//
// # What may be hostile
//
// The writer of a message may be hostile. Open copies the header once, checks the copy, and
// never reads the shared header again. So no plane reaches outside the message, whatever the
// header says. Pixels may have any values. If the writer breaks the rules of the topic or
// memory, pixels can change while they are read.
package frame

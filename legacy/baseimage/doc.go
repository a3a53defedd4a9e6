// Package baseimage passes the pictures of a camera from a base program to an algorithm's
// program, byte for byte as existing C++ programs do. The base is a [Sender], the algorithm
// a [Receiver]. They share one section, which has a header of four integers and after it
// the pixels of one picture, and an event that the base sets after each picture.
//
//	s, err := baseimage.CreateSender(nil)
//	err = s.Send(ctx, img)
//
//	r, err := baseimage.OpenReceiver(nil) // in another process
//	f, err := r.Grab(ctx)
//
// The number of bits of a pixel says what it is: 8 is frame.Gray, 16 frame.Gray16, 24
// frame.BGR and 32 frame.BGRA, as in Windows bitmaps, but with the upper row first.
//
// On Windows the objects have the bare names that the C++ programs use. On other systems
// there are no such programs, and senders and receivers of this package meet each other, so
// that the port of a program can be written and tested there. docs/legacy.md says what the
// layout cannot protect, docs/protocol/baseimage.md how a receiver finds out that a picture
// is whole; legacy/wire.h describes the layout for C and C++. For new programs
// frame.Publisher and frame.Subscriber are better.
package baseimage

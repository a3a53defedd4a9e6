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
// The number of bits of a pixel gives the format: 8 is frame.Gray, 16 frame.Gray16, 24 frame.BGR
// and 32 frame.BGRA. These are the formats of Windows bitmaps, but here the upper row comes first.
//
// On Windows the objects have the same names as in the C++ programs, without a prefix or suffix. On
// other systems there are no such C++ programs. There senders and receivers of this package find
// each other, so that the port of a program can be written and tested.
//
// docs/legacy.md says what this layout cannot protect. docs/protocol/baseimage.md says how a
// receiver finds out that a picture is whole. legacy/wire.h describes the layout for C and C++. For
// new programs frame.Publisher and frame.Subscriber are better.
package baseimage

// Package earseimage passes image jobs from a requester to a worker, byte for byte as
// existing C++ programs do. A job names a picture file; the answer is two encoded pictures
// that the worker makes from it. A [Requester] asks, and [Serve] is the worker.
//
//	r, err := earseimage.CreateRequester(nil)
//	answer, err := r.Do(ctx, earseimage.Job{Source: `D:\in.tif`, Type: earseimage.TIFF})
//
// On Windows the two programs share the section EaresImageSharedMemory and notify each other by
// window messages. WM_USER+110 to the window with the title EarseImage says that a job is written.
// WM_USER+111 to the window with the title UnionRectTest says that the answer is written.
//
// On other systems there are no such C++ programs. There requesters and workers of this package
// notify each other by events and mutexes of this project, so that the port of a program can be
// written and tested.
//
// docs/legacy.md says what the layout cannot protect; legacy/wire.h describes it for C and
// C++.
package earseimage

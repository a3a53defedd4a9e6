// Package picture opens, reads and writes the files of pictures for all commands.
//
// A file may have any content, and may claim to be a picture of any size. Read opens only
// regular files, so that it never waits. It looks at the header before it decodes anything. A
// picture that needs more bytes than the caller allows is refused with [samepage.ErrTooLarge],
// and a picture for which the file is too small with [io.ErrUnexpectedEOF]. Encode writes the
// samples of the picture unchanged.
package picture

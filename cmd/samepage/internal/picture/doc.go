// Package picture is where all commands open, read and write the files of pictures.
//
// A file may be anything, and may claim to be a picture of any size. Read opens regular
// files only, so that it never waits, and looks at what the header says before it decodes
// anything: a picture that would take more bytes than the caller allows is refused, with
// [samepage.ErrTooLarge], and one for which the file is too small with
// [io.ErrUnexpectedEOF]. What it writes has the samples of the picture as they are.
package picture

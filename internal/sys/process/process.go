// Package process identifies processes so that a reused process id is never mistaken for the old
// process, keeps handles to processes, and counts what this process has open. Every function has
// the same signature on each system.
package process

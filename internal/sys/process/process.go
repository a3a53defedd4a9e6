// Package process names processes without doubt, takes hold of them, and says what this
// process has open. Every function has the same signature on each system.
package process

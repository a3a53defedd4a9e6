// Package process names processes without doubt, takes hold of them, and says what this
// process has open. Every function has the same signature on each system.
package process

// Program is a process and the name of its program.
type Program struct {
	PID  int    `json:"pid"`
	Name string `json:"name"`
}

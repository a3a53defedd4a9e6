// Package ipcsync has the synchronisation of processes, with the method names
// of package sync.
//
// An [Event] is the event of Win32 on every system: set or not, auto-reset or
// manual-reset, with a name. Those who wait sleep in the kernel.
package ipcsync

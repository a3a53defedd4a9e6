// Package limits tests what memory takes of the machine, and what is said when that runs
// out: descriptors, address space, the space of the store.
package limits

package sys

// Descriptors is the number of descriptors of a process that an open object takes on Linux.
type Descriptors struct {
	First   int // the first handle in the process
	Further int // each further one
}

// The descriptors of each kind of object, as a test measures them.
var (
	NamedMemory   = Descriptors{3, 0}
	NamedFile     = Descriptors{4, 0} // memory with a name, over a file
	MappedFile    = Descriptors{2, 0} // memory without a name, over a file
	UnnamedMemory = Descriptors{1, 0}
	ExactMemory   = Descriptors{1, 0}
	Lock          = Descriptors{4, 1} // also an event, a topic and a cell
	FileLock      = Descriptors{2, 2} // while it is locked
)

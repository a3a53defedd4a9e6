package sys

// The bytes of a file that are locked (see kernel.Locks) lie far behind the end of any file.
const (
	presenceByte  = 1 << 62   // shared by each user of a named object
	exclusiveByte = 1<<62 + 1 // of a file that is mapped: by who wants it alone, or by all others
	fileUserByte  = 1<<62 + 2 // of a file that is mapped: by each user, also beside one who wants it alone
)

// Package lockfile locks files by opening them: a lock file is open together with others, or
// alone. On Linux an open-file-description lock on one byte says so, on Windows the share mode.
package lockfile

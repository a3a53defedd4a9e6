// Package lockfile locks files by opening them. A process opens a lock file either shared, so that
// other processes may open it shared, too, or exclusively. On Linux an open-file-description lock
// on one byte does this, on Windows the share mode.
package lockfile

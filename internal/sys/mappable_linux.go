package sys

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"samepage/internal/sys/syserr"
	"samepage/layout"
)

// mappable sees whether a file can be mapped shared for access a. Errors:
// errors.ErrUnsupported, fs.ErrPermission, ErrNoSpace.
func mappable(f *os.File, name string, a layout.Access) error {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	// A block, for that is what a file of large pages is mapped by. A file that has less
	// can be mapped all the same, only not read there.
	err := tryMap(int(f.Fd()), int64(st.Blksize), a)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.ENOMEM), errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EACCES), errors.Is(err, unix.EPERM), errors.Is(err, unix.ENFILE):
		return fmt.Errorf("map a page of %s %v: %w", name, a, syserr.OfMapping(err))
	}
	return fmt.Errorf("%s is on %s, where it cannot be mapped shared and %v: %w (%w)", name, fileSystem(f), a, errors.ErrUnsupported, err)
}

// fileSystem names the file system of a file.
func fileSystem(f *os.File) string {
	var st unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &st); err != nil {
		return "an unknown file system"
	}
	t := int64(uint32(st.Type)) //nolint:unconvert // not 64 bits everywhere
	if name := localFS[t]; name != "" {
		return name
	}
	if name := remoteFS[t]; name != "" {
		return name
	}
	return fmt.Sprintf("a file system of type %#x", t)
}

// localFS are the file systems whose files lie on this machine, or nowhere.
var localFS = map[int64]string{
	unix.SYSFS_MAGIC: "sysfs", unix.PROC_SUPER_MAGIC: "procfs", unix.DEBUGFS_MAGIC: "debugfs", unix.TRACEFS_MAGIC: "tracefs",
	unix.SECURITYFS_MAGIC: "securityfs", unix.CGROUP_SUPER_MAGIC: "cgroupfs", unix.CGROUP2_SUPER_MAGIC: "cgroup2",
	unix.BPF_FS_MAGIC: "bpffs", 0x62656570: "configfs", unix.PSTOREFS_MAGIC: "pstore", unix.EFIVARFS_MAGIC: "efivarfs",
	unix.FUSE_SUPER_MAGIC: "FUSE or virtiofs", unix.TMPFS_MAGIC: "tmpfs", unix.RAMFS_MAGIC: "ramfs", unix.HUGETLBFS_MAGIC: "hugetlbfs",
	unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "XFS", unix.BTRFS_SUPER_MAGIC: "Btrfs", unix.F2FS_SUPER_MAGIC: "F2FS",
	unix.OVERLAYFS_SUPER_MAGIC: "overlayfs", 0x2fc12fc1: "ZFS", unix.MSDOS_SUPER_MAGIC: "FAT", unix.EXFAT_SUPER_MAGIC: "exFAT",
	0x7366746e: "NTFS", unix.ISOFS_SUPER_MAGIC: "ISO 9660", unix.SQUASHFS_MAGIC: "squashfs", unix.ECRYPTFS_SUPER_MAGIC: "eCryptfs",
}

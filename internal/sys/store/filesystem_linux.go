package store

import (
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Remote says whether a directory is on another machine, and on which file system: empty if not.
func Remote(dir string) (what string, err error) {
	var st unix.Statfs_t
	for {
		err := unix.Statfs(dir, &st)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return "", &fs.PathError{Op: "statfs", Path: dir, Err: err}
		}
		// The field has 32 bits on some systems, with a sign.
		return remoteFS[int64(uint32(st.Type))], nil //nolint:unconvert // not 64 bits everywhere
	}
}

// remoteFS are the file systems whose files are, or may be, on other machines: their locks exclude
// only some of the processes that have the file open.
var remoteFS = map[int64]string{
	unix.NFS_SUPER_MAGIC: "NFS", unix.SMB_SUPER_MAGIC: "SMB", unix.CIFS_SUPER_MAGIC: "CIFS", unix.SMB2_SUPER_MAGIC: "SMB2",
	unix.V9FS_MAGIC: "9p", unix.AFS_SUPER_MAGIC: "AFS", 0x6b414653: "AFS", unix.CODA_SUPER_MAGIC: "Coda",
	unix.CEPH_SUPER_MAGIC: "Ceph", unix.NCP_SUPER_MAGIC: "NCP", unix.OCFS2_SUPER_MAGIC: "OCFS2", 0x01161970: "GFS2",
	0x0bd00bd0: "Lustre", 0x47504653: "GPFS", unix.FUSE_SUPER_MAGIC: "FUSE, which does not tell where",
}

// FileSystem names the file system of a file.
func FileSystem(f *os.File) string {
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

// localFS are the file systems whose files are on this machine, or on no disk.
var localFS = map[int64]string{
	unix.SYSFS_MAGIC: "sysfs", unix.PROC_SUPER_MAGIC: "procfs", unix.DEBUGFS_MAGIC: "debugfs", unix.TRACEFS_MAGIC: "tracefs",
	unix.SECURITYFS_MAGIC: "securityfs", unix.CGROUP_SUPER_MAGIC: "cgroupfs", unix.CGROUP2_SUPER_MAGIC: "cgroup2",
	unix.BPF_FS_MAGIC: "bpffs", 0x62656570: "configfs", unix.PSTOREFS_MAGIC: "pstore", unix.EFIVARFS_MAGIC: "efivarfs",
	unix.FUSE_SUPER_MAGIC: "FUSE or virtiofs", unix.TMPFS_MAGIC: "tmpfs", unix.RAMFS_MAGIC: "ramfs", unix.HUGETLBFS_MAGIC: "hugetlbfs",
	unix.EXT4_SUPER_MAGIC: "ext4", unix.XFS_SUPER_MAGIC: "XFS", unix.BTRFS_SUPER_MAGIC: "Btrfs", unix.F2FS_SUPER_MAGIC: "F2FS",
	unix.OVERLAYFS_SUPER_MAGIC: "overlayfs", 0x2fc12fc1: "ZFS", unix.MSDOS_SUPER_MAGIC: "FAT", unix.EXFAT_SUPER_MAGIC: "exFAT",
	0x7366746e: "NTFS", unix.ISOFS_SUPER_MAGIC: "ISO 9660", unix.SQUASHFS_MAGIC: "squashfs", unix.ECRYPTFS_SUPER_MAGIC: "eCryptfs",
}

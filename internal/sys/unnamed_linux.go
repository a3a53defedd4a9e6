package sys

import (
	"os"

	"golang.org/x/sys/unix"

	"samepage/internal/sys/internal/kernel"
	"samepage/internal/sys/syserr"
	"samepage/layout"
)

func createUnnamed(s *Spec) (*Object, error) {
	const flags = unix.MFD_CLOEXEC | unix.MFD_ALLOW_SEALING
	fd, err := unix.MemfdCreate("samepage", flags|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL { // before Linux 6.3
		fd, err = unix.MemfdCreate("samepage", flags)
	}
	if err != nil {
		return nil, os.NewSyscallError("memfd_create", syserr.Space(syserr.Limit(err)))
	}
	f := kernel.NewFile(fd, "unnamed memory")
	var st unix.Stat_t
	err = unix.Fchmod(fd, 0o600)
	if err == nil {
		err = reserve(f, 0, s.Size, s.Sparse)
	}
	if err == nil && len(s.Init) > 0 {
		_, err = f.WriteAt(s.Init, 0)
		err = syserr.Space(err)
	}
	if err == nil {
		// Nobody can truncate the file below a view, so there is no SIGBUS.
		_, err = unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SHRINK|unix.F_SEAL_GROW)
	}
	if err == nil {
		err = unix.Fstat(fd, &st)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	o := &Object{
		ID: fileID(&st), Kind: s.Kind, Access: layout.ReadWrite, Size: s.Size,
		impl: impl{file: f, path: "unnamed memory", memfd: true},
	}
	o.setKey(&st)
	return o, nil
}

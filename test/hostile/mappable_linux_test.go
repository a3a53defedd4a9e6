package hostile

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"samepage"
	"samepage/internal/ipctest"
)

func init() { helpers["fuse"] = serveFUSE }

// A file that cannot be mapped shared is refused when it is to be shared memory, by
// whatever way, and not when somebody takes a view of it; the text says where it lies.
func TestFilesThatCannotBeMapped(t *testing.T) {
	ipctest.Store(t)
	for _, f := range []struct {
		path, where string
	}{
		{"/sys/kernel/mm/transparent_hugepage/enabled", "sysfs"},
		{"/sys/kernel/profiling", "sysfs"},
		{"/proc/self/status", "procfs"},
		{"/proc/cpuinfo", "procfs"},
		{directFile(t), "FUSE or virtiofs"},
	} {
		if _, err := os.Stat(f.path); err != nil {
			t.Logf("no such file here: %v", err)
			continue
		}
		for what, do := range map[string]func() (*samepage.Memory, error){
			"map": func() (*samepage.Memory, error) {
				return samepage.MapFile(f.path, 0, &samepage.Options{Access: samepage.ReadOnly})
			},
			"map with a size": func() (*samepage.Memory, error) {
				return samepage.MapFile(f.path, 10, &samepage.Options{Access: samepage.ReadOnly})
			},
			"name": func() (*samepage.Memory, error) {
				return samepage.Create("x", 0, &samepage.Options{File: f.path, Access: samepage.ReadOnly})
			},
			"handle": func() (*samepage.Memory, error) {
				file := must(os.Open(f.path))(t)
				defer file.Close()
				return samepage.TakeHandle(os.Getpid(), uint64(file.Fd()), 0, samepage.ReadOnly)
			},
		} {
			m, err := do()
			if err == nil {
				t.Errorf("%s: %s gives memory", f.path, what)
				closeMem(t, m)
				continue
			}
			if what == "handle" && strings.HasPrefix(f.path, "/proc/") {
				continue // it has no size
			}
			ipctest.WantErr(t, err, errors.ErrUnsupported, f.where)
			if what != "handle" && !strings.Contains(err.Error(), f.path) {
				t.Errorf("the text %q does not name the file", err)
			}
		}
	}
}

// directFile is a file of a FUSE file system that has its files read directly, past the
// memory of the system, as many do. Another process serves it: were it this one, a thread
// that waits for the file system in the kernel could keep it from answering.
func directFile(t *testing.T) string {
	t.Helper()
	dir := ipctest.Dir(t)
	c := ipctest.Start(t, "fuse", dir)
	if l := c.Line(); l != "mounted" {
		t.Log(l)
		return dir + ".missing"
	}
	t.Cleanup(func() {
		ipctest.NoErr(t, unix.Unmount(dir, unix.MNT_DETACH))
		c.Kill() // with the last descriptor of its device the file system ends
	})
	return filepath.Join(dir, "file")
}

// serveFUSE mounts a FUSE file system and serves it.
func serveFUSE(args []string) {
	dev, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err == nil {
		err = unix.Mount("samepage-test", args[0], "fuse", 0, fmt.Sprintf("fd=%d,rootmode=40000,user_id=0,group_id=0", dev))
	}
	if err != nil {
		fmt.Println("no FUSE:", err)
		return
	}
	fmt.Println("mounted")
	serveDirect(dev)
}

// serveDirect is a FUSE file system with one file of a page, as linux/fuse.h has it.
func serveDirect(dev int) {
	const (
		lookup, forget, getattr, open, statfs, initialize = 1, 2, 3, 14, 17, 26
		file                                              = 2
	)
	le := binary.LittleEndian
	attr := func(node uint64) []byte {
		b := make([]byte, 88)
		le.PutUint64(b, node)
		mode, size := uint32(unix.S_IFDIR|0o755), uint64(0)
		if node == file {
			mode, size = unix.S_IFREG|0o644, 4096
		}
		le.PutUint64(b[8:], size)
		le.PutUint64(b[16:], size/512)
		le.PutUint32(b[60:], mode)
		le.PutUint32(b[64:], 1)
		le.PutUint32(b[80:], 4096)
		return b
	}
	request := make([]byte, 1<<20)
	for {
		n, err := unix.Read(dev, request)
		if err == unix.EINTR || err == unix.EAGAIN || err == unix.ENOENT {
			continue
		}
		if err != nil || n < 40 {
			return // unmounted
		}
		node := le.Uint64(request[16:])
		var answer []byte
		failure := int32(0)
		switch le.Uint32(request[4:]) {
		case forget:
			continue
		case initialize:
			answer = make([]byte, 64)
			le.PutUint32(answer, 7)
			le.PutUint32(answer[4:], 31)
			le.PutUint32(answer[20:], 1<<16)
		case lookup:
			if string(request[40:n]) == "file\x00" {
				answer = make([]byte, 40)
				le.PutUint64(answer, file)
				answer = append(answer, attr(file)...)
			} else {
				failure = -int32(unix.ENOENT)
			}
		case getattr:
			answer = append(make([]byte, 16), attr(node)...)
		case open:
			answer = make([]byte, 16)
			answer[8] = 1 // FOPEN_DIRECT_IO
		case statfs:
			answer = make([]byte, 80)
		default:
			failure = -int32(unix.ENOSYS)
		}
		head := make([]byte, 16)
		le.PutUint32(head, uint32(len(head)+len(answer)))
		le.PutUint32(head[4:], uint32(failure))
		copy(head[8:], request[8:16])
		_, _ = unix.Write(dev, append(head, answer...))
	}
}

package store

import (
	"maps"
	"testing"

	"golang.org/x/sys/unix"

	"samepage/internal/ipctest"
)

// There is no other machine here: the file system that there is stands for one.
func TestRemoteByType(t *testing.T) {
	dir := ipctest.Dir(t)
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	defer func(were map[int64]string) { remoteFS = were }(remoteFS)
	remoteFS = maps.Clone(remoteFS)
	remoteFS[int64(uint32(st.Type))] = "a file system"
	if what, err := Remote(dir); what != "a file system" || err != nil {
		t.Errorf("%q, %v", what, err)
	}
}

package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/goreleaser/nfpm/v2"
	"github.com/goreleaser/nfpm/v2/deb"
	"github.com/goreleaser/nfpm/v2/files"
)

// maintainer is in the packages. Debian wants an address that somebody reads, and there is none
// yet: checkMaintainer refuses to make a release with this one.
const maintainer = "the samepage authors <samepage@invalid.example>"

// checkMaintainer refuses a maintainer without an address. A version without a tag is no release.
func checkMaintainer(who, version string) error {
	if strings.HasSuffix(who, ".example>") && !strings.HasPrefix(version, "v0.0.0-") {
		return fmt.Errorf("%s would have the maintainer %s: first set an address that somebody reads, in tools/release/debian.go", version, who)
	}
	return nil
}

// debian makes a .deb of what is in the archive.
func (b *builder) debian(goarch string, content []file) (file, error) {
	stage := filepath.Join(b.dir, "debian-"+goarch)
	info := &nfpm.Info{
		Name: "samepage", Arch: goarch, Platform: "linux", Version: b.version, MTime: b.time,
		Section: "utils", Priority: "optional", Maintainer: maintainer, License: "MIT",
		Release: "1",
		Description: `shared memory, messages and locks between processes
The command samepage creates, shows, fills and removes shared memory. It
publishes and receives messages, and says what is wrong with a machine.`,
		DisableGlobbing: true,
	}
	info.Deb.Compression = "xz"
	content = append(slices.Clone(content), file{"changelog.Debian", 0o644, []byte(fmt.Sprintf(
		"samepage (%s-1) unstable; urgency=medium\n\n  * The release %[1]s: see changelog.gz.\n\n -- %s  %s\n",
		debianVersion(b.version), maintainer, b.time.Format(time.RFC1123Z)))})
	for _, f := range content {
		dest, data := debianPath(f)
		if dest == "" {
			continue
		}
		if strings.HasSuffix(dest, ".gz") {
			var z bytes.Buffer
			w, err := gzip.NewWriterLevel(&z, gzip.BestCompression)
			if err != nil {
				return file{}, err
			}
			if _, err := w.Write(data); err != nil {
				return file{}, err
			}
			if err := w.Close(); err != nil {
				return file{}, err
			}
			data = z.Bytes()
		}
		source := filepath.Join(stage, filepath.FromSlash(dest))
		if err := os.MkdirAll(filepath.Dir(source), 0o755); err != nil {
			return file{}, err
		}
		if err := os.WriteFile(source, data, f.mode); err != nil {
			return file{}, err
		}
		info.Contents = append(info.Contents, &files.Content{
			Source: source, Destination: dest,
			FileInfo: &files.ContentFileInfo{Owner: "root", Group: "root", Mode: f.mode, MTime: b.time},
		})
	}
	info = nfpm.WithDefaults(info)
	if err := nfpm.PrepareForPackager(info, "deb"); err != nil {
		return file{}, err
	}
	var pack bytes.Buffer
	d := &deb.Deb{}
	err := d.Package(info, &pack)
	return file{d.ConventionalFileName(info), 0o644, pack.Bytes()}, err
}

// debianVersion is the version for Debian. There a ~ makes it older than the release.
func debianVersion(version string) string {
	return strings.Replace(strings.TrimPrefix(version, "v"), "-", "~", 1)
}

// debianPath is where a file of the archive lies on Debian, and its content there. The path is
// empty if the file is for another system.
func debianPath(f file) (string, []byte) {
	const doc = "/usr/share/doc/samepage/"
	switch dir, name := path.Split(f.name); {
	case dir == "man/":
		return "/usr/share/man/man1/" + name + ".gz", f.data
	case dir == "completions/":
		for _, c := range completions {
			if c.file == name {
				return c.debian, f.data
			}
		}
		return "", nil
	case name == "samepage":
		return "/usr/bin/samepage", f.data
	case name == "LICENSE":
		return doc + "copyright", f.data
	case name == "CHANGELOG.md":
		return doc + "changelog.gz", f.data
	case name == "changelog.Debian":
		return doc + "changelog.Debian.gz", f.data
	default:
		return doc + name, f.data
	}
}

package main

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"compress/flate"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// entry is a file of an archive: its name below the archive's folder, and
// where its content is.
type entry struct {
	name string
	from string // a file, or
	data []byte
	mode os.FileMode
}

func (e entry) content() ([]byte, error) {
	if e.from == "" {
		return e.data, nil
	}
	return os.ReadFile(e.from)
}

// writeArchive writes a .tar.gz or .zip whose files all lie in folder. Order,
// times, owners and modes are given and not the machine's, so that the same
// files make the same bytes.
func writeArchive(to, folder string, entries []entry, when time.Time) (err error) {
	entries = slices.Clone(entries)
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() {
		if closed := f.Close(); err == nil {
			err = closed
		}
		if err != nil {
			os.Remove(to)
		}
	}()
	w := bufio.NewWriterSize(f, 1<<20)
	add, finish, err := archiver(w, to, when)
	if err != nil {
		return err
	}
	for _, e := range entries {
		data, err := e.content()
		if err != nil {
			return err
		}
		if err := add(folder+"/"+e.name, e.mode, data); err != nil {
			return fmt.Errorf("%s: %w", e.name, err)
		}
	}
	if err := finish(); err != nil {
		return err
	}
	return w.Flush()
}

// archiver returns what adds a file to an archive of the kind that its name
// says, and what ends the archive.
func archiver(w io.Writer, name string, when time.Time) (add func(name string, mode os.FileMode, data []byte) error, finish func() error, err error) {
	if filepath.Ext(name) == ".zip" {
		z := zip.NewWriter(w)
		z.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) { return flate.NewWriter(w, flate.BestCompression) })
		return func(name string, mode os.FileMode, data []byte) error {
			h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: when.UTC()}
			h.SetMode(mode)
			f, err := z.CreateHeader(h)
			if err == nil {
				_, err = f.Write(data)
			}
			return err
		}, z.Close, nil
	}
	gz, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return nil, nil, err
	}
	tw := tar.NewWriter(gz)
	add = func(name string, mode os.FileMode, data []byte) error {
		h := &tar.Header{Name: name, Mode: int64(mode.Perm()), Size: int64(len(data)), ModTime: when.UTC(), Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}
		err := tw.WriteHeader(h)
		if err == nil {
			_, err = tw.Write(data)
		}
		return err
	}
	finish = func() error {
		if err := tw.Close(); err != nil {
			return err
		}
		return gz.Close()
	}
	return add, finish, nil
}

// sumsFile is the name of the list of checksums, as sha256sum -c reads it.
const sumsFile = "SHA256SUMS"

// writeSums writes the checksums of files in dir.
func writeSums(dir string, names []string) error {
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		sum, err := fileSum(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s  %s\n", sum, name)
	}
	return os.WriteFile(filepath.Join(dir, sumsFile), []byte(b.String()), 0o666)
}

// fileSum returns the SHA-256 of a file, in hex.
func fileSum(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

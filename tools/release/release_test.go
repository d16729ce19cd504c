package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// The same files make the same archive, whatever their times and modes on disk
// and the order they are given in; what comes out is what went in.
func TestArchives(t *testing.T) {
	when := time.Unix(1700000000, 0)
	for _, kind := range []string{".tar.gz", ".zip"} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			from := filepath.Join(dir, "program")
			content := bytes.Repeat([]byte("narrow "), 1000)
			if err := os.WriteFile(from, content, 0o600); err != nil {
				t.Fatal(err)
			}
			entries := []entry{{name: "narrow", from: from, mode: 0o755}, {name: "man/man1/narrow.1", data: []byte(".TH"), mode: 0o644}}
			var before []byte
			for i := range 2 {
				to := filepath.Join(dir, "a"+kind)
				if err := writeArchive(to, "top", entries, when); err != nil {
					t.Fatal(err)
				}
				got, err := os.ReadFile(to)
				if err != nil {
					t.Fatal(err)
				}
				if i > 0 && !bytes.Equal(got, before) {
					t.Error("other bytes the second time")
				}
				before = got
				slices.Reverse(entries)
				if err := os.Chtimes(from, time.Now(), time.Unix(1, 0)); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(from, 0o640); err != nil {
					t.Fatal(err)
				}
			}
			out := filepath.Join(dir, "out")
			home, err := unpack(filepath.Join(dir, "a"+kind), out)
			if err != nil || home != filepath.Join(out, "top") {
				t.Fatalf("%s, %v", home, err)
			}
			program := filepath.Join(home, "narrow")
			if got, err := os.ReadFile(program); err != nil || !bytes.Equal(got, content) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
			if fi, err := os.Stat(program); err != nil || fi.Mode().Perm()&0o100 == 0 {
				t.Errorf("%v: not executable (%v)", fi.Mode(), err)
			}
		})
	}
}

// An archive that is not written whole is not there.
func TestArchiveFails(t *testing.T) {
	to := filepath.Join(t.TempDir(), "a.zip")
	if err := writeArchive(to, "top", []entry{{name: "x", from: "there is no such file"}}, time.Unix(0, 0)); err == nil {
		t.Error("no error")
	}
	if _, err := os.Stat(to); err == nil {
		t.Error("the archive stands")
	}
}

// Unpacking refuses names that leave the folder.
func TestUnpackRefuses(t *testing.T) {
	dir := t.TempDir()
	to := filepath.Join(dir, "a.zip")
	if err := writeArchive(to, "top", []entry{{name: "../../x", data: []byte("x")}}, time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := unpack(to, filepath.Join(dir, "out")); err == nil || !strings.Contains(err.Error(), "is not in the folder") {
		t.Errorf("%v", err)
	}
}

// The check of the checksums sees a changed byte.
func TestSums(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "narrow-1.0.0-linux-amd64.cdx.json")
	if err := os.WriteFile(file, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeSums(dir, []string{filepath.Base(file)}); err != nil {
		t.Fatal(err)
	}
	if err := checkAll(t.Context(), dir, nil); err == nil || !strings.Contains(err.Error(), "no archive") {
		t.Errorf("unchanged: %v", err)
	}
	if err := os.WriteFile(file, []byte("{ }"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := checkAll(t.Context(), dir, nil); err == nil || !strings.Contains(err.Error(), "another SHA-256") {
		t.Errorf("changed: %v", err)
	}
}

// The stubs name what this Go's own packages call on macOS.
func TestStubs(t *testing.T) {
	b := &builder{work: t.TempDir()}
	if err := b.writeStubs(); err != nil {
		t.Fatal(err)
	}
	for file, symbol := range map[string]string{
		"lib/libresolv.tbd": "_res_9_nsearch",
		"Frameworks/CoreFoundation.framework/CoreFoundation.tbd": "_CFRelease",
		"Frameworks/Security.framework/Security.tbd":             "_SecTrustEvaluateWithError",
	} {
		text, err := os.ReadFile(filepath.Join(b.stubs(), filepath.FromSlash(file)))
		if err != nil || !bytes.Contains(text, []byte("- "+symbol+"\n")) || !bytes.HasPrefix(text, []byte("--- !tapi-tbd\n")) {
			t.Errorf("%s: %v\n%s", file, err, text)
		}
	}
}

// The list of contents names every module with its licence, and the library
// with its hash, in the same bytes each time.
func TestBOM(t *testing.T) {
	dir := t.TempDir()
	library := filepath.Join(dir, "lib")
	if err := os.WriteFile(library, []byte("the library"), 0o600); err != nil {
		t.Fatal(err)
	}
	info := programInfo{version: "v1.2.3", revision: "abc", goVersion: "go1.26.0", modules: []*debug.Module{{Path: "example.org/m", Version: "v1.0.0", Sum: "h1:x"}}}
	licences := licenceList{{of: "example.org/m", ids: []string{"MIT"}}, {of: "go", ids: []string{"BSD-3-Clause"}}, {of: "onnxruntime", ids: []string{"MIT"}}}
	var before []byte
	for range 2 {
		to := filepath.Join(dir, "bom.json")
		if err := writeBOM(to, platforms()[0], info, licences, library, time.Unix(0, 0)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(to)
		if err != nil {
			t.Fatal(err)
		}
		if before != nil && !bytes.Equal(before, got) {
			t.Error("other bytes the second time")
		}
		before = got
	}
	var b cdx.BOM
	if err := json.Unmarshal(before, &b); err != nil {
		t.Fatal(err)
	}
	found := map[string]cdx.Component{}
	for _, c := range *b.Components {
		found[c.Name] = c
		if c.Licenses == nil || len(*c.Licenses) != 1 {
			t.Errorf("%s has licences %v", c.Name, c.Licenses)
		}
	}
	if m := found["example.org/m"]; m.PackageURL != "pkg:golang/example.org/m@v1.0.0" || (*m.Licenses)[0].License.ID != "MIT" {
		t.Errorf("the module is %+v", m)
	}
	sum, err := fileSum(library)
	if err != nil {
		t.Fatal(err)
	}
	if o := found["onnxruntime"]; (*o.Hashes)[0].Value != sum {
		t.Errorf("the library is %+v", o)
	}
	if len(found) != 3 || b.Metadata.Timestamp != "1970-01-01T00:00:00Z" || b.Metadata.Component.Version != "v1.2.3" {
		t.Errorf("%d components, %+v", len(found), b.Metadata)
	}
}

// Each linked module's licence is found and told by its SPDX name.
func TestLicences(t *testing.T) {
	t.Chdir("../..")
	info, ok := debug.ReadBuildInfo()
	if !ok || len(info.Deps) == 0 {
		t.Skip("the test program tells no modules")
	}
	list, err := collectLicences(t.Context(), info.Deps)
	if err != nil {
		t.Fatal(err)
	}
	if ids := list.ids("onnxruntime"); !slices.Equal(ids, []string{"MIT"}) {
		t.Errorf("ONNX Runtime: %v", ids)
	}
	if ids := list.ids("go"); !slices.Contains(ids, "BSD-3-Clause") {
		t.Errorf("Go: %v", ids)
	}
}

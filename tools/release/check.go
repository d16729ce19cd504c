package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"debug/elf"
	"debug/macho"
	"debug/pe"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"narrow/graph"
	"narrow/internal/ortlib"
	"narrow/samples"
)

// emulators are commands that run another platform's programs.
type emulators map[string][]string

func (e emulators) String() string { return "" }

// Set reads GOOS/GOARCH=COMMAND.
func (e emulators) Set(s string) error {
	name, command, ok := strings.Cut(s, "=")
	if _, err := platformOf(name); err != nil || !ok {
		return errors.Join(err, errors.New("write it as GOOS/GOARCH=COMMAND"))
	}
	e[name] = strings.Fields(command)
	return nil
}

// checkAll checks the archives of a folder: the checksums, what is in each, for
// which machine its programs are and what they link, and by running what this
// machine can run.
func checkAll(ctx context.Context, dir string, with emulators) error {
	sums, err := os.ReadFile(filepath.Join(dir, sumsFile))
	if err != nil {
		return err
	}
	archives := 0
	for line := range strings.Lines(string(sums)) {
		want, name, ok := strings.Cut(strings.TrimSpace(line), "  ")
		if !ok {
			return fmt.Errorf("%s: %q is no line of sha256sum", sumsFile, line)
		}
		got, err := fileSum(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("%s has another SHA-256 than %s says", name, sumsFile)
		}
		for _, p := range platforms() {
			if !strings.HasSuffix(name, "-"+p.goos+"-"+p.goarch+p.archive) {
				continue
			}
			archives++
			if err := checkArchive(ctx, filepath.Join(dir, name), p, with); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	if archives == 0 {
		return fmt.Errorf("%s lists no archive", sumsFile)
	}
	return nil
}

func checkArchive(ctx context.Context, archive string, p platform, with emulators) error {
	work, err := os.MkdirTemp("", "narrow-check-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	home, err := unpack(archive, work)
	if err != nil {
		return err
	}
	lib, _ := ortlib.For(p.goos, p.goarch) // platforms has only those that there are
	program, library := filepath.Join(home, "narrow"+exeSuffix(p.goos)), filepath.Join(home, lib.File)
	for _, name := range []string{"README.md", "LICENSE", "CHANGELOG.md", "docs/install.md", "licenses/onnxruntime.txt", "licenses/go.txt", "man/man1/narrow.1", "completions/narrow.bash"} {
		if fi, err := os.Stat(filepath.Join(home, name)); err != nil || fi.Size() == 0 {
			return fmt.Errorf("%s is missing", name)
		}
	}
	links, err := checkBinaries(p, program, library)
	if err != nil {
		return err
	}
	bom, err := os.ReadFile(strings.TrimSuffix(archive, p.archive) + ".cdx.json")
	if err != nil {
		return err
	}
	var list cdx.BOM
	if err := json.Unmarshal(bom, &list); err != nil {
		return fmt.Errorf("its .cdx.json: %w", err)
	}
	sum, err := fileSum(library)
	if err != nil {
		return err
	}
	if !bytes.Contains(bom, []byte(sum)) {
		return errors.New("its .cdx.json has another SHA-256 for the library")
	}
	fmt.Printf("%s: %s, links %s, %d components\n", filepath.Base(archive), p, strings.Join(links, " "), len(*list.Components))

	before, can := with[p.String()]
	if !can && (p.goos != runtime.GOOS || p.goarch != runtime.GOARCH) {
		fmt.Println("  not run: it takes another machine, or -with", p.String()+"=COMMAND")
		return nil
	}
	return runProgram(ctx, append(slices.Clone(before), program), home)
}

// runProgram has the unpacked program lint, calibrate, test and export, in an
// empty folder with an empty home folder: nothing but the archive can give it
// the library.
func runProgram(ctx context.Context, program []string, home string) error {
	model, err := filepath.Abs("models/fashion_dscnn.onnx")
	if err != nil {
		return err
	}
	work := filepath.Join(home, "work")
	if err := os.Mkdir(work, 0o777); err != nil {
		return err
	}
	if err := writeSamples(filepath.Join(work, "samples.npy")); err != nil {
		return err
	}
	for _, args := range [][]string{
		{"version"},
		{"lint", "--config-file", filepath.Join(home, "configs", "int_config.json")},
		{"run", "--model", model, "--data", "samples.npy", "--threads", "1"},
	} {
		cmd := exec.CommandContext(ctx, program[0], append(slices.Clone(program[1:]), args...)...)
		cmd.Dir = work
		// Wine keeps its own folder; nothing of the rest is narrow's.
		cmd.Env = []string{"HOME=" + work, "PATH=" + os.Getenv("PATH"), "WINEDEBUG=-all", "WINEPREFIX=" + os.Getenv("WINEPREFIX")}
		if runtime.GOOS == "windows" {
			cmd.Env = append(cmd.Env, "SYSTEMROOT="+os.Getenv("SYSTEMROOT"))
		}
		out, err := cmd.CombinedOutput()
		if err != nil {
			return fmt.Errorf("narrow %s: %w\n%s", args[0], err, out)
		}
		if args[0] == "version" && !bytes.Contains(out, []byte("ONNX Runtime "+ortlib.Version)) {
			return fmt.Errorf("narrow version says\n%s", out)
		}
		if args[0] == "version" {
			fmt.Printf("  ran: %s\n", bytes.ReplaceAll(bytes.TrimSpace(out), []byte("\n"), []byte("\n       ")))
		}
	}
	for _, name := range []string{"quant_info.json", "fashion_dscnn.qdq.onnx"} {
		sum, err := fileSum(filepath.Join(work, "quantize_result", name))
		if err != nil {
			return err
		}
		fmt.Printf("       %s %s\n", sum[:16], name)
	}
	return nil
}

// writeSamples writes 32 pictures of the bundled network's size, always the
// same.
func writeSamples(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	const count, size = 32, 28 * 28
	w, err := samples.NewNPYWriter(f, graph.Float32, []int64{count, 1, 28, 28})
	if err != nil {
		return err
	}
	v := make([]float32, count*size)
	state := uint32(1)
	for i := range v {
		state = state*1664525 + 1013904223
		v[i] = float32(state>>24) / 255
	}
	return errors.Join(w.WriteFloats(v), w.Close(), f.Close())
}

// unpack unpacks an archive into dir and returns the one folder in it.
func unpack(archive, dir string) (string, error) {
	top := ""
	write := func(name string, mode os.FileMode, r io.Reader) error {
		first, _, ok := strings.Cut(name, "/")
		if top == "" {
			top = first
		}
		if !ok || first != top || !filepath.IsLocal(name) {
			return fmt.Errorf("%s is not in the folder %s", name, top)
		}
		to := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
			return err
		}
		f, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
		if err != nil {
			return err
		}
		_, err = io.Copy(f, r)
		return errors.Join(err, f.Close())
	}
	if filepath.Ext(archive) == ".zip" {
		z, err := zip.OpenReader(archive)
		if err != nil {
			return "", err
		}
		defer z.Close()
		for _, f := range z.File {
			r, err := f.Open()
			if err != nil {
				return "", err
			}
			err = write(f.Name, f.Mode(), r)
			r.Close()
			if err != nil {
				return "", err
			}
		}
		return filepath.Join(dir, top), nil
	}
	f, err := os.Open(archive)
	if err != nil {
		return "", err
	}
	defer f.Close()
	gz, err := gzip.NewReader(f)
	if err != nil {
		return "", err
	}
	for tr := tar.NewReader(gz); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return filepath.Join(dir, top), nil
		}
		if err != nil {
			return "", err
		}
		if err := write(h.Name, h.FileInfo().Mode(), tr); err != nil {
			return "", err
		}
	}
}

// checkBinaries holds that the program and the library are for the platform
// and that the program links nothing but what every such system has. It returns
// what the program links.
func checkBinaries(p platform, program, library string) (links []string, err error) {
	var allowed []string
	switch p.goos {
	case "linux":
		machine := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[p.goarch]
		for _, name := range []string{library, program} {
			f, err := elf.Open(name)
			if err != nil {
				return nil, err
			}
			defer f.Close()
			if f.Machine != machine {
				return nil, fmt.Errorf("%s is for %s", filepath.Base(name), f.Machine)
			}
			links, err = f.ImportedLibraries()
			if err != nil {
				return nil, err
			}
		}
		allowed = []string{"libc.so.6", "libdl.so.2", "libpthread.so.0", "libm.so.6", "libresolv.so.2", "ld-linux-x86-64.so.2", "ld-linux-aarch64.so.1"}
	case "darwin":
		for _, name := range []string{library, program} {
			f, err := macho.Open(name)
			if err != nil {
				return nil, err
			}
			defer f.Close()
			if f.Cpu != macho.CpuArm64 {
				return nil, fmt.Errorf("%s is for %s", filepath.Base(name), f.Cpu)
			}
			// Apple's processors run nothing without a signature, of whomever.
			const codeSignature = 0x1d
			if !slices.ContainsFunc(f.Loads, func(l macho.Load) bool { return f.ByteOrder.Uint32(l.Raw()) == codeSignature }) {
				return nil, fmt.Errorf("%s is not signed", filepath.Base(name))
			}
			links, err = f.ImportedLibraries()
			if err != nil {
				return nil, err
			}
		}
		frameworks := "/System/Library/Frameworks/"
		allowed = []string{
			"/usr/lib/libSystem.B.dylib", "/usr/lib/libresolv.9.dylib",
			frameworks + "CoreFoundation.framework/Versions/A/CoreFoundation", frameworks + "Security.framework/Versions/A/Security",
		}
	case "windows":
		for _, name := range []string{library, program} {
			f, err := pe.Open(name)
			if err != nil {
				return nil, err
			}
			defer f.Close()
			if f.Machine != pe.IMAGE_FILE_MACHINE_AMD64 {
				return nil, fmt.Errorf("%s is for machine %#x", filepath.Base(name), f.Machine)
			}
			symbols, err := f.ImportedSymbols()
			if err != nil {
				return nil, err
			}
			links = nil
			for _, s := range symbols {
				if _, dll, ok := strings.Cut(s, ":"); ok && !slices.Contains(links, dll) {
					links = append(links, dll)
				}
			}
		}
		allowed = []string{"KERNEL32.dll", "ntdll.dll", "msvcrt.dll"}
		links = slices.DeleteFunc(links, func(dll string) bool { return strings.HasPrefix(dll, "api-ms-win-crt-") }) // Windows' C library
	}
	for _, l := range links {
		if !slices.Contains(allowed, l) {
			return nil, fmt.Errorf("the program links %s, which not every system has", l)
		}
	}
	return links, nil
}

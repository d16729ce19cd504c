package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
)

// requirements pins the zig compiler, as pip reads it.
//
//go:embed zig.txt
var requirements string

// installZig installs the pinned zig below the cache's folder root, unless it
// is there, and returns the program's path.
func installZig(ctx context.Context, root string) (string, error) {
	version := regexp.MustCompile(`ziglang==(\S+)`).FindStringSubmatch(requirements)
	if version == nil {
		return "", fmt.Errorf("zig.txt pins no ziglang")
	}
	dir := filepath.Join(root, "zig-"+version[1])
	zig := filepath.Join(dir, "ziglang", "zig")
	if _, err := os.Stat(zig); err == nil {
		return zig, nil
	}
	tmp, err := os.MkdirTemp(root, ".setup-*")
	if err != nil {
		return "", fmt.Errorf("the cache cannot be written: %w", err)
	}
	defer os.RemoveAll(tmp)
	list := filepath.Join(tmp, "zig.txt")
	if err := os.WriteFile(list, []byte(requirements), 0o666); err != nil {
		return "", err
	}
	fmt.Fprintf(os.Stderr, "installing zig %s from PyPI (90 MB) ...\n", version[1])
	cmd := exec.CommandContext(ctx, "python3", "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
		"--require-hashes", "--only-binary=:all:", "--no-deps", "--target", filepath.Join(tmp, "zig"), "-r", list)
	if text, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("zig, which compiles C for all platforms, could not be installed: %w\n%s\npython3 with pip is needed (apt-get install python3-pip)", err, text)
	}
	if err := os.Rename(filepath.Join(tmp, "zig"), dir); err != nil {
		if _, there := os.Stat(zig); there != nil {
			return "", err
		}
	}
	return zig, nil
}

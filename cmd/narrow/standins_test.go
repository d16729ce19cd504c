package main

import (
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"narrow/graph/graphtext"
	"narrow/graph/onnx"
)

// Stand-ins are what the documents call by names that a reader replaces: net.onnx,
// images/, labels.csv. With them their commands run as they are written.

// standInNet has three classes, by the channel that is brightest, in pictures of any
// size.
const standInNet = `
net (float[N, 3, H, W] image) => (float[N, 3] class)
<float[3, 3, 1, 1] w = {2, -0.5, -0.4, -0.3, 1.9, -0.6, -0.5, -0.45, 2.1}, float[3] b = {0.1, 0.2, 0.15}, float[3, 3] v = {1.5, -0.2, -0.3, -0.25, 1.6, -0.1, -0.15, -0.3, 1.4}, float[3] c = {0, 0.01, 0.02}>
{
  ["/layer1/layer1.0/conv1/Conv"] h = Conv (image, w, b)
  ["/layer1/layer1.0/relu/Relu"] r = Relu (h)
  ["/pool/GlobalAveragePool"] p = GlobalAveragePool (r)
  ["/pool/Flatten"] f = Flatten <axis = 1> (p)
  ["/fc/Gemm"] class = Gemm (f, v, c)
}`

// standInDetector has the outputs of a YOLOv8 with two classes and 16 anchors, for
// pictures of 640x640.
const standInDetector = `
yolo (float[N, 3, 640, 640] image) => (float[N, 6, 16] found)
<float[6, 3, 16, 16] w = {0.02, 0.03, -0.01, 0.025, ...}, float[6] b = {20, 30, 16, 16, 0.5, 0.4}, int64[3] s = {0, 6, -1}>
{
  ["/model.0/conv/Conv"] h = Conv <strides = [160, 160], kernel_shape = [16, 16]> (image, w, b)
  ["/model.22/Reshape"] found = Reshape (h, s)
}`

// standIns writes them into a folder.
func standIns(t *testing.T, dir string) {
	t.Helper()
	write := func(name string, data []byte) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"net.onnx": standInNet, "resnet18.onnx": standInNet, "det.onnx": standInNet, "yolo.onnx": standInDetector,
	} {
		data, err := onnx.Encode(graphtext.MustParse(text))
		if err != nil {
			t.Fatal(err)
		}
		write(name, data)
	}
	for _, folder := range []struct {
		name, labels string
		n, size      int
		classes      bool // in class folders
	}{
		{"images", "labels.csv", 96, 32, false},
		{"calib", "calib.csv", 64, 32, false},
		{"val", "val.csv", 208, 32, true},
		{"frames", "frames.csv", 48, 64, false},
	} {
		labels := "file,class\n"
		r := rand.New(rand.NewPCG(uint64(len(folder.name)), 1))
		for i := range folder.n {
			class := i % 3
			name := fmt.Sprintf("%03d.png", i)
			if folder.classes {
				name = fmt.Sprintf("%c/%s", 'a'+class, name)
			}
			labels += fmt.Sprintf("%s,%d\n", name, class)
			writePicture(t, filepath.Join(dir, folder.name, name), folder.size, class, r)
		}
		write(folder.labels, []byte(labels))
	}
	boxes := "name,class,x1,y1,x2,y2\n"
	for i := range 48 {
		boxes += fmt.Sprintf("%03d.png,%d,8,8,40,56\n", i, i%2)
	}
	write("boxes.csv", []byte(boxes))
	// map.py stands for a program that tells a detector's mAP.
	write("map.py", []byte("import sys\nassert sys.argv[1:3] == ['--truth', 'boxes.csv'], sys.argv\nprint('{\"map50\": 0.41}')\n"))
	for _, name := range []string{"strategy.json", "int8.json", "int_config.json", "quant/net.json", "quant/a.json"} {
		src, err := os.ReadFile("../../examples/configs/int_config.json")
		if err != nil {
			t.Fatal(err)
		}
		write(name, src)
	}
}

// writePicture writes noise in which one channel is brighter.
func writePicture(t *testing.T, file string, size, bright int, r *rand.Rand) {
	t.Helper()
	img := image.NewNRGBA(image.Rect(0, 0, size, size))
	for y := range size {
		for x := range size {
			p := [3]int{r.IntN(120), r.IntN(120), r.IntN(120)}
			p[bright] += 120
			img.Set(x, y, color.NRGBA{uint8(p[0]), uint8(p[1]), uint8(p[2]), 255})
		}
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := png.Encode(f, img); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// runnable are the blocks of a document marked sh: their lines, and where each begins,
// from 1.
func runnable(lines []string) (blocks []docCommand) {
	for i := 0; i < len(lines); i++ {
		if lines[i] != "```sh" {
			continue
		}
		b := docCommand{line: i + 1}
		for i++; i < len(lines) && lines[i] != "```"; i++ {
			b.command += lines[i] + "\n"
		}
		blocks = append(blocks, b)
	}
	return blocks
}

// pythonWithNumpy has the folder's python3 be one with numpy, where there is one.
func pythonWithNumpy(t *testing.T, at *docDir) bool {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		p, err := exec.LookPath(name)
		if err != nil || exec.Command(p, "-c", "import numpy").Run() != nil {
			continue
		}
		bin := t.TempDir()
		if err := os.Symlink(p, filepath.Join(bin, "python3")); err != nil {
			t.Fatal(err)
		}
		at.env = append(at.env, "PATH="+bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
		return true
	}
	return false
}

// comment is one in a block of commands.
var comment = regexp.MustCompile(`(?m)(^| +)#.*$`)

// TestDocsRun runs every block marked sh of every document, with stand-ins for what it
// names: no command fails. What a translation has alike is run once.
func TestDocsRun(t *testing.T) {
	lib := library(t)
	ran := 0
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/guide/*.md"} {
		files, err := filepath.Glob(filepath.Join("../..", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			blocks := runnable(strings.Split(string(src), "\n"))
			ran += len(blocks)
			if english, err := os.ReadFile(strings.Replace(file, ".zh-CN.md", ".md", 1)); err == nil && strings.Contains(file, ".zh-CN.") {
				same := map[string]bool{}
				for _, b := range runnable(strings.Split(string(english), "\n")) {
					same[comment.ReplaceAllString(b.command, "")] = true
				}
				blocks = slices.DeleteFunc(blocks, func(b docCommand) bool { return same[comment.ReplaceAllString(b.command, "")] })
			}
			if len(blocks) == 0 {
				continue
			}
			t.Run(filepath.Base(file), func(t *testing.T) {
				t.Parallel()
				at := docEnv(t, lib, cacheRoot(t), strings.Contains(file, "zh-CN"))
				standIns(t, at.dir)
				if strings.HasPrefix(filepath.Base(file), "search.") {
					// A search writes it.
					if err := os.Remove(filepath.Join(at.dir, "strategy.json")); err != nil {
						t.Fatal(err)
					}
				}
				numpy := pythonWithNumpy(t, &at)
				for _, b := range blocks {
					if strings.Contains(b.command, "examples/metrics/") && !numpy {
						t.Logf("%s:%d: skipped: no python3 has numpy", file, b.line)
						continue
					}
					cmd := shellCommand(t, at, "set -e\n"+b.command)
					if out, err := cmd.CombinedOutput(); err != nil {
						t.Errorf("%s:%d: %v\n%s\nprints\n%s", file, b.line, err, b.command, out)
					}
				}
			})
		}
	}
	if ran < 20 {
		t.Errorf("only %d blocks were found", ran)
	}
}

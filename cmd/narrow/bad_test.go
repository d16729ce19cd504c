package main

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// files makes what the tests of bad input use, in the current folder.
func files(t *testing.T, model string) {
	t.Helper()
	write := func(name string, data []byte) {
		t.Helper()
		if err := os.WriteFile(name, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	net, err := os.ReadFile(model)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"npy x.npy float32 8,1,28,28 abs",
		"npy rgb.npy float32 8,3,28,28",
		"npy int.npy int64 8,1,28,28",
		"npy y.npy int64 8",
		"npy y7.npy int64 7",
		"npy none.npy float32 0,1,28,28",
		"npy cut.npy float32 8,1,28,28",
		"cut cut.npy 700",
		"npy header.npy float32 8,1,28,28",
		"cut header.npy 40",
		"npz wrong.npz a=float32:8,1,28,28 b=float32:8,1,28,28",
		"images one 1 28x28 gray",
		"images large 2 30x32",
		"images broken 3 28x28 gray",
		"images mixed 2 28x28 gray",
	} {
		if err := mkFile(strings.Fields(line)); err != nil {
			t.Fatal(line, err)
		}
	}
	for _, dir := range []string{"empty", "texts"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write("net.onnx", net)
	write("cut.onnx", net[:len(net)/2])
	write("empty.onnx", nil)
	write("text.onnx", []byte("this is no network\n"))
	write("file", []byte("x"))
	write("texts/a.txt", []byte("x"))
	write("broken/001.png", []byte("no picture"))
	write("mixed/notes.txt", []byte("no picture, and not meant to be one"))
	write("header.csv", []byte("name,number\n000.png,1\n"))
	write("word.csv", []byte("file,class\na.png,1\nb.png,cat\n"))
	write("other.csv", []byte("file,class\na.png,1\n"))
	write("empty.csv", nil)
}

// tree is the content of every file below dir, nil where there is no dir.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	var m map[string]string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if m == nil {
			m = map[string]string{}
		}
		m[path] = string(data)
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return m
}

// TestBadInput: one line on standard error that names the thing and the way
// out, exit code 1, no output folder where there was none, and a former result
// as it was.
func TestBadInput(t *testing.T) {
	files(t, emptyFolder(t))
	if code, _, stderr := execute("run --model net.onnx --data x.npy -o former"); code != 0 {
		t.Fatal(stderr)
	}
	former := tree(t, "former")

	const ok = "--model net.onnx --data x.npy"
	tests := []struct {
		name, args string
		// what the line must say: the thing, then the way out
		says []string
	}{
		{"no model", "--model nowhere.onnx --data x.npy", []string{"model nowhere.onnx: no such file", "give the path of an .onnx file"}},
		{"model is a folder", "--model one --data x.npy", []string{"model one: is a folder", "give the path"}},
		{"model cut off", "--model cut.onnx --data x.npy", []string{"model cut.onnx: ", "cut off", "copy or export it again"}},
		{"empty model", "--model empty.onnx --data x.npy", []string{"model empty.onnx: the file is empty", "export"}},
		{"model is text", "--model text.onnx --data x.npy", []string{"model text.onnx: ", "not an ONNX model", "give the path of an .onnx file"}},
		{"model is an array", "--model x.npy --data x.npy", []string{"model x.npy: this is a NumPy array"}},

		{"no samples' file", "--model net.onnx --data nowhere", []string{"nowhere: no such file or folder", "give a folder of images"}},
		{"samples are a model", "--model net.onnx --data net.onnx", []string{"net.onnx: is none of .npy, .npz or IDX", "give one of these"}},
		{"wrong shape", "--model net.onnx --data rgb.npy", []string{"rgb.npy: ", "(3, 28, 28)", "(?, 1, 28, 28)", "save it as (samples, 1, 28, 28)"}},
		{"wrong element type", "--model net.onnx --data int.npy", []string{"int.npy: ", "int64", "float32", "save it as x.astype(np.float32)"}},
		{"no rows", "--model net.onnx --data none.npy", []string{"none.npy: holds no samples"}},
		{"array cut off", "--model net.onnx --data cut.npy", []string{"cut.npy: ", "cut short"}},
		{"header cut off", "--model net.onnx --data header.npy", []string{"header.npy: "}},
		{"wrong names", "--model net.onnx --data wrong.npz", []string{"wrong.npz: ", `"image"`}},
		{"empty folder", "--model net.onnx --data empty", []string{"empty: the folder is empty", "put images"}},
		{"no images", "--model net.onnx --data texts", []string{"texts: "}},
		{"image instead of folder", "--model net.onnx --data one/000.png", []string{"one/000.png: is one image", "give the folder"}},
		{"image does not decode", "--model net.onnx --data broken", []string{"broken/001.png: "}},
		{"image of another size", "--model net.onnx --data large", []string{"large/000.png: ", "32 x 30", "resizing to 28 with a crop of 28"}},

		{"no labels' file", ok + " --labels nowhere.csv", []string{"nowhere.csv: the labels cannot be read: no such file"}},
		{"too few labels", ok + " --labels y7.npy", []string{"y7.npy: holds 7 labels", "8 samples", "give one label for each"}},
		{"labels are samples", ok + " --labels x.npy", []string{"x.npy: labels must be whole numbers"}},
		{"labels without a header", ok + " --labels header.csv", []string{"header.csv: line 1: ", "write the columns file,class"}},
		{"label is a word", ok + " --labels word.csv", []string{"word.csv: line 3: ", `"cat"`}},
		{"empty labels", ok + " --labels empty.csv", []string{"empty.csv: holds no labels"}},
		{"labels are a folder", ok + " --labels one", []string{"one: is a folder", "CSV"}},
		{"labels miss an image", "--model net.onnx --data one --labels other.csv", []string{"other.csv: ", "000.png", "give a row file,class"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, command := range []string{"calib -o new ", "run -o new ", "calib -o former ", "run -o former ", "test -o former --save-output new/y.npy "} {
				code, stdout, stderr := execute(command + tt.args)
				if code != 1 {
					t.Errorf("narrow %s%s: exit code %d", command, tt.args, code)
				}
				if stdout != "" {
					t.Errorf("narrow %s%s: standard output %q", command, tt.args, stdout)
				}
				line, rest, _ := strings.Cut(stderr, "\n")
				if !strings.HasPrefix(line, "narrow: ") || rest != "" {
					t.Errorf("narrow %s%s: not one line:\n%s", command, tt.args, stderr)
				}
				for _, s := range tt.says {
					if !strings.Contains(line, s) {
						t.Errorf("narrow %s%s: %q does not say %q", command, tt.args, line, s)
					}
				}
				for _, s := range []string{"%!", "EOF", "strconv.", "torch_jit", "narrow.tap"} {
					if strings.Contains(line, s) {
						t.Errorf("narrow %s%s: %q says %q", command, tt.args, line, s)
					}
				}
				if _, err := os.Stat("new"); err == nil {
					t.Fatalf("narrow %s%s left %v", command, tt.args, slices.Sorted(maps.Keys(tree(t, "new"))))
				}
				if got := tree(t, "former"); !maps.Equal(got, former) {
					t.Fatalf("narrow %s%s changed the former result: now %v", command, tt.args, slices.Sorted(maps.Keys(got)))
				}
			}
		})
	}
	if code, _, stderr := execute("calib --model net.onnx --data mixed --preprocess none -o new"); code != 0 || strings.Contains(stderr, "mixed") {
		t.Errorf("a folder with a text beside its images: exit code %d, %s", code, stderr)
	}
}

// TestBadOutput: an output folder that cannot be written is found out before
// the work, also by root, for whom no folder is forbidden.
func TestBadOutput(t *testing.T) {
	files(t, emptyFolder(t))
	if code, _, stderr := execute("calib --model net.onnx --data x.npy -o former"); code != 0 {
		t.Fatal(stderr)
	}
	if err := os.Mkdir("former/net.qdq.onnx", 0o755); err != nil { // in the way of the export
		t.Fatal(err)
	}
	before := tree(t, ".")
	for _, tt := range []struct{ args, says string }{
		{"calib --model net.onnx --data x.npy -o file", "the output folder file is a file: name another with -o"},
		{"run --model net.onnx --data x.npy -o file", "the output folder file is a file: name another with -o"},
		{"calib --model net.onnx --data x.npy -o file/deep/er", "cannot write into the output folder file/deep/er: not a directory: name another with -o"},
		{"run --model net.onnx --data x.npy -o file/deep/er", "cannot write into the output folder file/deep/er: not a directory: name another with -o"},
		{"test --model net.onnx --data x.npy -o former --save-output file/y.npy", "--save-output file/y.npy: cannot be written: file: is a file: name another file"},
		{"test --model net.onnx --data x.npy -o former --save-output one", "--save-output one: is a folder: name an .npy file in it"},
		{"export --model net.onnx -o former --exact-rounding", "former/net.qdq.onnx: is a folder"},
	} {
		code, stdout, stderr := execute(tt.args)
		if code != 1 || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.HasPrefix(stderr, "narrow: ") || !strings.Contains(stderr, tt.says) {
			t.Errorf("narrow %s: exit code %d, standard output %q, standard error\n%swant one line with %q", tt.args, code, stdout, stderr, tt.says)
		}
		if got := tree(t, "."); !maps.Equal(got, before) {
			t.Fatalf("narrow %s changed files: now %v", tt.args, slices.Sorted(maps.Keys(got)))
		}
	}
}

package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestShortPaths: no folder of this machine stays, and what only looks like a
// path does.
func TestShortPaths(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	short := shortPaths([]string{
		"--model", "/home/me/nets/net.onnx", "--data", "/photos", "--metric", "python3 /srv/tools/map.py --iou 0.5", "--labels=/home/me/my labels/l.csv", "relative/x.json",
	})
	for in, want := range map[string]string{
		"/home/me/nets/net.onnx":                     "net.onnx",
		"/photos":                                    "photos",
		"/photos/a/b.jpg":                            "photos/a/b.jpg",
		"python3 /srv/tools/map.py --iou 0.5":        "python3 map.py --iou 0.5",
		"/home/me/my labels/l.csv":                   "l.csv",
		"open /home/me/nets/net.onnx.data: no space": "open net.onnx.data: no space",
		filepath.Join(here, "testdata", "x.json"):    filepath.Join("testdata", "x.json"),
		"relative/x.json":                            "relative/x.json",
		"../up/y.json":                               "../up/y.json",
		"/features/features.1/conv/Conv":             "/features/features.1/conv/Conv",
		"/other/home/me/nets/net.onnx":               "/other/home/me/nets/net.onnx",
		"/photosets/1":                               "/photosets/1",
		"":                                           "",
	} {
		if got := short(in); got != want {
			t.Errorf("%q became %q, want %q", in, got, want)
		}
	}
	if got := shortPaths([]string{"/"})("/"); got != "/" {
		t.Errorf("the root became %q", got)
	}
}

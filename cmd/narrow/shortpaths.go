package main

import (
	"cmp"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// shortPaths returns what takes the folders of this machine out of the texts of
// a page that is to be sent to others: below the working folder paths become
// relative to it, others lose their folder. words are what was told on the
// command line, where paths come from; what merely looks like one, such as the
// name of a layer, stays.
func shortPaths(words []string) func(string) string {
	var folders []string
	if here, err := os.Getwd(); err == nil {
		folders = append(folders, here)
	}
	top := string(filepath.Separator)
	var files []string // in the root folder
	for _, word := range words {
		for _, part := range append(strings.Fields(word), word) {
			part = strings.Trim(part[strings.LastIndex(part, "=")+1:], `'"`)
			if !filepath.IsAbs(part) {
				continue
			}
			if folder := filepath.Dir(part); folder != filepath.Dir(folder) {
				folders = append(folders, folder)
			} else if name := filepath.Base(part); name != top {
				files = append(files, name)
			}
		}
	}
	slices.SortFunc(folders, func(a, b string) int { return cmp.Compare(len(b), len(a)) }) // the deepest counts
	var forms []string
	for _, f := range folders {
		if f != top {
			forms = append(forms, regexp.QuoteMeta(f+top))
		}
	}
	for _, f := range files {
		forms = append(forms, regexp.QuoteMeta(top)+`(?P<name>`+regexp.QuoteMeta(f)+`)\b`)
	}
	if len(forms) == 0 {
		return func(s string) string { return s }
	}
	// A path begins where no other is under way.
	path := regexp.MustCompile(`(^|[\s'"=:(,\[])(?:` + strings.Join(forms, "|") + `)`)
	return func(s string) string {
		return path.ReplaceAllStringFunc(s, func(m string) string {
			parts := path.FindStringSubmatch(m)
			return strings.Join(parts[1:], "")
		})
	}
}

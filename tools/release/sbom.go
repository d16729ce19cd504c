package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"

	"narrow/internal/ortlib"
)

// writeBOM writes a CycloneDX list of what an archive holds: narrow, the Go
// modules that it is linked from, Go's own library, and ONNX Runtime.
func writeBOM(to string, p platform, info programInfo, licences licenceList, library string, when time.Time) error {
	sum, err := fileSum(library)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := cdx.NewBOMEncoder(&b, cdx.BOMFileFormatJSON).SetPretty(true).Encode(bom(p, info, licences, sum, when)); err != nil {
		return fmt.Errorf("%s: %w", to, err)
	}
	return os.WriteFile(to, b.Bytes(), 0o666)
}

// bom lists what a program and its library, of the given SHA-256, consist of.
// It has no serial number: that would be another one every time.
func bom(p platform, info programInfo, licences licenceList, librarySum string, when time.Time) *cdx.BOM {
	of := func(name string) *cdx.Licenses {
		var l cdx.Licenses
		for _, id := range licences.ids(name) {
			l = append(l, cdx.LicenseChoice{License: &cdx.License{ID: id}})
		}
		return &l
	}
	main := cdx.Component{
		BOMRef: "narrow", Type: cdx.ComponentTypeApplication, Name: "narrow", Version: info.version,
		Licenses:   &cdx.Licenses{{License: &cdx.License{ID: "Apache-2.0"}}},
		Properties: &[]cdx.Property{{Name: "platform", Value: p.String()}, {Name: "commit", Value: info.revision}},
	}
	goVersion := strings.TrimPrefix(info.goVersion, "go")
	parts := []cdx.Component{
		{
			BOMRef: "pkg:golang/std@" + goVersion, Type: cdx.ComponentTypeLibrary, Name: "std", Version: goVersion,
			PackageURL: "pkg:golang/std@" + goVersion, Licenses: of("go"),
		},
		{
			BOMRef: "onnxruntime", Type: cdx.ComponentTypeLibrary, Name: "onnxruntime", Version: ortlib.Version,
			Description: "opened at run time; from npm's onnxruntime-node",
			PackageURL:  "pkg:npm/onnxruntime-node@" + ortlib.Version, Licenses: of("onnxruntime"),
			Hashes: &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: librarySum}},
		},
	}
	for _, m := range info.modules {
		url := "pkg:golang/" + m.Path + "@" + m.Version
		parts = append(parts, cdx.Component{
			BOMRef: url, Type: cdx.ComponentTypeLibrary, Name: m.Path, Version: m.Version, PackageURL: url, Licenses: of(m.Path),
			Properties: &[]cdx.Property{{Name: "go.sum", Value: m.Sum}},
		})
	}
	needs := make([]string, len(parts))
	for i, c := range parts {
		needs[i] = c.BOMRef
	}
	b := cdx.NewBOM()
	b.Metadata = &cdx.Metadata{Timestamp: when.UTC().Format(time.RFC3339), Component: &main}
	b.Components = &parts
	b.Dependencies = &[]cdx.Dependency{{Ref: main.BOMRef, Dependencies: &needs}}
	return b
}

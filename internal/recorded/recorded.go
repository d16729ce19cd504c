// Package recorded reads for tests what vai_q_pytorch 3.5 was seen to do: in
// goes the name of a file in the package's testdata, out come its cases;
// whatever goes wrong ends the test. Nothing but tests may import it.
package recorded

import (
	"compress/gzip"
	"encoding/json"
	"os"
	"testing"
)

// Read decodes testdata/NAME.json.gz, a gzipped JSON file, into v.
func Read(t testing.TB, name string, v any) {
	t.Helper()
	f, err := os.Open("testdata/" + name + ".json.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewDecoder(z).Decode(v); err != nil {
		t.Fatal(err)
	}
}

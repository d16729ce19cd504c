package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed" // the page's script and style
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html"
	"io"

	"narrow/diag"
)

// What the folder web builds: `make report-web`.
var (
	//go:embed assets/report.js
	script []byte
	//go:embed assets/report.css
	style []byte
)

// Write writes the page of d to w. The same document gives the same bytes.
func Write(w io.Writer, d *Document) error {
	// Marshal writes <, > and & as escapes, so no text can end the element.
	data, err := json.Marshal(d)
	if err != nil {
		return diag.Errorf("report of %s: %w", d.Model.Name, err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="%s">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>%s · narrow</title>
<style>%s</style>
</head>
<body>
<noscript>This report needs JavaScript: it is all in this file and connects to nothing.</noscript>
<div id="app"></div>
<script type="application/json" id="document">%s</script>
<script>%s</script>
</body>
</html>
`, policy(), html.EscapeString(d.Model.Name), style, data, script)
	if _, err := w.Write(b.Bytes()); err != nil {
		return diag.Errorf("writing the report: %w", err)
	}
	return nil
}

// policy forbids everything but the one script and the one style of the page:
// no connection, no image, no font, no frame, no form.
func policy() string {
	return fmt.Sprintf("default-src 'none'; script-src '%s'; style-src '%s'; connect-src 'none'; base-uri 'none'; form-action 'none'", hash(script), hash(style))
}

// hash returns what a policy calls an inline element by.
func hash(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

package diag

import (
	"encoding/json"
	"testing"
)

func TestText(t *testing.T) {
	tests := []struct {
		text Text
		want string
	}{
		{Text{}, ""},
		{Textf("50 %% of %s", "it"), "50 % of it"},
		{Verbatim("50 %d"), "50 %d"},
		{And([]string{}), ""},
		{And([]string{"a"}), "a"},
		{And([]string{"a", "b"}), "a and b"},
		{Or([]string{"a", "b", "c"}), "a, b or c"},
		{Commas([]string{"a", "b", "c"}), "a, b, c"},
		{Textf("%s: %q", Error, Or([]string{"a", "b"})), `error: "a or b"`},
	}
	for _, tt := range tests {
		if got := tt.text.String(); got != tt.want {
			t.Errorf("%q, want %q", got, tt.want)
		}
	}
	if !(Text{}).IsZero() || Textf("x").IsZero() {
		t.Error("IsZero")
	}
}

// TestRender: formats are translated at every depth, arguments are not.
func TestRender(t *testing.T) {
	text := Textf("%s and %s", Warning, Textf("%d of %s", 3, "warning"))
	german := map[string]string{"%s and %s": "%s und %s", "warning": "Warnung", "%d of %s": "%[2]s: %[1]d"}
	if got := text.Render(func(f string) string { return german[f] }); got != "Warnung und warning: 3" {
		t.Errorf("%q", got)
	}
}

// TestFindingJSON: programs read English, and no empty fix.
func TestFindingJSON(t *testing.T) {
	data, err := json.Marshal(Finding{Severity: Note, Code: "c", Message: Textf("%s < %d", "a", 3)})
	if err != nil {
		t.Fatal(err)
	}
	var f map[string]any
	if err := json.Unmarshal(data, &f); err != nil {
		t.Fatal(err)
	}
	if f["message"] != "a < 3" || f["fix"] != nil || f["severity"] != "note" {
		t.Errorf("%s", data)
	}
}

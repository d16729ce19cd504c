package strategy_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"narrow/internal/recorded"
	"narrow/scheme"
	"narrow/strategy"
)

// refSettings are the settings of one kind of tensor as vai_q_pytorch resolves
// them.
type refSettings struct {
	Datatype   string   `json:"datatype"`
	BitWidth   int      `json:"bit_width"`
	Method     string   `json:"method"`
	Percentage *float64 `json:"percentage"`
	Round      string   `json:"round_method"`
	Symmetric  string   `json:"symmetric_mode"`
	Granule    string   `json:"granularity"`
	Signed     bool     `json:"signed"`
	Narrow     bool     `json:"narrow_range"`
	ScaleType  string   `json:"scale_type"`
	Statistic  string   `json:"calib_statistic_method"`
	Max        *int64   `json:"quant_max"`
	Min        *int64   `json:"quant_min"`
}

type refKinds map[string]json.RawMessage

type refCase struct {
	Name      string          `json:"name"`
	Config    json.RawMessage `json:"config"`
	Reference struct {
		Accepted bool     `json:"accepted"`
		Resolved refKinds `json:"resolved"`
	} `json:"reference"`
}

// deviation is a case where narrow decides otherwise than the reference.
type deviation struct {
	section, why string
}

// verdicts are the cases where narrow's verdict differs.
func verdicts() map[string]deviation {
	d := map[string]deviation{
		"DPU/narrow_range": {"3", "the DPU holds [-128,127], of which [-127,127] is a part: both are accepted"},
		"bit_width 0":      {"1", "bit_width is 2..32; the reference takes 0 for not set"},
		"bit_width 1":      {"1", "bit_width is 2..32"},
		"percentage 99":    {"3", "99 is a percentage; the reference wants a float"},
		"case method":      {"3", "MaxMin for maxmin is accepted with a note"},
		"data_type key":    {"1", "data_type is an alias of datatype; beside it, saying the same, it is only a warning"},
		"bad device":       {"3, 6", "an unknown target_device is an error; the reference ignores it"},
		"empty":            {"1", "no key is required at the top level"},
		"layer both":       {"1", "exactly one of layer_type and layer_name is set"},
		"layer neither":    {"1", "exactly one of layer_type and layer_name is set"},
		"layer no overall": {"1", "overall_quantize_config is required in a layer rule"},
	}
	for _, method := range []string{"maxmin", "diffs"} {
		d["DPU/poweroftwo/"+method+"/sym=True/signed=False/pc=False"] = deviation{"3", "the DPU is signed; the reference forgets to check it there"}
	}
	for _, device := range []string{"CPU", "GPU"} {
		for _, signed := range []string{"True", "False"} {
			d[device+"/float/percentile/sym=False/signed="+signed+"/pc=False"] = deviation{"3", "percentile works asymmetric, two-sided"}
		}
	}
	return d
}

// settings are the cases where narrow resolves other settings: kind to the
// reason.
func settingDeviations(c refCase, kind scheme.Kind) (keys []string, d deviation) {
	// A bias is quantized symmetric, whatever the file says.
	if kind == scheme.Bias && strings.Contains(c.Name, "/sym=False/") {
		return []string{"symmetric_mode", "signed", "quant_max", "quant_min"}, deviation{"3", "a bias has no zero point"}
	}
	return nil, deviation{}
}

func loadCases(t testing.TB) []refCase {
	t.Helper()
	var cases []refCase
	recorded.Read(t, "strategy_cases", &cases)
	return cases
}

// TestReferenceCases holds the parser against what vai_q_pytorch 3.5 made of
// 464 files: the same verdict and the same settings, but for the deviations
// listed above.
func TestReferenceCases(t *testing.T) {
	cases := loadCases(t)
	if len(cases) != 464 {
		t.Fatalf("%d cases, want 464", len(cases))
	}
	unused := verdicts()
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			s, list := strategy.Parse("case.json", c.Config)
			want := c.Reference.Accepted
			if d, ok := unused[c.Name]; ok {
				delete(unused, c.Name)
				want = !want
				t.Logf("spec %s: %s", d.section, d.why)
			}
			if got := !list.HasErrors(); got != want {
				t.Fatalf("accepted %v, want %v: %v\n%s", got, want, list, c.Config)
			}
			if !want || !c.Reference.Accepted {
				return
			}
			compareKinds(t, c, s, nil, c.Reference.Resolved)
			compareRules(t, c, s)

			again, list := strategy.Parse("again.json", s.Format())
			if list.HasErrors() {
				t.Fatalf("formatted file has errors: %v", list)
			}
			if !bytes.Equal(again.MarshalResolved(), s.MarshalResolved()) {
				t.Errorf("formatting changed the meaning:\n%s\n%s", c.Config, s.Format())
			}
			if !bytes.Equal(again.Format(), s.Format()) {
				t.Errorf("formatting twice changes the file:\n%s\n%s", s.Format(), again.Format())
			}
		})
	}
	for name := range unused {
		t.Errorf("deviation %q is for no case", name)
	}
}

// compareRules compares each rule's settings; the reference keeps one rule for
// a type or name, the last.
func compareRules(t *testing.T, c refCase, s *strategy.Strategy) {
	for key, byName := range map[string]bool{"layer_type_config": false, "layer_name_config": true} {
		var rules map[string]refKinds
		if err := json.Unmarshal(c.Reference.Resolved[key], &rules); err != nil {
			t.Fatal(err)
		}
		for name, want := range rules {
			var matching []*strategy.Rule
			for _, r := range s.Rules {
				if byName && r.LayerName == name || !byName && strategy.BareType(r.LayerType) == name {
					matching = append(matching, r)
				}
			}
			i := strategy.Winner(matching)
			if i < 0 {
				t.Fatalf("no rule for %s", name)
			}
			compareKinds(t, c, s, matching[i], want)
		}
	}
}

func compareKinds(t *testing.T, c refCase, s *strategy.Strategy, rule *strategy.Rule, ref refKinds) {
	t.Helper()
	for _, kind := range strategy.AllKinds.List() {
		raw, ok := ref[kind.String()]
		if !ok {
			continue
		}
		var want refSettings
		if err := json.Unmarshal(raw, &want); err != nil {
			t.Fatal(err)
		}
		if rule != nil && !rule.Kinds.Has(kind) {
			continue // the reference keeps what a rule says about kinds that it is not for
		}
		r := s.Resolve(kind, rule)
		got := toReference(r)
		except, d := settingDeviations(c, kind)
		if c.Name == "percentile no percentage" && want.Percentage != nil && *want.Percentage != *got.Percentage {
			t.Errorf("percentage %v, want %v", *got.Percentage, *want.Percentage)
		}
		if want.Percentage == nil {
			got.Percentage = nil
		}
		if want.Max == nil {
			got.Max, got.Min = nil, nil
		}
		g, w := fields(t, got), fields(t, want)
		for k, v := range w {
			switch {
			case slices.Contains(except, k):
				if kind == scheme.Bias && k == "symmetric_mode" && string(g[k]) == string(v) {
					t.Errorf("%s: %s is %s as in the reference, but spec %s: %s", kind, k, v, d.section, d.why)
				}
			case string(g[k]) != string(v):
				t.Errorf("%s: %s is %s, want %s", kind, k, g[k], v)
			}
		}
	}
}

func fields(t *testing.T, v any) map[string]json.RawMessage {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func toReference(r strategy.Resolved) refSettings {
	s := r.Settings
	lo, hi := s.Range()
	ref := refSettings{
		Datatype: s.Datatype.String(), BitWidth: s.BitWidth, Method: s.Method.String(), Percentage: &s.Percentage,
		Round: s.RoundMode.String(), Symmetric: "asymmetric", Granule: "per_tensor",
		Signed: s.Signed, Narrow: s.NarrowRange, ScaleType: s.ScaleType.String(), Max: &hi, Min: &lo,
	}
	if s.Symmetry {
		ref.Symmetric = "symmetric"
	}
	if s.PerChannel {
		ref.Granule = "per_channel"
	}
	if r.Kind == scheme.Input || r.Kind == scheme.Activation {
		ref.Statistic = s.Statistic.String()
	}
	return ref
}

package strategy_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"narrow/diag"
	"narrow/strategy"
)

// schema checks values by the part of JSON Schema that strategy.Schema uses;
// it stops at keywords that it does not know.
type schema struct {
	t    *testing.T
	defs map[string]any
}

func (s *schema) valid(sch map[string]any, v any) bool {
	for word, arg := range sch {
		ok := true
		obj, isObj := v.(map[string]any)
		num, isNum := v.(float64)
		str, isStr := v.(string)
		arr, isArr := v.([]any)
		switch word {
		case "$schema", "title", "description", "default", "$defs":
		case "$ref":
			ok = s.valid(s.defs[strings.TrimPrefix(arg.(string), "#/$defs/")].(map[string]any), v)
		case "type":
			types, isList := arg.([]any)
			if !isList {
				types = []any{arg}
			}
			ok = slices.ContainsFunc(types, func(t any) bool { return s.is(t.(string), v) })
		case "enum":
			ok = slices.ContainsFunc(arg.([]any), func(e any) bool { return reflect.DeepEqual(e, v) })
		case "minimum":
			ok = !isNum || num >= arg.(float64)
		case "exclusiveMinimum":
			ok = !isNum || num > arg.(float64)
		case "maximum":
			ok = !isNum || num <= arg.(float64)
		case "minLength":
			ok = !isStr || float64(len([]rune(str))) >= arg.(float64)
		case "uniqueItems":
			seen := map[string]bool{}
			for _, e := range arr {
				k := fmt.Sprint(e)
				ok = ok && !seen[k]
				seen[k] = true
			}
		case "items":
			for _, e := range arr {
				ok = ok && s.valid(arg.(map[string]any), e)
			}
			_ = isArr
		case "properties":
			for k, sub := range arg.(map[string]any) {
				if e, has := obj[k]; has {
					ok = ok && s.valid(sub.(map[string]any), e)
				}
			}
		case "additionalProperties":
			props := sch["properties"].(map[string]any)
			for k := range obj {
				_, has := props[k]
				ok = ok && has
			}
		case "required":
			for _, k := range arg.([]any) {
				_, has := obj[k.(string)]
				ok = ok && (!isObj || has)
			}
		case "not":
			ok = !s.valid(arg.(map[string]any), v)
		case "oneOf":
			n := 0
			for _, sub := range arg.([]any) {
				if s.valid(sub.(map[string]any), v) {
					n++
				}
			}
			ok = n == 1
		case "minItems":
			list, isArr := v.([]any)
			ok = !isArr || float64(len(list)) >= arg.(float64)
		default:
			s.t.Fatalf("the schema uses %s, which this test does not know", word)
		}
		if !ok {
			return false
		}
	}
	return true
}

func (s *schema) is(typ string, v any) bool {
	switch v := v.(type) {
	case nil:
		return typ == "null"
	case bool:
		return typ == "boolean"
	case string:
		return typ == "string"
	case float64:
		return typ == "number" || typ == "integer" && v == math.Trunc(v)
	case []any:
		return typ == "array"
	case map[string]any:
		return typ == "object"
	}
	return false
}

func loadSchema(t *testing.T) (*schema, map[string]any) {
	t.Helper()
	var root map[string]any
	if err := json.Unmarshal(strategy.Schema(), &root); err != nil {
		t.Fatal(err)
	}
	return &schema{t, root["$defs"].(map[string]any)}, root
}

// form are the findings about what a schema can see. The others are about what
// settings mean together, or about names.
var form = []string{"unknown-key", "unknown-value", "wrong-type", "bad-value", "duplicate-key", "missing-key", "both-type-and-name", "no-type-or-name", "spelling"}

// TestSchemaIsTheParser puts all kinds of values under every key and asks both.
func TestSchemaIsTheParser(t *testing.T) {
	s, root := loadSchema(t)
	values := []string{
		"null", "true", "1", "0", "2", "32", "33", "99", "100", "100.5", "8.5", "-1", "1e9", `""`, `"x"`, "[]", "{}", "[1]", `["x"]`,
		`["weights"]`, `["weights", "bias"]`, `[{}]`, `{"weights": {}}`, `{"bit_width": 8}`, `{"weights": {"bit_width": 8}}`, `{"x": 1}`,
		`{"datatype": "int", "data_type": "float32"}`,
		`[{"layer_type": "Conv", "quantizable_data_type": [], "overall_quantize_config": {}}]`,
		`[{"layer_type": "Conv", "layer_name": null, "quantizable_data_type": ["bias"], "overall_quantize_config": {}, "tensor_quantize_config": {}}]`,
		`[{"layer_name": ["x", "y.*"], "quantizable_data_type": [], "overall_quantize_config": {}}]`,
		`[{"layer_name": [], "quantizable_data_type": [], "overall_quantize_config": {}}]`,
		`[{"layer_name": ["x", ""], "quantizable_data_type": [], "overall_quantize_config": {}}]`,
		`[{"layer_name": ["x", 1], "quantizable_data_type": [], "overall_quantize_config": {}}]`,
		`[{"layer_type": ["x"], "quantizable_data_type": [], "overall_quantize_config": {}}]`,
		`[{"layer_type": "Conv", "layer_name": ["x"], "quantizable_data_type": [], "overall_quantize_config": {}}]`,
		`[{"layer_type": "Conv", "layer_name": "x", "quantizable_data_type": [], "overall_quantize_config": {}}]`,
		`[{"layer_type": null, "layer_name": null, "quantizable_data_type": [], "overall_quantize_config": {}}]`,
		`[{"layer_type": "Conv", "quantizable_data_type": []}]`,
		`[{"layer_type": "Conv", "overall_quantize_config": {}}]`,
	}
	enums := map[string]bool{}
	var collect func(v any)
	collect = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, e := range v {
				if list, ok := e.([]any); ok && k == "enum" {
					for _, x := range list {
						if name, ok := x.(string); ok && name != "" {
							enums[name] = true
						}
					}
				}
				collect(e)
			}
		case []any:
			for _, e := range v {
				collect(e)
			}
		}
	}
	collect(root)
	for _, name := range slices.Sorted(maps.Keys(enums)) {
		values = append(values, fmt.Sprintf("%q", name))
	}
	if len(enums) < 25 {
		t.Fatalf("only %d values in the schema", len(enums))
	}

	keys := map[string]string{} // a file with %s for the value under test
	for _, k := range names(t, root, "change_concat_input_fix change_pool_input_fix convert_relu6_to_relu convert_silu_to_hswish include_bias_corr include_cle keep_add_layer_accuracy keep_first_last_layer_accuracy layer_quantize_config onnx_opset_version overall_quantize_config quantizable_data_type target_device tensor_quantize_config") {
		keys["top "+k] = fmt.Sprintf(`{%q: %%s}`, k)
	}
	for _, k := range names(t, s.defs["settings"], "bit_width calib_statistic_method data_type datatype method narrow_range per_channel percentage round_mode scale_type signed symmetry") {
		keys["overall "+k] = fmt.Sprintf(`{"overall_quantize_config": {%q: %%s}}`, k)
		keys["weights "+k] = fmt.Sprintf(`{"tensor_quantize_config": {"weights": {%q: %%s}}}`, k)
	}
	for _, k := range names(t, s.defs["tensors"], "activation bias input weights") {
		keys["tensor "+k] = fmt.Sprintf(`{"tensor_quantize_config": {%q: %%s}}`, k)
	}
	for _, k := range names(t, s.defs["rule"], "layer_name layer_type overall_quantize_config quantizable_data_type tensor_quantize_config") {
		rule := map[string]string{"layer_name": `"fc"`, "quantizable_data_type": `["weights"]`, "overall_quantize_config": "{}"}
		if k == "layer_type" {
			delete(rule, "layer_name")
		}
		rule[k] = "%s"
		var members []string
		for _, k := range slices.Sorted(maps.Keys(rule)) {
			members = append(members, fmt.Sprintf("%q: %s", k, rule[k]))
		}
		keys["rule "+k] = `{"layer_quantize_config": [{` + strings.Join(members, ", ") + `}]}`
	}
	checked, accepted := 0, 0
	for _, name := range slices.Sorted(maps.Keys(keys)) {
		for _, val := range values {
			src := fmt.Sprintf(keys[name], val)
			var v any
			if err := json.Unmarshal([]byte(src), &v); err != nil {
				t.Fatalf("%s: %v", src, err)
			}
			_, list := strategy.Parse("s.json", []byte(src))
			bad := slices.ContainsFunc(list, func(f diag.Finding) bool {
				// "" for an unset name is read as null, and is null to the schema.
				return slices.Contains(form, f.Code) && !(f.Code == "spelling" && strings.HasPrefix(f.Message.String(), `""`))
			})
			if ok := s.valid(root, v); ok == bad {
				t.Errorf("schema says %v of %s, the parser: %v", ok, src, list)
			}
			checked++
			if !bad {
				accepted++
			}
		}
	}
	if accepted < 100 || checked-accepted < 100 {
		t.Errorf("%d of %d accepted: the test shows little", accepted, checked)
	}
}

// names returns the keys of an object in the schema, which have to be the
// format's, and one that is none.
func names(t *testing.T, def any, want string) []string {
	t.Helper()
	got := slices.Sorted(maps.Keys(def.(map[string]any)["properties"].(map[string]any)))
	if !slices.Equal(got, strings.Fields(want)) {
		t.Errorf("the schema has the keys %q, want %q", got, want)
	}
	return append(got, "nonsense")
}

// TestSchemaTakesGoodFiles: what the parser takes without a word, the schema
// takes.
func TestSchemaTakesGoodFiles(t *testing.T) {
	s, root := loadSchema(t)
	for _, c := range loadCases(t) {
		st, list := strategy.Parse("s.json", c.Config)
		if len(list) > 0 {
			continue
		}
		for _, src := range [][]byte{c.Config, st.Format(), st.MarshalResolved()} {
			var v any
			if err := json.Unmarshal(src, &v); err != nil {
				t.Fatal(err)
			}
			if !s.valid(root, v) {
				t.Errorf("%s: the schema refuses\n%s", c.Name, src)
			}
		}
	}
}

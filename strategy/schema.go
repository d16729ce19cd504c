package strategy

import (
	"fmt"
	"strconv"
	"strings"

	"narrow/scheme"
)

// Schema returns a JSON Schema (2020-12) of strategy files, as editors use it
// for completion: keys, values, bounds, defaults and descriptions. What only
// several settings together can be wrong about (see the findings of [Parse])
// is not in it.
func Schema() []byte {
	var defs writer
	var settings writer
	for _, k := range Keys() {
		f := settingTable[k]
		def := jsonValue(Defaults(scheme.Weights), k)
		if k == KeyRoundMode {
			def = "" // it depends on the kind
		}
		settings.add(f.name, f.schema(def))
		if k == KeyDatatype {
			alias := f
			alias.doc = "Another spelling of datatype."
			settings.add(aliasDatatype, alias.schema(""))
		}
	}
	defs.add("settings", objectSchema("Settings of a tensor. What is left out is inherited.", settings, nil,
		`"not":{"required":["datatype","data_type"]}`))
	var tensors writer
	for _, f := range kindTable {
		tensors.add(f.name, f.schema(""))
	}
	defs.add("tensors", objectSchema("Settings by kind of tensor.", tensors, nil))
	defs.add("kinds", `{"type":"array","uniqueItems":true,"items":{"enum":`+stringList(scheme.KindNames())+`}}`)

	var rule writer
	var required []string
	for _, f := range ruleTable {
		rule.add(f.name, f.schema(""))
		if f.required {
			required = append(required, f.name)
		}
	}
	name := func(set, is, unset string) string {
		return fmt.Sprintf(`{"required":[%q],"properties":{%q:%s,%q:{"enum":[null,""]}}}`, set, set, is, unset)
	}
	const single = `{"type":"string","minLength":1}`
	const several = `{"oneOf":[` + single + `,{"type":"array","minItems":1,"items":` + single + `}]}`
	defs.add("rule", objectSchema("Settings for single layers.", rule, required,
		`"oneOf":[`+name(keyLayerType, single, keyLayerName)+","+name(keyLayerName, several, keyLayerType)+`]`))

	var top writer
	for _, f := range fileTable {
		top.add(f.name, f.schema(topDefault(f.name)))
	}
	var w writer
	w.add("$schema", `"https://json-schema.org/draft/2020-12/schema"`)
	w.add("title", `"Quantization strategy of vai_q_pytorch 3.5 and narrow"`)
	w.add("type", `"object"`)
	w.add("additionalProperties", "false")
	w.add("properties", top.object())
	w.add("$defs", defs.object())
	return w.file()
}

// topDefault returns the default of a top-level key as JSON, "" where it is
// none that can be written.
func topDefault(key string) string {
	d := Default()
	switch key {
	case keyCLE, keyBiasCorr:
		return "true"
	case keyTarget:
		return quoted(d.Target)
	case keyKinds:
		return kindsText(d.Kinds)
	case keyOpset, keyOverall:
		return ""
	case keyTensor:
		return "{}"
	case keyLayers:
		return "[]"
	}
	return "false"
}

// schema returns the schema of a field's value.
func (f field) schema(def string) string {
	var w writer
	w.add("description", plainString(f.doc))
	switch f.typ {
	case boolValue:
		w.add("type", `"boolean"`)
	case intValue:
		w.add("type", `"integer"`)
	case numberValue:
		w.add("type", `"number"`)
	case enumValue:
		w.add("enum", stringList(f.names))
	case kindsValue:
		w.add("$ref", `"#/$defs/kinds"`)
	case settingsValue:
		w.add("$ref", `"#/$defs/settings"`)
	case tensorsValue:
		w.add("$ref", `"#/$defs/tensors"`)
	case rulesValue:
		w.add("type", `"array"`)
		w.add("items", `{"$ref":"#/$defs/rule"}`)
	case nameValue:
		w.add("type", `["string","null"]`)
	case namesValue:
		w.add("type", `["string","array","null"]`)
	}
	if f.typ == intValue || f.typ == numberValue {
		low := "minimum"
		if f.openMin {
			low = "exclusiveMinimum"
		}
		w.add(low, strconv.FormatFloat(f.min, 'g', -1, 64))
		w.add("maximum", strconv.FormatFloat(f.max, 'g', -1, 64))
	}
	if def != "" {
		w.add("default", def)
	}
	return w.object()
}

func objectSchema(doc string, props writer, required []string, more ...string) string {
	var w writer
	w.add("description", plainString(doc))
	w.add("type", `"object"`)
	w.add("additionalProperties", "false")
	w.add("properties", props.object())
	if len(required) > 0 {
		w.add("required", stringList(required))
	}
	w.members = append(w.members, more...)
	return w.object()
}

func stringList(names []string) string {
	q := make([]string, len(names))
	for i, n := range names {
		q[i] = plainString(n)
	}
	return "[" + strings.Join(q, ",") + "]"
}

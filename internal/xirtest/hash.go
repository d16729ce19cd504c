package xirtest

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"narrow/export/xmodel"
)

// Hashes returns a hash of each operator over its type, its attributes with
// their types, its tensor, and the hashes of what it reads: graphs with the
// same ones are equal but for names and order.
func Hashes(g *xmodel.Graph) map[*xmodel.Op]string {
	all := map[*xmodel.Op]string{}
	for _, o := range g.Ops {
		info := "{}"
		if o.ShapeInfo != nil {
			info = `{"shape_info": ` + typed(o.ShapeInfo) + `}`
		}
		args := make([]string, len(o.Args))
		for i, a := range o.Args {
			in := make([]string, len(a.Ops))
			for k, p := range a.Ops {
				in[k] = strconv.Quote(all[p])
			}
			args[i] = fmt.Sprintf("[%q, [%s]]", a.Name, strings.Join(in, ", "))
		}
		attrs := make([]string, len(o.Attrs))
		for i, a := range o.Attrs {
			attrs[i] = fmt.Sprintf("%q: %s", a.Name, typed(a.Value))
		}
		sort.Strings(attrs)
		text := fmt.Sprintf("[%q, {%s}, [%s, 4, 32, %s], [%s]]", o.Type, strings.Join(attrs, ", "), list(o.Dims), info, strings.Join(args, ", "))
		sum := sha256.Sum256([]byte(text))
		all[o] = hex.EncodeToString(sum[:])[:16]
	}
	return all
}

// typed tells an attribute in JSON, with its type.
func typed(v any) string {
	switch x := v.(type) {
	case bool:
		return fmt.Sprintf(`{"type": "bool", "value": %v}`, x)
	case int32:
		return fmt.Sprintf(`{"type": "int32", "value": %d}`, x)
	case float32:
		return fmt.Sprintf(`{"type": "float", "value": %s}`, number(x))
	case string:
		return fmt.Sprintf(`{"type": "string", "value": %q}`, x)
	case []byte:
		sum := sha256.Sum256(x)
		return fmt.Sprintf(`{"len": %d, "sha256": %q, "type": "bytes"}`, len(x), hex.EncodeToString(sum[:]))
	case []int32:
		return fmt.Sprintf(`{"type": "int32_vec", "value": %s}`, list(x))
	case []float32:
		parts := make([]string, len(x))
		for i, f := range x {
			parts[i] = number(f)
		}
		return fmt.Sprintf(`{"type": "float_vec", "value": [%s]}`, strings.Join(parts, ", "))
	}
	return fmt.Sprintf("%T", v)
}

func list[T int32 | int64](x []T) string {
	parts := make([]string, len(x))
	for i, v := range x {
		parts[i] = strconv.FormatInt(int64(v), 10)
	}
	return "[" + strings.Join(parts, ", ") + "]"
}

// number tells a float32 as JSON of its double.
func number(f float32) string {
	s := strconv.FormatFloat(float64(f), 'g', -1, 64)
	if !strings.ContainsAny(s, ".en") {
		s += ".0"
	}
	return s
}

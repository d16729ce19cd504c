package export

import (
	"bytes"
	"encoding/json"
)

// indentJSON returns the compact JSON src with two blanks a level and a final
// newline; a list that holds nothing but numbers, or lists of them, stays on one
// line.
func indentJSON(src []byte) []byte {
	var full bytes.Buffer
	if err := json.Indent(&full, bytes.TrimSpace(src), "", "  "); err != nil {
		return src // src is the encoder's own output
	}
	in := full.Bytes()
	out := make([]byte, 0, len(in)+1)
	inString := false
	for i := 0; i < len(in); i++ {
		c := in[i]
		if inString && c == '\\' {
			out = append(out, c, in[i+1])
			i++
			continue
		}
		if c == '"' {
			inString = !inString
		}
		if c == '[' && !inString {
			if end := numberList(in[i:]); end > 0 {
				for _, d := range bytes.Fields(in[i : i+end]) {
					if len(out) > 0 && out[len(out)-1] == ',' {
						out = append(out, ' ')
					}
					out = append(out, d...)
				}
				i += end - 1
				continue
			}
		}
		out = append(out, c)
	}
	return append(out, '\n')
}

// numberList returns the length of the list that b starts with when it holds
// only numbers and such lists, and at least one number, else 0.
func numberList(b []byte) int {
	depth, numbers := 0, false
	for i, c := range b {
		switch {
		case c == '[':
			depth++
		case c == ']':
			if depth--; depth == 0 {
				if !numbers {
					return 0
				}
				return i + 1
			}
		case c >= '0' && c <= '9':
			numbers = true
		case bytes.IndexByte([]byte(" \n,.-+eE"), c) >= 0:
		default:
			return 0
		}
	}
	return 0
}

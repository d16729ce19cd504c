package main

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strconv"
	"strings"
)

// mkSame fails unless two JSON files hold the same value at a path each, such
// as strategies.1.bytes.
func mkSame(file, path, other, otherPath string) error {
	a, err := jsonAt(file, path)
	if err != nil {
		return err
	}
	b, err := jsonAt(other, otherPath)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(a, b) {
		return fmt.Errorf("%s holds %v at %s, %s holds %v at %s", file, a, path, other, b, otherPath)
	}
	return nil
}

func jsonAt(file, path string) (any, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var v any
	if err := json.Unmarshal(data, &v); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for _, key := range strings.Split(path, ".") {
		ok := false
		switch x := v.(type) {
		case map[string]any:
			v, ok = x[key]
		case []any:
			if i, err := strconv.Atoi(key); err == nil && i >= 0 && i < len(x) {
				v, ok = x[i], true
			}
		}
		if !ok {
			return nil, fmt.Errorf("%s holds nothing at %s of %s", file, key, path)
		}
	}
	return v, nil
}

// Package machine says for the tools what a figure was measured on.
package machine

import (
	"os"
	"strings"
)

// Processor returns the processor's name where the system tells it.
func Processor() string {
	data, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(data)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
			return strings.TrimSpace(v)
		}
	}
	return "an unknown processor"
}

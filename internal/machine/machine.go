// Package machine says which machine something was computed on. Processors of unlike
// kinds sum in unlike orders: what one computes may differ from another in last bits.
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

// Name returns the host's name with its processor's: "node7 (AMD EPYC 7763 64-Core Processor)".
func Name() string {
	host, err := os.Hostname()
	if err != nil || host == "" {
		host = "an unnamed host"
	}
	return host + " (" + Processor() + ")"
}

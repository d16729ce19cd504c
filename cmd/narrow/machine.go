package main

import (
	"bufio"
	"os"
	"runtime"
	"strings"

	"narrow/calibrate"
)

// thisMachine tells where narrow runs, for messages about shards.
func thisMachine() calibrate.Machine {
	host, _ := os.Hostname() // a message says that it is not known
	return calibrate.Machine{Host: host, Processor: processor(), System: runtime.GOOS + "/" + runtime.GOARCH}
}

// processor returns the processor's name where the system tells it.
func processor() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

package main

import (
	"context"
	"fmt"
	"os"
	"slices"

	"narrow"
)

// costs prints what [narrow.High] takes of the processor and of memory beside
// [narrow.Guide], of the calibration alone: both in turn, each in a process of its own,
// so many times, by every strategy. Processor times are the medians.
func (o options) costs(ctx context.Context, times int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	fmt.Println("| network | strategy | guide | high | times | memory |")
	fmt.Println("|---|---|---|---|---|---|")
	for _, n := range networks {
		for _, s := range strategies {
			if !o.wants(n) || s.accuracy != narrow.High || o.rows != nil && !slices.Contains(o.rows, s.name) {
				continue
			}
			var seconds [2][]float64
			var memory [2]float64
			for range times {
				for i, a := range []narrow.Accuracy{narrow.Guide, narrow.High} {
					m, err := o.apart(ctx, self, n, s, "-only-calibrate", a.String())
					if err != nil {
						return err
					}
					seconds[i] = append(seconds[i], m.Seconds)
					memory[i] = max(memory[i], m.Megabytes)
				}
			}
			guide, high := median(seconds[0]), median(seconds[1])
			fmt.Printf("| %s | %s | %.3f s | %.3f s | %.2f | %+.0f MB |\n", n.title, s.file, guide, high, high/guide, memory[1]-memory[0])
		}
	}
	return nil
}

func median(x []float64) float64 {
	slices.Sort(x)
	return (x[(len(x)-1)/2] + x[len(x)/2]) / 2
}

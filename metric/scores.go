package metric

import (
	"math"

	"narrow/diag"
)

// Scores makes sure that there is a finite score for each of count samples from
// first on.
func Scores(scores []float64, first, count int) error {
	if len(scores) != count {
		return diag.Errorf("the metric returned %d scores for %d samples", len(scores), count)
	}
	for i, s := range scores {
		if math.IsNaN(s) || math.IsInf(s, 0) {
			return diag.Errorf("the metric returned %v for sample %d: it must be a finite number", s, first+i)
		}
	}
	return nil
}

package refine

import (
	"narrow/calibrate"
	"narrow/calibrate/observe"
	"narrow/scheme"
)

// holdBiases widens the scales of biases that correction has moved beyond their
// ranges, which were those of the float ones. Where a fix position gets too low for the
// DPU's shifts by that, [calibrate.Calibrated.Align] says what gives way.
func holdBiases(c *calibrate.Calibrated) error {
	for t, x := range c.Bias {
		e := c.Encodings[t]
		s := t.Settings.Settings
		if s.Datatype != scheme.Int || len(e.Scale) != 1 || len(x) == 0 {
			continue
		}
		s.Method, s.PerChannel = scheme.MaxMin, false
		wide, err := encode(observe.Config{Name: t.Name, Settings: s, Kind: t.Kind, Axis: -1, Target: c.Plan.Strategy.Target}, x, []int64{int64(len(x))})
		if err != nil {
			return err
		}
		if wide.Scale[0] > e.Scale[0] {
			c.Encodings[t] = wide
		}
	}
	return nil
}

package calibrate

import (
	"narrow/calibrate/observe"
	"narrow/engine"
	"narrow/plan"
	"narrow/scheme"
)

// Ties counts, over the calibration samples, the elements of a tensor, and
// those that its round mode quantizes to another integer than half_even does.
// A batch is counted with the scale that held when it had been observed.
type Ties struct{ Elements, Differing int64 }

// Plus returns the sum of both.
func (t Ties) Plus(o Ties) Ties { return Ties{t.Elements + o.Elements, t.Differing + o.Differing} }

// audit quantizes the elements of a batch that belong to samples, and counts
// them; it returns how many they are, or 0 for tensors that are not audited.
func (c *calibration) audit(t *plan.Tensor, b *engine.Batch, dst, src []float32, shape []int64, e scheme.Encoding) int {
	s := t.Settings.Settings
	if !observe.Audits(s, e) {
		return 0
	}
	n := ofSamples(b, len(src), shape)
	c.count(t, n, observe.ApplyTies(c.pool, dst[:n], src[:n], s, e))
	return n
}

// auditFloat counts samples without quantizing them.
func (c *calibration) auditFloat(t *plan.Tensor, x []float32) {
	o := c.obs[t]
	if o == nil || o.Batches() == 0 {
		return
	}
	e, err := o.Encoding()
	if s := t.Settings.Settings; err == nil && observe.Audits(s, e) {
		c.count(t, len(x), observe.Ties(c.pool, x, s, e))
	}
}

func (c *calibration) count(t *plan.Tensor, elements int, differing int64) {
	c.out.Ties[t] = c.out.Ties[t].Plus(Ties{int64(elements), differing})
}

// ofSamples returns how many of a tensor's n elements, from the first, belong
// to samples; the others are of rows that pad the batch.
func ofSamples(b *engine.Batch, n int, shape []int64) int {
	rows := b.Rows()
	if rows > b.Count && len(shape) > 0 && int(shape[0])%rows == 0 {
		return n / rows * b.Count
	}
	return n
}

package samples

// single reports whether input k has no axis for samples: a batch holds one
// value of it.
func (s *Set) single(k int) bool {
	a, ok := s.src.(*arraySource)
	return s.src.plans()[k].whole || ok && a.fixed[k]
}

// FixedBatch returns the number of samples per batch where the network or the
// arrays fix it, else 0.
func (s *Set) FixedBatch() int { return s.fixed }

package samples

// Shared tells which inputs have no axis for samples: a batch holds one value
// of them.
func (s *Set) Shared() map[string]bool {
	m := map[string]bool{}
	for k, p := range s.src.plans() {
		a, ok := s.src.(*arraySource)
		m[p.spec.Name] = p.whole || ok && a.fixed[k]
	}
	return m
}

// FixedBatch returns the number of samples per batch where the network or the
// arrays fix it, else 0.
func (s *Set) FixedBatch() int { return s.fixed }

package progress

import "time"

// window is how far back a rate looks.
const window = 15 * time.Second

// shortest is how long a rate is measured at least.
const shortest = 200 * time.Millisecond

// meter measures the rate of a run, from its first update on: what comes before
// that is preparing, too.
type meter struct {
	total int
	// marks are how many steps were done when, the oldest first.
	marks []mark
}

type mark struct {
	done int
	when time.Time
}

// at notes that n steps are done and returns what is known.
func (m *meter) at(n int, now time.Time) Status {
	switch last := len(m.marks) - 1; {
	case last < 0, n < m.marks[last].done: // the first, or another pass
		m.marks = []mark{{n, now}}
	case n > m.marks[last].done:
		m.marks = append(m.marks, mark{n, now})
	}
	for len(m.marks) > 2 && now.Sub(m.marks[1].when) > window {
		m.marks = m.marks[1:]
	}
	s := Status{Done: n, Total: m.total}
	first := m.marks[0]
	if took := now.Sub(first.when); took >= shortest && n > first.done {
		s.Rate = float64(n-first.done) / took.Seconds()
		s.Left = time.Duration(float64(m.total-n) / s.Rate * float64(time.Second))
	}
	return s
}

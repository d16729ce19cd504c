package bounded

import "testing"

// failures is a test that remembers whether it failed.
type failures struct {
	testing.TB
	failed bool
}

func (f *failures) Helper()               {}
func (f *failures) Errorf(string, ...any) { f.failed = true }

var sink []byte

func TestRun(t *testing.T) {
	for _, c := range []struct {
		take int
		want bool
	}{{2 << 20, false}, {8 << 20, true}} {
		f := &failures{TB: t}
		Bound{Factor: 3, Constant: 1 << 20}.Run(f, 1<<20, func() { sink = make([]byte, c.take) })
		if f.failed != c.want {
			t.Errorf("%d bytes: failed %v", c.take, f.failed)
		}
	}
}

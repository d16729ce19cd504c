package graph_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"narrow/graph"
	"narrow/graph/graphtext"
)

// body returns the lines of g's nodes.
func body(g *graph.Graph) string {
	var b strings.Builder
	for _, n := range g.Nodes {
		fmt.Fprintln(&b, n.Name, n.OpType, n.Inputs, n.Outputs)
	}
	return b.String()
}

func TestSort(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"sorted stays", "a = A (x) b = B (x) c = C (a, b)", "a b c"},
		{"ready ones keep their order", "d = D (c) c = C (x) a = A (x) b = B (a)", "c d a b"},
		{"inner reads count", "y = If <then_branch = t () => (o) { o = Neg (a) }> (x) a = A (x)", "a y"},
	} {
		g := graphtext.MustParse("g (x) => () {" + c.text + "}").Graph
		if err := g.Sort(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		var got []string
		for _, n := range g.Nodes {
			got = append(got, n.Outputs[0])
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v, want %s", c.name, got, c.want)
		}
	}
}

func TestSortCycle(t *testing.T) {
	for text, want := range map[string]string{
		"[p] a = A (x) [q] b = B (a, d) [r] c = C (b) [s] d = D (c) [u] e = E (d)": `the nodes "r" -> "s" -> "q" -> "r" form a cycle`,
		"[p] a = A (a)": `the nodes "p" -> "p" form a cycle`,
		"y = If <then_branch = t () => (o) { [v] o = B (p) [w] p = B (o) }> (x)": `node "If:y": the nodes "w" -> "v" -> "w" form a cycle`,
	} {
		g := graphtext.MustParse("g (x) => () {" + text + "}").Graph
		before := body(g)
		err := g.Sort()
		if err == nil || err.Error() != want {
			t.Errorf("%s:\n%v, want\n%v", text, err, want)
		}
		if body(g) != before {
			t.Errorf("%s: changed by a failed sort", text)
		}
	}
}

// TestSortRandom shuffles random graphs and holds that the result is sorted
// and has the same nodes.
func TestSortRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		g := &graph.Graph{}
		for i := range 40 {
			n := &graph.Node{OpType: "Op", Outputs: []string{fmt.Sprint(i)}}
			for range r.IntN(3) {
				if i > 0 {
					n.Inputs = append(n.Inputs, fmt.Sprint(r.IntN(i)))
				}
			}
			g.Nodes = append(g.Nodes, n)
		}
		r.Shuffle(len(g.Nodes), func(i, j int) { g.Nodes[i], g.Nodes[j] = g.Nodes[j], g.Nodes[i] })
		if err := g.Sort(); err != nil {
			t.Fatal(err)
		}
		made := map[string]bool{}
		for _, n := range g.Nodes {
			for _, in := range n.Inputs {
				if !made[in] {
					t.Fatalf("%s is read before it is made:\n%s", in, body(g))
				}
			}
			made[n.Outputs[0]] = true
		}
		if len(made) != 40 {
			t.Fatalf("%d nodes", len(made))
		}
	}
}

func TestIndexConstants(t *testing.T) {
	ix := graph.NewIndex(graphtext.MustParse(`g (float x) => (float y) <float w = {1}>
{
  a = Constant <value = float[1] {2}> ()
  b = Constant <value_float = 3.0> ()
  c = Constant <value_floats = [4.0, 5.0]> ()
  d = Constant <value_int = 6> ()
  e = Constant <value_ints = [7]> ()
  f = Constant <value_string = "s"> ()
  i = Identity (w)
  j = Identity (i)
  k = Identity (x)
  = Constant <value_int = 1> ()
  l = com.other.Constant <value_int = 1> ()
}`).Graph)
	for name, want := range map[string]string{
		"w": "1", "a": "2", "b": "3", "c": "4 5", "d": "6", "e": "7", "i": "1", "j": "1",
	} {
		c := ix.Constant[name]
		if c == nil {
			t.Errorf("%s is no constant", name)
		} else if got := elements(c); got != want {
			t.Errorf("%s = %s, want %s", name, got, want)
		}
	}
	for _, name := range []string{"f", "k", "x", "l"} {
		if ix.Constant[name] != nil {
			t.Errorf("%s is a constant", name)
		}
	}
	if !ix.IsInput("x") || ix.IsInput("w") || !ix.IsOutput("y") {
		t.Error("inputs and outputs")
	}
}

// elements writes a tensor's numbers.
func elements(c *graph.Tensor) string {
	var words []string
	if c.Type == graph.Int64 {
		v, _ := c.Int64s()
		for _, x := range v {
			words = append(words, fmt.Sprint(x))
		}
	} else {
		v, _ := c.Floats()
		for _, x := range v {
			words = append(words, fmt.Sprint(x))
		}
	}
	return strings.Join(words, " ")
}

package graph

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// body returns the lines of g's nodes, the part of the text form that edits
// change.
func body(g *Graph) string {
	var b strings.Builder
	for _, n := range g.Nodes {
		formatNode(&b, n, "")
		b.WriteString("\n")
	}
	return b.String()
}

const net = `g (float[N, 3] x, float[3] w, bool c) => (float[N, 3] y, float z)
<float[3] w = {1, 2, 3}, float[1] unused = {1}, float[N, 3] a, float[N, 3] b>
{
  [n1] a = Mul (x, w)
  [n2] b = Relu (a)
  [n3] z = If <then_branch = yes () => (float t) { t = Neg (b) }, else_branch = no (float b) => (float b) {}> (c)
  [n4] y = Add (a, b)
}`

func TestEditorReplaceUses(t *testing.T) {
	m := MustParse(net)
	copied := m.Clone()
	e := Edit(copied.Graph)
	tap := &Node{Name: e.FreshNode("n1"), OpType: "Tap", Domain: "narrow", Inputs: []string{"b"}, Outputs: []string{e.Fresh("b")}}
	e.InsertAfter(e.Producer("b"), tap)
	e.ReplaceUses("b", "b_1", tap)
	if got := e.Consumers("b"); len(got) != 1 || got[0] != tap {
		t.Errorf("consumers of b: %v", got)
	}
	if err := e.Done(); err != nil {
		t.Fatal(err)
	}
	const want = `[n1] a = Mul (x, w)
[n2] b = Relu (a)
[n1_1] b_1 = narrow.Tap (b)
[n3] z = If <then_branch = yes () => (float t)
{
  t = Neg (b_1)
}, else_branch = no (float b) => (float b)
{
}> (c)
[n4] y = Add (a, b_1)
`
	if got := body(copied.Graph); got != want {
		t.Errorf("got\n%s", got)
	}
	if got := body(m.Graph); got != body(MustParse(net).Graph) {
		t.Errorf("the original changed with its copy:\n%s", got)
	}
}

func TestEditorRemove(t *testing.T) {
	g := MustParse(net).Graph
	e := Edit(g)
	n := e.Producer("a")
	e.ReplaceUses("a", "x")
	e.Remove(n)
	if e.Producer("a") != nil || e.Consumers("w") != nil {
		t.Error("the lookups still know the removed node")
	}
	if err := e.Done(); err != nil {
		t.Fatal(err)
	}
	if len(g.Initializers) != 0 {
		t.Errorf("initializers that nothing reads stay: %v", g.Initializers[0].Name)
	}
	if len(g.Inputs) != 2 || g.Inputs[1].Name != "c" {
		t.Error("w was listed among the inputs, and without its value it would be asked for")
	}
	if g.Values["a"] != nil || g.Values["b"] == nil {
		t.Errorf("types of values: %v", g.Values)
	}
}

func TestEditorSetters(t *testing.T) {
	g := MustParse(net).Graph
	e := Edit(g)
	n4 := e.Producer("y")
	e.SetInput(n4, 3, "x")
	e.SetInput(n4, 0, "x")
	e.SetOutput(n4, 0, "y2")
	if e.Producer("y") != nil || e.Producer("y2") != n4 || !slices.Contains(e.Consumers("x"), n4) || slices.Contains(e.Consumers("a"), n4) {
		t.Error("the lookups do not follow")
	}
	e.SetInitializer(NewFloats("w", nil, []float32{9}))
	e.SetInitializer(NewFloats("v", nil, []float32{8}))
	if e.Initializer("v") == nil || len(g.Initializers) != 3 || e.Initializer("w").Len() != 1 || e.Initializer("none") != nil {
		t.Error("initializers")
	}
	for _, want := range []string{"v_1", "v_2", "fresh", "fresh_1", "t_1", "_1"} {
		if got := e.Fresh(strings.TrimSuffix(strings.TrimSuffix(want, "_1"), "_2")); got != want {
			t.Errorf("fresh name %q, want %q", got, want)
		}
	}
	if got := Edit(&Graph{}, g).Fresh("x"); got != "x_1" {
		t.Errorf("a name of the graph around was given out: %q", got)
	}
}

func TestDropDead(t *testing.T) {
	g := MustParse(`g (float x) => (float y) { a = Neg (x)  b = Neg (a)  y = Relu (x)  = Print (x) }`).Graph
	if dead := g.DropDead(); len(dead) != 2 || dead[0].Outputs[0] != "b" {
		t.Errorf("dead: %v", dead)
	}
	if got := body(g); got != "y = Relu (x)\n= Print (x)\n" {
		t.Errorf("left:\n%s", got)
	}
}

func TestSort(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"sorted stays", "a = A (x) b = B (x) c = C (a, b)", "a b c"},
		{"ready ones keep their order", "d = D (c) c = C (x) a = A (x) b = B (a)", "c d a b"},
		{"inner reads count", "y = If <then_branch = t () => (o) { o = Neg (a) }> (x) a = A (x)", "a y"},
	} {
		g := MustParse("g (x) => () {" + c.text + "}").Graph
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
		g := MustParse("g (x) => () {" + text + "}").Graph
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
		g := &Graph{}
		for i := range 40 {
			n := &Node{OpType: "Op", Outputs: []string{fmt.Sprint(i)}}
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

// TestEditorRandom makes random edits and holds the lookups against a fresh
// index of the outcome.
func TestEditorRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 30 {
		g := MustParse(net).Graph
		e := Edit(g)
		for range 20 {
			nodes := e.Nodes()
			n := nodes[r.IntN(len(nodes))]
			switch r.IntN(4) {
			case 0:
				e.InsertAfter(n, &Node{OpType: "Neg", Inputs: []string{n.Outputs[0]}, Outputs: []string{e.Fresh("v")}})
			case 1:
				in := []string{"x", "w", "a"}[r.IntN(3)]
				e.SetInput(n, r.IntN(2), in)
			case 2:
				if len(nodes) > 3 {
					e.Remove(n)
				}
			case 3:
				e.ReplaceUses("b", "w")
			}
		}
		g.Nodes = e.Nodes()
		ix := NewIndex(g)
		names := map[string]bool{}
		for v := range ix.Consumers {
			names[v] = true
		}
		for v := range e.consumers {
			names[v] = true
		}
		for v := range names {
			if e.Producer(v) != ix.Producer[v] {
				t.Fatalf("producer of %s", v)
			}
			got, want := e.Consumers(v), ix.Consumers[v]
			if len(got) != len(want) || slices.ContainsFunc(want, func(n *Node) bool { return !slices.Contains(got, n) }) {
				t.Fatalf("consumers of %s: %v, want %v", v, got, want)
			}
		}
	}
}

func TestIndexConstants(t *testing.T) {
	ix := NewIndex(MustParse(`g (float x) => (float y) <float w = {1}>
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
		} else if got := strings.Join(formatElements(c), " "); got != want {
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

package engine

// Labels are the samples' classes.
type Labels struct {
	// Classes are those of all samples, from the first of all, one after the
	// other; nil where there are none. A negative one says nothing.
	Classes []int
	// Shape is that of one sample's classes, such as [h, w] for a segmentation;
	// nil means one a sample.
	Shape []int64
	// Implied says that nobody gave the labels by name, as where they are the
	// names of folders: they need not fit the network.
	Implied bool
}

// PerSample is how many classes one sample has.
func (l Labels) PerSample() int {
	n := 1
	for _, d := range l.Shape {
		n *= int(d)
	}
	return n
}

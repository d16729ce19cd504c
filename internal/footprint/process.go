package footprint

// What a process takes, by the network's footprint: see docs/robustness.md
// for the measurements. It is estimated for calib and test alike, so that one
// limit means one batch size.
const (
	// memoryBase is for the program, ONNX Runtime and what does not grow.
	memoryBase = 90 << 20
	// memoryWeights is how many times the weights are there: the model, its
	// quantized version, ONNX Runtime's, and those of the version before.
	memoryWeights = 7
	// memoryLive is for the values of two networks, each beside its quantized
	// copy, and what arenas lose; memoryInputs for the batches that are read ahead.
	memoryLive, memoryInputs = 5, 7
	// memoryAtOnce is how many samples run at once in float propagation and for
	// a report, which keeps all their values: memoryKept times those of one.
	memoryAtOnce, memoryKept = 8, 10
	// For high accuracy the weights are there for the guide's network and those that are
	// compared, too. Of 256 samples what enters is kept, up to 256 MB; 64 of them choose
	// over values of two networks at one place, at most 96 MB, and over what layers put out,
	// 48 MB, and of a wide layer what is left of it, 32 MB; outputs of as many are held to compare with, 64 MB, or of 16 where these take
	// more; products of inputs, in float64, are there five times.
	highWeights  = 4
	highSamples  = 256
	highEntered  = 256 << 20
	highChoosers = 64
	highLanes    = 96 << 20
	highPut      = 48 << 20
	highRest     = 32 << 20
	highOutputs  = 64 << 20
	highJudges   = 16
	highMoments  = 5 * 8
)

// Work is what a process does besides running batches.
type Work struct {
	// Float says that samples run in float propagation, by eights; Report that
	// errors are measured for a report, too.
	Float, Report bool
	// High says that high accuracy chooses over Samples samples.
	High    bool
	Samples int
}

// Process estimates the bytes that a process takes with batches of n samples.
func (f *Footprint) Process(n int, w Work) int64 {
	live := func(n int) float64 { return memoryLive * float64(f.Fixed+int64(n)*f.PerSample) }
	values := live(n)
	if w.Float {
		values = max(values, live(memoryAtOnce))
	}
	if w.Report {
		values = max(values, live(memoryAtOnce)+memoryKept*float64(f.Total))
	}
	bytes := memoryBase + int64(memoryWeights*f.Weights) + int64(values) + int64(memoryInputs*n)*f.Inputs
	if w.High {
		bytes += f.high(int64(w.Samples))
	}
	return bytes
}

// high is what high accuracy takes besides.
func (f *Footprint) high(samples int64) int64 {
	choosers := min(samples, highChoosers)
	rest := int64(0)
	if f.Wide {
		rest = highRest
	}
	return rest + highWeights*f.Weights +
		min(min(samples, highSamples)*f.Inputs, highEntered) +
		min(6*choosers*f.Largest, highLanes) + highPut +
		max(min(choosers*f.Largest, highOutputs), min(samples, highJudges)*f.Largest) +
		highMoments*f.Moments
}

// Batch returns the largest batch, of at most most samples, with which a process
// takes no more than limit bytes; 1 where none does.
func (f *Footprint) Batch(limit int64, most int, w Work) int {
	n := most
	for n > 1 && f.Process(n, w) > limit {
		n--
	}
	return n
}

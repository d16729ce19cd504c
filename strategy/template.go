package strategy

import (
	"fmt"
	"strings"

	"narrow/scheme"
)

// Template returns a commented strategy file to start from, without mistakes
// for the device and datatype.
func Template(target scheme.Target, datatype scheme.Datatype) []byte {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	isInt := datatype == scheme.Int
	dpu := target == scheme.DPU

	line("// A quantization strategy. Comments are allowed here; vai_q_pytorch takes none,")
	line("// \"narrow fmt\" writes the file without them.")
	line("{")
	line("  // Rewrites before calibration.")
	line("  %q: false, // ReLU6 becomes ReLU", keyReLU6)
	line("  %q: false, // x*sigmoid(x) becomes HardSwish", keySiLU)
	line("  // Help for integers: bring channels to one range first, correct biases last. By")
	line("  // --accuracy guide the first also turns every ReLU6 into ReLU: set it to false there.")
	line("  %q: %t,", keyCLE, isInt)
	line("  %q: %t,", keyBiasCorr, isInt)
	line("  // Leave the first and last layer, or the outputs of Add, in float32.")
	line("  %q: false,", keyFirstLast)
	line("  %q: false,", keyAdd)
	line("")
	line("  // DPU, CPU or GPU: whose restrictions apply.")
	line("  %q: %q,", keyTarget, target)
	line("")
	line("  // What is quantized.")
	line("  %q: [\"input\", \"weights\", \"bias\", \"activation\"],", keyKinds)
	line("")
	line("  // For every tensor.")
	line("  %q: {", keyOverall)
	if !isInt {
		line("    %q: %q // the other settings count only for int", KeyDatatype, datatype)
		line("  },")
	} else {
		s := Defaults(scheme.Weights)
		if !dpu {
			s.Method, s.RoundMode, s.ScaleType, s.Statistic = scheme.MaxMin, scheme.HalfEven, scheme.FloatScale, scheme.Max
		}
		comment := map[Key]string{
			KeyDatatype:    "int, bfloat16, float16, float32",
			KeyBitWidth:    "2 to 32",
			KeyMethod:      "maxmin, percentile (with \"percentage\"), entropy, mse",
			KeyRoundMode:   "half_even, half_up, half_down, std_round",
			KeySymmetry:    "false: with a zero point",
			KeyPerChannel:  "for weights only",
			KeySigned:      "false: for data without negative values",
			KeyNarrowRange: "true: leave out the smallest integer",
			KeyScaleType:   "float, poweroftwo",
			KeyStatistic:   "max, mean, median: how batches are joined",
		}
		if dpu {
			comment = map[Key]string{
				KeyMethod:      "diffs, maxmin",
				KeyRoundMode:   "std_round; half_up for activation, below",
				KeyNarrowRange: "true: leave out the smallest integer",
				KeyBitWidth:    "the same for bias and activation",
			}
		}
		for _, k := range Keys() {
			if k == KeyPercentage {
				continue
			}
			comma, c := ",", ""
			if k == KeyStatistic {
				comma = ""
			}
			if comment[k] != "" {
				c = " // " + comment[k]
			}
			line("    %q: %s%s%s", k, jsonValue(s, k), comma, c)
		}
		line("  },")
	}
	line("")
	line("  // For one kind of tensor, over the above.")
	switch {
	case isInt && dpu:
		line("  %q: {", keyTensor)
		line("    \"activation\": { %q: \"half_up\" }", KeyRoundMode)
		line("  },")
	case isInt:
		line("  %q: {", keyTensor)
		line("    // One scale per output channel keeps depthwise networks accurate.")
		line("    \"weights\": { %q: true },", KeyPerChannel)
		line("    // What layers output lies on one side of zero more often than not.")
		line("    \"input\": { %q: false },", KeySymmetry)
		line("    \"activation\": { %q: false },", KeySymmetry)
		line("    // Exports store biases in 32 bits anyway.")
		line("    \"bias\": { %q: 32 }", KeyBitWidth)
		line("  },")
	default:
		line("  %q: {},", keyTensor)
	}
	line("")
	line("  // For single layers, over the above: by type or by name, the other is null.")
	line("  // \"narrow layers --model M\" lists the names. For example:")
	line("  // {")
	line("  //   %q: null, %q: \"layer1.0.conv1\",", keyLayerType, keyLayerName)
	line("  //   %q: [\"weights\", \"bias\", \"activation\"],", keyKinds)
	if isInt {
		line("  //   %q: { %q: 16 }", keyOverall, KeyBitWidth)
	} else {
		line("  //   %q: { %q: \"float32\" }", keyOverall, KeyDatatype)
	}
	line("  // }")
	line("  %q: []", keyLayers)
	line("}")
	return []byte(b.String())
}

package strategy_test

import (
	"fmt"

	"narrow/scheme"
	"narrow/strategy"
)

// All mistakes of a file come at once, each with its place and the way out.
func ExampleParse() {
	const text = `{
	"target_device": "CPU",
	"overall_quantize_config": {"bit_width": true, "methd": "mse"}
}`
	_, findings := strategy.Parse("net.json", []byte(text))
	for _, f := range findings {
		fmt.Println(f)
	}
	fmt.Println("usable:", findings.Err() == nil)
	// Output:
	// net.json:3:43: error: bit_width takes an integer from 2 to 32, not a boolean (true)
	// net.json:3:49: error: overall_quantize_config has no key "methd" (did you mean "method"?)
	// usable: false
}

// Every setting has a reason: the line that holds, and those it overrode.
func ExampleStrategy_Resolve() {
	const text = `{
	"target_device": "CPU",
	"overall_quantize_config": {"method": "percentile", "percentage": 99.9, "scale_type": "float",
		"calib_statistic_method": "max"},
	"tensor_quantize_config": {"weights": {"method": "maxmin"}}
}`
	s, findings := strategy.Parse("net.json", []byte(text))
	if err := findings.Err(); err != nil {
		fmt.Println(err)
		return
	}
	for _, kind := range []scheme.Kind{scheme.Activation, scheme.Weights} {
		r := s.Resolve(kind, nil)
		b := r.Reason(strategy.KeyMethod)
		fmt.Printf("%s: method %s, from %s\n", kind, b.Value, b.Origin)
		for _, o := range b.Overridden {
			fmt.Printf("  not %s, from %s\n", o.Value, o.Origin)
		}
	}
	// Output:
	// activation: method percentile, from net.json:3:30 overall_quantize_config
	//   not diffs, from default for the DPU
	// weights: method maxmin, from net.json:5:41 tensor_quantize_config weights
	//   not diffs, from default for the DPU
	//   not percentile, from net.json:3:30 overall_quantize_config
}

package strategy

import (
	"encoding/json"

	"narrow/scheme"
)

// Kinds is a set of tensor kinds.
type Kinds uint8

// AllKinds holds every kind.
const AllKinds Kinds = 1<<scheme.Input | 1<<scheme.Weights | 1<<scheme.Bias | 1<<scheme.Activation

// KindsOf returns the set of the given kinds.
func KindsOf(kinds ...scheme.Kind) Kinds {
	var s Kinds
	for _, k := range kinds {
		s |= 1 << k
	}
	return s
}

// Has reports whether k is in the set.
func (s Kinds) Has(k scheme.Kind) bool { return s&(1<<k) != 0 }

// List returns the kinds of the set in the order input, weights, bias, activation.
func (s Kinds) List() []scheme.Kind {
	list := []scheme.Kind{}
	for k := scheme.Input; k <= scheme.Activation; k++ {
		if s.Has(k) {
			list = append(list, k)
		}
	}
	return list
}

// MarshalJSON writes the set as a list of names.
func (s Kinds) MarshalJSON() ([]byte, error) { return json.Marshal(s.List()) }

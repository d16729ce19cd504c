package strategy

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"narrow/diag"
	"narrow/scheme"
)

// Strategy is what a strategy file says. Make one with [Parse] or [Default];
// ask it with [Strategy.Resolve].
type Strategy struct {
	// File is the file's name as it was given, "" where there is no file.
	File string
	// Source is the file's content, nil where there is no file.
	Source []byte
	// Findings are all that [Parse] found in the file, mistakes among them.
	Findings diag.List

	Target scheme.Target
	// ConvertReLU6 and ConvertSiLU ask for rewrites before calibration.
	ConvertReLU6, ConvertSiLU bool
	// IncludeCLE asks for cross-layer equalization, IncludeBiasCorr for bias
	// correction.
	IncludeCLE, IncludeBiasCorr bool
	// KeepFirstLast leaves the first and last weighted layers in float32,
	// KeepAdd the outputs of Add.
	KeepFirstLast, KeepAdd bool
	// OpsetVersion is the opset to export, 0 where the file does not say.
	OpsetVersion int
	// ChangeConcatInputFix and ChangePoolInputFix give the inputs of Concat
	// and pooling the scale of its output.
	ChangeConcatInputFix, ChangePoolInputFix bool
	// Kinds are the kinds of tensors that are quantized.
	Kinds Kinds
	// Rules are the layer rules in file order, but for those that are so
	// broken that nobody can tell which layers they are for.
	Rules []*Rule

	overall layer
	tensor  [scheme.Activation + 1]layer
	// where has the place of each top-level key that the file sets.
	where map[string]place
	// unsure holds the top-level keys that the file tries to set in a way that
	// cannot be read.
	unsure map[string]bool
}

// Rule is one layer rule. Exactly one of LayerType and LayerName is set,
// unless the file has errors.
type Rule struct {
	// Index counts the rules of the file from 1.
	Index int
	// LayerType and LayerName are as the file writes them. LayerName may be a
	// pattern, see [IsPattern]; it is "" where the file lists names.
	LayerType, LayerName string
	// LayerNames are the names of a list, patterns among them; nil where the file
	// has a single name.
	LayerNames []string
	// Kinds are the kinds of tensors that the rule is for.
	Kinds Kinds
	// Range is the whole rule; NameRange the value of layer_type or layer_name.
	Range, NameRange diag.Range
	// Path and NamePath are the JSON paths of the two.
	Path, NamePath string

	overall layer
	tensor  [scheme.Activation + 1]layer
	// kindsPlace is where quantizable_data_type stands.
	kindsPlace place
	// unsure is set when Kinds could not be read.
	unsure bool
}

// ByName reports whether the rule is for layers of given names.
func (r *Rule) ByName() bool { return r.LayerName != "" || len(r.LayerNames) > 0 }

// Names returns what a rule by name is for: names and patterns, in the file's
// order; nil for a rule by type.
func (r *Rule) Names() []string {
	if r.LayerName != "" {
		return []string{r.LayerName}
	}
	return r.LayerNames
}

// Many reports whether the rule may match many layers by name, and vai_q_pytorch
// does not take it: it has a pattern or a list.
func (r *Rule) Many() bool { return r.LayerNames != nil || IsPattern(r.LayerName) }

// IsPattern reports whether a layer_name is a pattern: one with an asterisk.
// A layer whose name is spelled exactly so is still meant first.
func IsPattern(name string) bool { return strings.Contains(name, "*") }

// String is [Rule.Text] in English.
func (r *Rule) String() string { return r.Text().String() }

// Text returns the rule as messages name it: layer rule 1 (by type Conv2d).
func (r *Rule) Text() diag.Text {
	switch {
	case r.LayerName != "":
		return diag.Textf("layer rule %d (by name %s)", r.Index, clipTo(r.LayerName, 200))
	case len(r.LayerNames) == 1:
		return diag.Textf("layer rule %d (by name %s)", r.Index, clipTo(r.LayerNames[0], 200))
	case len(r.LayerNames) > 1:
		return diag.Textf("layer rule %d (by %d names, %s to %s)", r.Index, len(r.LayerNames), clipTo(r.LayerNames[0], 100), clipTo(r.LayerNames[len(r.LayerNames)-1], 100))
	case r.LayerType != "":
		return diag.Textf("layer rule %d (by type %s)", r.Index, clip(BareType(r.LayerType)))
	}
	return diag.Textf("layer rule %d", r.Index)
}

// BareType returns a layer type without the package of a torch class or function:
// torch.nn.Conv2d and nn.Conv2d become Conv2d, torch.nn.functional.relu relu. Types of other packages, and
// types that merely look alike, stay as they are.
func BareType(t string) string {
	for _, prefix := range torchPackages {
		if rest, ok := strings.CutPrefix(t, prefix); ok && rest != "" && (prefix != "torch." || !strings.Contains(rest, ".")) {
			if own, ok := strings.CutPrefix(rest, "modules."); ok { // torch.nn.modules.conv.Conv2d
				rest = own[strings.LastIndexByte(own, '.')+1:]
			}
			return rest
		}
	}
	return t
}

// torchPackages are the ways to write where torch's own classes live.
var torchPackages = []string{
	"torch.nn.functional.", "nn.functional.", "F.", "torch.nn.", "nn.", "py_nndct.nn.", "torch.ops.aten.", "torch.Tensor.", "torch.",
}

// place is where a key and its value stand.
type place struct {
	key, val diag.Range
	path     string
}

// layer is one object of settings: the ones it sets, and where.
type layer struct {
	// text is what messages call this object.
	text  diag.Text
	place place
	vals  scheme.Settings
	at    [keyEnd]*place
	// unsure marks settings that the file tries to set in a way that cannot
	// be read, or under a misspelled key: nothing is concluded from them.
	unsure [keyEnd]bool
}

// doubt marks all settings of l as unsure.
func (l *layer) doubt() {
	for k := range l.unsure {
		l.unsure[k] = true
	}
}

// Default returns the strategy that holds where there is no file.
func Default() *Strategy {
	s := &Strategy{
		Target: scheme.DPU, IncludeCLE: true, IncludeBiasCorr: true, Kinds: AllKinds,
		where: map[string]place{}, unsure: map[string]bool{},
	}
	s.overall.text = diag.Verbatim(keyOverall)
	for _, k := range AllKinds.List() {
		s.tensor[k].text = diag.Verbatim(keyTensor + " " + k.String())
	}
	return s
}

// Where returns the place of a top-level key, such as "include_cle"; the
// zero Range where the file does not set it.
func (s *Strategy) Where(key string) diag.Range { return s.where[key].key }

// SHA256 returns the SHA-256 of [Strategy.MarshalResolved] in hex. Files that
// mean the same have the same sum, however they are written.
func (s *Strategy) SHA256() string { return hexSum(s.MarshalResolved()) }

func hexSum(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

package report

import (
	"slices"
	"strings"
)

// Search is what a search for a strategy tried.
type Search struct {
	Objective Objective `json:"objective"`
	// Searched and HeldOut are how many test samples there were of each; HeldOutDrop
	// is by how much what was found is worse on the latter, nil where there are none.
	Searched    int     `json:"searched"`
	HeldOut     int     `json:"held_out"`
	HeldOutDrop *Number `json:"held_out_drop,omitempty"`
	// Complete says that the search came to its end.
	Complete bool `json:"complete,omitempty"`
	// File is the strategy file that was written, "" for none.
	File string `json:"file,omitempty"`
	// Best is the trial that confirmed what was found, -1 for none.
	Best   int     `json:"best"`
	Trials []Trial `json:"trials"`
	// Pieces and Strategies hold the files of the strategies that were tried: each
	// is a list of pieces, since they are much alike. See [Search.AddStrategy].
	Pieces     []string `json:"pieces"`
	Strategies [][]int  `json:"strategies"`

	at map[string]int // of Pieces
}

// Objective is what strategies were judged by, beside their cost.
type Objective struct {
	Name string `json:"name"`
	// Unit says how its figures are written.
	Unit          Unit `json:"unit"`
	LowerIsBetter bool `json:"lower_is_better,omitempty"`
	// Float is the float network's figure, Limit the worst that is kept; nil where
	// there is none.
	Float *Number `json:"float,omitempty"`
	Limit *Number `json:"limit,omitempty"`
}

// Unit is how figures are written: [Share], [Decibel], or "" as they are.
type Unit string

// The units: shares in 0..1 as percent, ratios in dB.
const (
	Share   Unit = "%"
	Decibel Unit = "dB"
)

// Trial is one measurement of a search: see search.Trial.
type Trial struct {
	Number int    `json:"number"`
	Phase  string `json:"phase"`
	Words  Text   `json:"words"`
	Cost   Number `json:"cost"`
	// Value is the objective's figure, nil where the trial has none. Drop is by how
	// much it is worse than the float network's on the same samples, StdErr the
	// standard error of that; nil where they are not known.
	Value  *Number `json:"value"`
	Drop   *Number `json:"drop,omitempty"`
	StdErr *Number `json:"std_err,omitempty"`
	// Samples is how many it saw.
	Samples int        `json:"samples,omitempty"`
	State   TrialState `json:"state"`
	// Failed says why there is no result.
	Failed Text `json:"failed,omitzero"`
	// Strategy is an index into Search.Strategies, -1 where it was not kept.
	Strategy int `json:"strategy"`
}

// TrialState is what became of a trial.
type TrialState string

// What may become of a trial: confirmed on all test samples, within or beyond the
// limit, given up before it saw all samples, failed, or one that only ranked the
// layers.
const (
	TrialFound   TrialState = "found"
	TrialWithin  TrialState = "within"
	TrialBeyond  TrialState = "beyond"
	TrialStopped TrialState = "stopped"
	TrialFailed  TrialState = "failed"
	TrialRanked  TrialState = "ranked"
)

// AddStrategy keeps the text of a strategy file and returns its place in
// s.Strategies.
func (s *Search) AddStrategy(text string) int {
	if s.at == nil {
		s.at = map[string]int{}
	}
	var list []int
	for rest := text; rest != ""; {
		piece := rest
		// A piece ends where an object does: strategies differ by whole rules.
		for end := 0; end < len(rest); {
			line := rest[end:]
			if i := strings.IndexByte(line, '\n'); i >= 0 {
				line = line[:i+1]
			}
			end += len(line)
			if strings.HasPrefix(strings.TrimSpace(line), "}") {
				piece = rest[:end]
				break
			}
		}
		i, ok := s.at[piece]
		if !ok {
			i = len(s.Pieces)
			s.Pieces = append(s.Pieces, piece)
			s.at[piece] = i
		}
		list = append(list, i)
		rest = rest[len(piece):]
	}
	if at := slices.IndexFunc(s.Strategies, func(other []int) bool { return slices.Equal(other, list) }); at >= 0 {
		return at
	}
	s.Strategies = append(s.Strategies, list)
	return len(s.Strategies) - 1
}

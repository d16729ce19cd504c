// Package progress draws how far a run has come.
//
// In go a number of steps, a stream and what to say; where the stream is a
// terminal, a bar with the rate and the time left comes out, elsewhere nothing.
package progress

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// Status is what a bar knows of its run.
type Status struct {
	Done, Total int
	// Rate is steps per second over the last seconds, 0 while it is not known.
	Rate float64
	// Left is the time for the others at that rate.
	Left time.Duration
}

// Bar shows the progress of one run; the nil Bar shows nothing.
type Bar struct {
	bar   *progressbar.ProgressBar
	meter meter
	label func(Status) string
}

// New returns a bar for total steps on w, or nil where w is no terminal; label
// says what stands before the bar.
func New(w io.Writer, total int, label func(Status) string) *Bar {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	b := &Bar{meter: meter{total: total}, label: label}
	b.bar = progressbar.NewOptions(total,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription(label(Status{Total: total})),
		progressbar.OptionThrottle(throttle),
		progressbar.OptionSetPredictTime(false),
		progressbar.OptionFullWidth(),
		progressbar.OptionClearOnFinish(),
	)
	return b
}

// throttle is how often a bar is drawn at most.
const throttle = 100 * time.Millisecond

// Set says that n steps are done.
func (b *Bar) Set(n int) {
	if b != nil {
		b.bar.Describe(b.label(b.meter.at(n, time.Now())))
		_ = b.bar.Set(n) // a terminal that went away is no reason to stop
	}
}

// Done takes the bar away.
func (b *Bar) Done() {
	if b != nil {
		_ = b.bar.Finish()
	}
}

// Package progress draws how far a run over samples has come.
//
// In go a number of samples and a stream; where the stream is a terminal, a
// bar with images per second and the time left comes out, elsewhere nothing.
package progress

import (
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"
)

// Bar shows the progress of one run; the nil Bar shows nothing.
type Bar struct{ bar *progressbar.ProgressBar }

// New returns a bar for total samples on w, or nil where w is no terminal.
func New(w io.Writer, what string, total int) *Bar {
	f, ok := w.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	return &Bar{progressbar.NewOptions(total,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionSetItsString("images"),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionFullWidth(),
		progressbar.OptionClearOnFinish(),
	)}
}

// Set says that n samples are done.
func (b *Bar) Set(n int) {
	if b != nil {
		_ = b.bar.Set(n) // a terminal that went away is no reason to stop
	}
}

// Done takes the bar away.
func (b *Bar) Done() {
	if b != nil {
		_ = b.bar.Finish()
	}
}

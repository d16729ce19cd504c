package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"narrow/diag"
	"narrow/internal/printable"
)

// table is rows of cells, the head first.
type table struct {
	rows [][]string
	// right says which columns stand to the right: numbers, which are never cut.
	right func(column int) bool
}

// longestHead is how wide the head of a column is at most, where rows were turned.
const longestHead = 20

// narrowest is how many columns of the screen are left of a cell at least.
const narrowest = 8

// write writes the table, two blanks between columns. On a terminal of so many
// columns (0: any) the widest texts are cut in the middle until a row fits.
func (t table) write(w io.Writer, screen int) error {
	rows := make([][]string, len(t.rows))
	var widths []int
	for k, row := range t.rows {
		rows[k] = make([]string, len(row))
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			rows[k][i] = clean(printable.Name(cell))
			widths[i] = max(widths[i], width(rows[k][i]))
		}
	}
	t.fit(widths, screen)
	for _, row := range rows {
		var b strings.Builder
		for i, cell := range row {
			cell = shorten(cell, widths[i])
			fill := strings.Repeat(" ", widths[i]-width(cell))
			if i > 0 {
				b.WriteString("  ")
			}
			if t.right != nil && t.right(i) {
				b.WriteString(fill + cell)
			} else {
				b.WriteString(cell + fill)
			}
		}
		if _, err := fmt.Fprintln(w, strings.TrimRight(b.String(), " ")); err != nil {
			return diag.Errorf("writing the table: %w", err)
		}
	}
	return nil
}

// fit takes columns of the screen from the widest texts until a row takes no more
// than screen, as far as that goes.
func (t table) fit(widths []int, screen int) {
	if screen == 0 {
		return
	}
	for over := t.total(widths) - screen; over > 0; over-- {
		widest := -1
		for i, n := range widths {
			if (t.right == nil || !t.right(i)) && n > narrowest && (widest < 0 || n > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			return
		}
		widths[widest]--
	}
}

func (t table) total(widths []int) int {
	n := max(0, 2*(len(widths)-1))
	for _, w := range widths {
		n += w
	}
	return n
}

// fits reports whether the table fits a screen (0: any) uncut.
func (t table) fits(screen int) bool {
	if screen == 0 {
		return true
	}
	var widths []int
	for _, row := range t.rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], width(cell))
		}
	}
	return t.total(widths) <= screen
}

// turned returns the table with its rows as columns, in as many tables as a
// screen takes; each has the head, and the first of the other rows, which the
// others are to be compared with.
func (t table) turned(screen int) []table {
	turn := func(rows ...[]string) table {
		out := make([][]string, len(t.rows[0]))
		for i := range out {
			for _, r := range rows {
				cell := ""
				if i < len(r) {
					cell = r[i]
				}
				if i == 0 {
					cell = shorten(cell, longestHead)
				}
				out[i] = append(out[i], cell)
			}
		}
		return table{rows: out, right: func(i int) bool { return i > 0 }}
	}
	var out []table
	for rest := t.rows[min(2, len(t.rows)):]; ; {
		n := min(1, len(rest))
		for n < len(rest) && turn(slices.Concat(t.rows[:2], rest[:n+1])...).fits(screen) {
			n++
		}
		out = append(out, turn(slices.Concat(t.rows[:min(2, len(t.rows))], rest[:n])...))
		if rest = rest[n:]; len(rest) == 0 {
			return out
		}
	}
}

// heads returns the heads of columns in the user's language.
func (a *app) heads(texts ...diag.Text) []string {
	out := make([]string, len(texts))
	for i, t := range texts {
		out[i] = a.lang.Sprint(t)
	}
	return out
}

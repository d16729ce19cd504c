// Searchplot draws the trials of a search as an SVG picture: cost against the
// drop of top-1, every trial a point, and the front of those that nothing beats
// a line.
//
//	go run ./tools/searchplot -title "MobileNet v1 0.25, CPU" strategy.search.json > search.svg
//
// The log comes in that narrow search keeps beside its strategy file; the
// picture follows the reader's light or dark colours. Same log, same bytes.
package main

import (
	"flag"
	"fmt"
	"os"

	"narrow/search"
)

func main() {
	title := flag.String("title", "", "title of the picture")
	flag.Parse()
	if flag.NArg() != 1 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*title, flag.Arg(0)); err != nil {
		fmt.Fprintln(os.Stderr, "searchplot:", err)
		os.Exit(1)
	}
}

func run(title, file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	log, err := search.ReadLog(data)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	svg, err := draw(title, log)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	_, err = os.Stdout.Write(svg)
	return err
}

// Package report shows a calibration as one HTML file.
//
// In go a calibrated network and what was measured on it: the accuracy
// (package calibrate), the errors of every tensor and layer (package inspect),
// findings, how it was run, perhaps a comparison of strategies; out comes a
// [Document], and from that a page that needs nothing else: scripts, styles and
// data are in it, and its content security policy forbids every connection.
// What is missing (no samples, no labels) the page leaves out and says so.
//
// Rules of the house: the package computes nothing that is shown, it only
// renders; no text of a model or a file becomes markup; the same document gives
// the same bytes. The page itself is written in TypeScript in the folder web,
// whose build is in the folder assets.
package report

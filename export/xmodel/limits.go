package xmodel

import "narrow/diag"

// limits tells which limits of the DPUCZDX8G an operator goes beyond.
func limits(n *node) []diag.Text { return nil }

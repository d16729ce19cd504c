// Package rewrite changes a network by named rules before it is calibrated.
//
// In goes a graph.Model; out come another one and a report: which rule changed
// what at which node, and which rule refused where, for what reason. Each rule
// is a value with a name, a sentence on what it does, and whether it is exact.
//
// Rules of the house: exact before lossy, and an exact rule keeps the outputs
// to a relative 1e-5; the model that comes in is never written into, nor is
// any tensor; a rule that cannot prove its condition refuses and says why; a
// node that a rule makes carries the rule's name in Node.Rule; what a node is
// called and what its result is called stay, so that layer rules still match.
package rewrite

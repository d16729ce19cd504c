// Package serve speaks to programs in other languages, over a pair of pipes.
//
// In come frames on a reader, such as standard input: a JSON header and raw
// arrays behind it, one request each; out goes, on a writer, one answer for
// each request, with messages about progress before it. docs/protocol.md is the
// specification, and [Protocol] its version.
//
// Rule of the house: what comes in is never believed. A request that cannot be
// served is answered by an error frame, and the conversation continues; only when
// nobody can tell where the next frame begins does it end. Numbers are those of
// the command: this package calls the same functions.
package serve

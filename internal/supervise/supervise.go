// Package supervise runs a command in a child process of itself, so that a
// crash of native code, or of memory, ends with a message and not with a page
// of registers.
//
// In goes the program's own command line; out comes how the child ended. The
// child notes what it is at in memory that both share ([Record]), which is
// there to read however it died. The child dies with its parent, whatever ends
// that one: by the parent's pipe, which closes, and on Linux by the kernel too.
// Where a system has no such things (Windows), nothing is supervised.
package supervise

import (
	"os"
	"strings"
)

// Env turns supervision off with the value "off": the command then runs in the
// process that was started, for debuggers and to see the stack of a crash.
const Env = "NARROW_SUPERVISE"

// childEnv tells a process that it is the child; it holds no secret.
const childEnv = "NARROW_SUPERVISED_CHILD"

// Cause is why a child ended without an exit code.
type Cause int

const (
	// Native is a crash in native code: a signal that the code itself raised.
	Native Cause = iota + 1
	// Memory is that there was no more memory.
	Memory
	// Killed is SIGKILL: the system's, which lacks memory, or somebody's.
	Killed
	// Panic is a mistake of the program itself.
	Panic
)

// End tells how a child ended.
type End struct {
	// Done tells that it ended by itself, with the exit code Code.
	Done bool
	Code int
	// By is the signal that was meant to end it (Ctrl-C, SIGTERM, a closed
	// pipe); nil where it ended by itself or crashed.
	By os.Signal
	// Crash is its crash, if it is neither.
	Crash Crash
	// Said is what the child's runtime and native code printed; it may hold
	// anything.
	Said string
	// Step and Node are what the child had noted last.
	Step, Node string
	// PID was its process.
	PID int
}

// Crash tells of a child that did not end by itself.
type Crash struct {
	Cause Cause
	// Signal is the signal's name, such as SIGSEGV; "" where none is known.
	Signal string
	// Text is the first line of what the child said at its end; it may be empty,
	// and come from native code.
	Text string
}

// Off reports whether the environment turns supervision off.
func Off() bool { return strings.EqualFold(os.Getenv(Env), "off") || os.Getenv(Env) == "0" }

// crash reads the end of a child that gave no exit code: what it said on its
// standard error, and the signal that ended it, if one did.
func crash(said, signal string) Crash {
	c := Crash{Signal: signal, Text: firstLine(said)}
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(said, w) {
				return true
			}
		}
		return false
	}
	if c.Signal == "" {
		// Go catches signals of native code, prints them, and exits.
		for _, s := range []string{"SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGSYS"} {
			if strings.Contains(said, s+": ") {
				c.Signal = s
				break
			}
		}
	}
	switch {
	case has("out of memory", "cannot allocate memory", "bad_alloc", "failed to create new OS thread", "pthread_create failed"):
		c.Cause = Memory
	case c.Signal == "SIGKILL":
		c.Cause = Killed
	case has("panic: ", "goroutine stack exceeds", "fatal error: all goroutines are asleep", "concurrent map"):
		c.Cause = Panic
	case c.Signal != "":
		c.Cause = Native
	default:
		c.Cause = Panic
	}
	return c
}

// firstLine returns the first line of s that says something.
func firstLine(s string) string {
	for line := range strings.Lines(s) {
		if line = strings.TrimSpace(line); line != "" {
			return line
		}
	}
	return ""
}

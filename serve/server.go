package serve

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"narrow"
	"narrow/diag"
	"narrow/engine"
)

// Config is what a [Server] needs of the program around it.
type Config struct {
	// Engine opens what runs networks; it is called once, when the first request
	// needs it.
	Engine func() (engine.Runner, error)
	// EngineName names it for people, such as "ONNX Runtime 1.30.0".
	EngineName func() string
	// Text writes findings for people, as the command prints them; source is the
	// text of the strategy file that they are about, nil where there is none. Nil
	// means a line each.
	Text func(list diag.List, source []byte) string
	// Say writes a message in the language of the user; nil means English.
	Say func(diag.Text) string
	// Command runs a command of narrow's and returns its exit code; nil where the
	// program has none.
	Command func(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int
	// Gone, when set, is called when the other side has closed its end while a
	// request is being served, which is cancelled then.
	Gone func()
	// Threads is how many threads share the work; 0 means one per core.
	Threads int
	// MaxFrame is how many bytes of arrays one frame may hold; 0 means 16 GiB.
	MaxFrame uint64
	// MemoryPerSamples is how many bytes of spooled samples stay in memory before
	// they go to a file without a name; 0 means 256 MiB.
	MemoryPerSamples int64
}

// Server answers the frames of one client.
type Server struct {
	cfg Config
	in  io.Reader
	out io.Writer

	writing sync.Mutex // held while a frame is written

	mu      sync.Mutex // guards those below, and what a call asks
	running *call
	last    *call // the one before
	ended   bool

	arena   arena
	objects map[int]any
	handles int // given so far
	engine  engine.Runner
}

// New returns a server that reads requests from in and writes answers to out.
func New(in io.Reader, out io.Writer, cfg Config) *Server {
	if cfg.MaxFrame == 0 {
		cfg.MaxFrame = 16 << 30
	}
	if cfg.MemoryPerSamples == 0 {
		cfg.MemoryPerSamples = 256 << 20
	}
	return &Server{cfg: cfg, in: in, out: out, objects: map[int]any{}}
}

// call is a request that is being served.
type call struct {
	s      *Server
	id     int64
	method string
	params json.RawMessage
	arrays []Array
	// keep says that the arrays' memory stays in use after the request.
	keep bool
	// ctx ends when the client cancels the request or is gone.
	ctx    context.Context
	cancel context.CancelFunc
	// asked is how many questions there were, replies are of those without a reply.
	asked   int
	replies map[int]chan reply
	// told is when the last message about progress was written.
	told time.Time
}

// request is the header of a frame from the client.
type request struct {
	ID     *int64          `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Arrays []Array         `json:"arrays"`
	// Cancel is the id of the request to cancel.
	Cancel *int64 `json:"cancel"`
	// Reply is the number of the question that this frame answers.
	Reply  *int            `json:"reply"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

type reply struct {
	result json.RawMessage
	err    error
}

// answer is the header of a frame to the client.
type answer struct {
	ID     *int64  `json:"id"`
	Result any     `json:"result,omitempty"`
	Error  *Error  `json:"error,omitempty"`
	Arrays []Array `json:"arrays,omitempty"`
	// Progress and Ask come before the answer itself.
	Progress *Progress `json:"progress,omitempty"`
	Ask      *question `json:"ask,omitempty"`
	// Withdraw is the number of a question that needs no reply any more.
	Withdraw int `json:"withdraw,omitempty"`
}

// Progress says how far a request is.
type Progress struct {
	// Stage is what is being done, such as "calib".
	Stage string `json:"stage"`
	// Done of Total units (samples, or thousandths of the work) are done.
	Done  int `json:"done"`
	Total int `json:"total"`
	// Text says more, such as a trial of a search.
	Text string `json:"text,omitempty"`
}

type question struct {
	Number int    `json:"number"`
	Method string `json:"method"`
	Params any    `json:"params,omitempty"`
}

// Error is why a request failed.
type Error struct {
	// Kind is what kind of failure: see the Kind constants.
	Kind string `json:"kind"`
	// Message is for people.
	Message string `json:"message"`
	// Findings are the findings behind it, if it is of that kind.
	Findings diag.List `json:"findings,omitempty"`

	// text is the message, where it is told in the language of the program.
	text diag.Text
}

func (e *Error) Error() string { return e.Message }

// The kinds of failures.
const (
	KindStrategy = "strategy" // a mistake in the strategy: see Findings
	KindUsage    = "usage"    // a request that cannot be meant
	KindProtocol = "protocol" // a frame that is none, or breaks the protocol
	KindCanceled = "canceled" // the client asked to cancel the request
	KindExport   = "export"   // what a form cannot hold: see Findings
	KindFailure  = "failure"  // anything else
	KindInternal = "internal" // a fault of narrow's own
)

func usagef(format string, args ...any) error {
	t := diag.Textf(format, args...)
	return &Error{Kind: KindUsage, Message: t.String(), text: t}
}

// Serve answers requests until the client closes its end, which is no error,
// ctx is done, or what comes in is no frame.
func (s *Server) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer s.closeAll()
	requests := make(chan *call)
	broken := make(chan error, 1)
	go func() {
		defer close(requests)
		err := s.read(ctx, requests)
		s.mu.Lock()
		s.ended = true
		busy := s.running != nil
		s.mu.Unlock()
		if err != nil {
			broken <- err
		}
		if busy && s.cfg.Gone != nil {
			s.cfg.Gone()
		}
		cancel()
	}()
	for {
		select {
		case c, ok := <-requests:
			if !ok {
				select {
				case err := <-broken:
					return err
				default:
					return nil
				}
			}
			s.serve(c)
		case <-ctx.Done():
			select {
			case err := <-broken:
				return err
			default:
				return ctx.Err()
			}
		}
	}
}

// read hands on the requests that come in; cancellations and replies it serves
// itself. The error says that the stream makes no sense any more.
func (s *Server) read(ctx context.Context, requests chan<- *call) error {
	for {
		f, err := readFrame(s.in)
		var r request
		if err == nil {
			r, err = s.receive(ctx, f)
		}
		var bad *brokenError
		switch {
		case err == nil:
		case errors.As(err, &bad):
			s.fail(nil, &Error{Kind: KindProtocol, Message: bad.msg + "; the conversation ends"})
			return bad
		case errors.Is(err, errRefused):
			continue
		default:
			return nil // the other side has closed its end
		}
		switch {
		case r.Cancel != nil:
			s.mu.Lock()
			if s.running != nil && s.running.id == *r.Cancel {
				s.running.cancel()
			}
			s.mu.Unlock()
		case r.Reply != nil:
			s.reply(r)
		default:
			s.mu.Lock()
			c := s.running
			s.mu.Unlock()
			c.arrays = r.Arrays
			select {
			case requests <- c:
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// errRefused says that a frame was answered by an error, and skipped.
var errRefused = errors.New("refused")

// receive reads the rest of a frame. What cannot be served is skipped and
// answered.
func (s *Server) receive(ctx context.Context, f *frame) (request, error) {
	var r request
	refuse := func(kind, format string, args ...any) (request, error) {
		if err := f.skip(s.in); err != nil {
			return r, err
		}
		s.fail(r.ID, &Error{Kind: kind, Message: fmt.Sprintf(format, args...)})
		return r, errRefused
	}
	dec := json.NewDecoder(bytes.NewReader(f.header))
	if err := dec.Decode(&r); err != nil {
		return refuse(KindProtocol, "the header of a frame is not what %s has: %v", Protocol, err)
	}
	if dec.More() {
		return refuse(KindProtocol, "the header of a frame holds more than one JSON object")
	}
	if err := f.check(r.Arrays, s.cfg.MaxFrame); err != nil {
		return refuse(KindUsage, "%v", err)
	}
	if r.Cancel == nil && r.Reply == nil {
		switch {
		case r.ID == nil:
			return refuse(KindProtocol, "a request has no id")
		case r.Method == "":
			return refuse(KindProtocol, "a request has no method")
		}
		s.mu.Lock()
		busy := s.running
		if busy == nil {
			c := &call{s: s, id: *r.ID, method: r.Method, params: r.Params, replies: map[int]chan reply{}}
			c.ctx, c.cancel = context.WithCancel(ctx)
			s.running = c
		}
		s.mu.Unlock()
		if busy != nil {
			return refuse(KindProtocol, "request %d is still being served: wait for its answer", busy.id)
		}
	}
	return r, f.readArrays(s.in, r.Arrays, s.arena.take)
}

// reply hands the client's answer to the question that waits for it. One that comes
// to a question that was withdrawn meanwhile does nothing.
func (s *Server) reply(r request) {
	a := reply{result: r.Result}
	if r.Error != nil {
		a.err = errors.New(r.Error.Message)
	}
	if !s.answered(r.ID, *r.Reply, a) {
		s.fail(r.ID, &Error{Kind: KindProtocol, Message: "a reply came that nothing asked for"})
	}
}

// answered hands on a reply and reports whether there ever was such a question.
func (s *Server) answered(id *int64, number int, a reply) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range []*call{s.running, s.last} {
		if c == nil || id != nil && *id != c.id || number < 1 || number > c.asked {
			continue
		}
		if ch := c.replies[number]; ch != nil {
			ch <- a
			delete(c.replies, number)
		}
		return true
	}
	return false
}

// serve answers one request.
func (s *Server) serve(c *call) {
	defer c.cancel()
	result, arrays, err := s.dispatch(c.ctx, c)
	if !c.keep {
		s.arena.give(c.arrays)
	}
	var e *Error
	if err != nil {
		e = s.describe(c.ctx, err)
	}
	s.mu.Lock()
	s.running, s.last = nil, c
	s.mu.Unlock()
	if e != nil {
		s.fail(&c.id, e)
		return
	}
	if result == nil {
		result = struct{}{}
	}
	s.write(answer{ID: &c.id, Result: result, Arrays: arrays}, arrays)
}

// dispatch calls the method of a request; a fault in it is an error too.
func (s *Server) dispatch(ctx context.Context, c *call) (result any, arrays []Array, err error) {
	defer func() {
		if r := recover(); r != nil {
			lines := strings.Split(string(debug.Stack()), "\n")
			err = &Error{Kind: KindInternal, Message: fmt.Sprintf("a fault in narrow itself, while serving %q: %v: please report this\n%s", c.method, r, strings.Join(lines[:min(len(lines), 24)], "\n"))}
		}
	}()
	methods := methods()
	m, ok := methods[c.method]
	if !ok {
		var names []string
		for n := range methods {
			names = append(names, n)
		}
		slices.Sort(names)
		return nil, nil, &Error{Kind: KindProtocol, Message: fmt.Sprintf("there is no method %q; the methods are %s", c.method, strings.Join(names, ", "))}
	}
	return m(ctx, c)
}

// describe says why a request failed.
func (s *Server) describe(ctx context.Context, err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		if !e.text.IsZero() {
			told := *e
			told.Message = s.say(e.text)
			return &told
		}
		return e
	}
	if list, ok := diag.AsFindings(err); ok {
		return &Error{Kind: KindStrategy, Message: s.text(list, nil), Findings: list}
	}
	if ctx.Err() != nil || errors.Is(err, context.Canceled) {
		return &Error{Kind: KindCanceled, Message: "canceled"}
	}
	var other *narrow.MismatchError
	if errors.As(err, &other) && other.Of == "strategy" {
		return &Error{Kind: KindUsage, Message: s.say(diag.ErrorText(err))}
	}
	return &Error{Kind: KindFailure, Message: s.say(diag.ErrorText(err))}
}

// say writes a message for people.
func (s *Server) say(t diag.Text) string {
	if s.cfg.Say != nil {
		return s.cfg.Say(t)
	}
	return t.String()
}

// text writes findings for people.
func (s *Server) text(list diag.List, source []byte) string {
	if s.cfg.Text != nil {
		return strings.TrimRight(s.cfg.Text(list, source), "\n")
	}
	var lines []string
	for _, f := range list {
		lines = append(lines, f.String())
	}
	return strings.Join(lines, "\n")
}

// fail answers a request, or a frame that is none, by an error.
func (s *Server) fail(id *int64, e *Error) { s.write(answer{ID: id, Error: e}, nil) }

// write writes a frame. That the other side is gone, the reader notices.
func (s *Server) write(a answer, arrays []Array) {
	s.writing.Lock()
	defer s.writing.Unlock()
	_ = WriteFrame(s.out, a, arrays)
}

// progress tells how far the request is, at most 20 times a second.
func (c *call) progress(stage string, total int) func(done int) {
	return func(done int) {
		if done < total && time.Since(c.told) < 50*time.Millisecond {
			return
		}
		c.told = time.Now()
		c.s.write(answer{ID: &c.id, Progress: &Progress{Stage: stage, Done: done, Total: total}}, nil)
	}
}

// say tells of an event in words.
func (c *call) say(stage, text string) {
	c.s.write(answer{ID: &c.id, Progress: &Progress{Stage: stage, Text: text}}, nil)
}

// ask asks the client a question and waits for the reply. Several questions may be
// open at once; where ctx ends first, and not the request itself, the client is told
// that it need not reply.
func (c *call) ask(ctx context.Context, method string, params any, arrays []Array) (json.RawMessage, error) {
	answers := make(chan reply, 1)
	c.s.mu.Lock()
	c.asked++
	n := c.asked
	c.replies[n] = answers
	c.s.mu.Unlock()
	c.s.write(answer{ID: &c.id, Ask: &question{Number: n, Method: method, Params: params}, Arrays: arrays}, arrays)
	select {
	case r := <-answers:
		return r.result, r.err
	case <-ctx.Done():
	}
	c.s.mu.Lock()
	delete(c.replies, n)
	c.s.mu.Unlock()
	if c.ctx.Err() == nil {
		c.s.write(answer{ID: &c.id, Withdraw: n}, nil)
	}
	return nil, ctx.Err()
}

// parse reads the parameters of a request into p. What p does not have is an
// error: a misspelled one would otherwise do nothing.
func (c *call) parse(p any) error {
	if len(c.params) == 0 {
		return nil
	}
	dec := json.NewDecoder(bytes.NewReader(c.params))
	dec.DisallowUnknownFields()
	if err := dec.Decode(p); err != nil {
		return usagef("the parameters of %s: %v", c.method, err)
	}
	return nil
}

// runner returns the engine, which the first use opens.
func (s *Server) runner() (engine.Runner, error) {
	if s.engine == nil {
		e, err := s.cfg.Engine()
		if err != nil {
			return nil, err
		}
		s.engine = e
	}
	return s.engine, nil
}

// put keeps an object for later requests and returns its handle.
func (s *Server) put(o any) int {
	s.handles++
	s.objects[s.handles] = o
	return s.handles
}

// get returns the object of a handle.
func get[T any](s *Server, handle int, what string) (T, error) {
	o, ok := s.objects[handle].(T)
	if !ok {
		var zero T
		return zero, usagef("%d is no %s: it was never made, or is closed", handle, what)
	}
	return o, nil
}

// closeAll closes what is still open.
func (s *Server) closeAll() {
	for _, o := range s.objects {
		if c, ok := o.(io.Closer); ok {
			_ = c.Close() // files without a name, and sessions
		}
	}
	s.objects = map[int]any{}
}

// arena hands out memory for arrays and takes it back, so that a long
// conversation needs no more than a short one.
type arena struct {
	mu   sync.Mutex
	free [][]byte
}

// spareArrays is how many arrays' memory is kept for the next request.
const spareArrays = 8

// take returns n bytes with any contents.
func (a *arena) take(n uint64) []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n > math.MaxInt64/2 {
		return alignedBytes(n)
	}
	for i, b := range a.free {
		if uint64(cap(b)) >= n && uint64(cap(b)) <= 2*n+4096 {
			a.free = slices.Delete(a.free, i, i+1)
			return b[:n]
		}
	}
	return alignedBytes(n)
}

// give takes the memory of arrays back.
func (a *arena) give(arrays []Array) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, x := range arrays {
		if cap(x.Data) > 0 {
			a.free = append(a.free, x.Data)
		}
	}
	if n := len(a.free) - spareArrays; n > 0 {
		a.free = slices.Delete(a.free, 0, n)
	}
}

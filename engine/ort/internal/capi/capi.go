package capi

/*
#cgo CFLAGS: -O2
#cgo linux LDFLAGS: -ldl
#include "glue.h"
*/
import "C"

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"unsafe"
)

// The oldest API that has all this package calls: in-place custom operators
// came with ONNX Runtime 1.18.
const oldestAPI = 18

// Lib is an opened ONNX Runtime with one environment. It lives until the
// process ends.
type Lib struct {
	env     *C.nw_env
	version string
	live    Live
}

// Open loads the shared library at path, and makes its environment.
func Open(path string) (*Lib, error) {
	if path == "" {
		// The system would give the program itself.
		return nil, errors.New("load ONNX Runtime: no path given")
	}
	cpath := C.CString(path)
	defer C.free(unsafe.Pointer(cpath))
	var cerr *C.char
	base := C.nw_load(cpath, &cerr)
	if base == nil {
		defer C.free(unsafe.Pointer(cerr))
		return nil, fmt.Errorf("load ONNX Runtime from %s: %s", path, C.GoString(cerr))
	}
	version := C.GoString(C.nw_version(base))
	api, err := apiVersion(version)
	if err != nil {
		return nil, fmt.Errorf("load ONNX Runtime from %s: %w", path, err)
	}
	table := C.nw_get_api(base, C.uint32_t(api))
	if table == nil {
		return nil, fmt.Errorf("load ONNX Runtime from %s: version %s does not offer API %d", path, version, api)
	}
	env := (*C.nw_env)(C.calloc(1, C.sizeof_nw_env))
	env.api = table
	l := &Lib{env: env, version: version}
	if err := l.status(C.nw_env_open(env, C.uint32_t(api))); err != nil {
		return nil, fmt.Errorf("start ONNX Runtime %s: %w", version, err)
	}
	return l, nil
}

// apiVersion returns the API to ask a library of that version for: its own, or
// the newest this package knows.
func apiVersion(version string) (int, error) {
	parts := strings.Split(version, ".")
	if len(parts) < 2 || parts[0] != "1" {
		return 0, fmt.Errorf("version %q is not 1.x", version)
	}
	minor, err := strconv.Atoi(parts[1])
	if err != nil {
		return 0, fmt.Errorf("version %q is not 1.x", version)
	}
	if minor < oldestAPI {
		return 0, fmt.Errorf("version %s is too old: 1.%d or newer is needed", version, oldestAPI)
	}
	return min(minor, C.ORT_API_VERSION), nil
}

// Version returns the library's version, such as "1.30.0".
func (l *Lib) Version() string { return l.version }

// Live returns the counters of live objects.
func (l *Lib) Live() *Live { return &l.live }

// status turns a C status into an error and frees it.
func (l *Lib) status(s *C.OrtStatus) error {
	if s == nil {
		return nil
	}
	err := &Status{Code: int(C.nw_code(l.env, s)), Message: C.GoString(C.nw_message(l.env, s))}
	C.nw_release_status(l.env, s)
	return err
}

const typeString = C.ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING

// Session is a loaded model.
type Session struct {
	lib             *Lib
	c               *C.OrtSession
	Inputs, Outputs []Port
}

// NewSession makes a session of the ONNX model in model.
func (l *Lib) NewSession(model []byte, cfg Config) (*Session, error) {
	if len(model) == 0 {
		return nil, errors.New("the model is empty")
	}
	var pin runtime.Pinner
	defer pin.Unpin()
	a := &arena{}
	defer a.free()

	cc := (*C.nw_config)(a.alloc(C.sizeof_nw_config))
	cc.threads = C.int(max(cfg.Threads, 1))
	cc.level = C.int(cfg.Level)
	if cfg.Optimized != "" {
		cc.optimized = a.str(cfg.Optimized)
	}
	keys, values := make([]string, 0, len(cfg.Entries)), make([]string, 0, len(cfg.Entries))
	for k, v := range cfg.Entries {
		keys, values = append(keys, k), append(values, v)
	}
	cc.n, cc.keys, cc.values = C.size_t(len(keys)), a.strs(keys), a.strs(values)

	names := make([]string, 0, len(cfg.Weights))
	vals := a.values(len(cfg.Weights))
	for name, t := range cfg.Weights {
		v, err := l.newValue(a, &pin, t)
		if err != nil {
			return nil, fmt.Errorf("initializer %q: %w", name, err)
		}
		defer l.release(v)
		vals[len(names)] = v
		names = append(names, name)
	}
	cc.ninit, cc.init_names = C.size_t(len(names)), a.strs(names)
	if len(vals) > 0 {
		cc.inits = &vals[0]
	}

	s := &Session{lib: l}
	err := l.status(C.nw_session_new(l.env, cc, unsafe.Pointer(&model[0]), C.size_t(len(model)), &s.c))
	if err != nil {
		return nil, err
	}
	l.live.Sessions.Add(1)
	if err := s.readPorts(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func (s *Session) readPorts() error {
	for output, ports := range []*[]Port{&s.Inputs, &s.Outputs} {
		var n C.size_t
		if err := s.lib.status(C.nw_session_count(s.lib.env, s.c, C.int(output), &n)); err != nil {
			return err
		}
		for i := range n {
			var name *C.char
			var typ C.int
			err := s.lib.status(C.nw_session_port(s.lib.env, s.c, C.int(output), i, &name, &typ))
			if err != nil {
				return err
			}
			*ports = append(*ports, Port{Name: C.GoString(name), Type: int(typ)})
			C.free(unsafe.Pointer(name))
		}
	}
	return nil
}

// Close frees the session. No run may be under way. Closing twice does nothing.
func (s *Session) Close() {
	if s.c != nil {
		C.nw_release_session(s.lib.env, s.c)
		s.c = nil
		s.lib.live.Sessions.Add(-1)
	}
}

// newValue makes a value that reads t's memory in place, or copies strings.
func (l *Lib) newValue(a *arena, pin *runtime.Pinner, t Tensor) (*C.OrtValue, error) {
	var v *C.OrtValue
	shape := a.shape(t.Shape)
	var err error
	if t.Type == typeString {
		err = l.status(C.nw_string_tensor(l.env, a.strs(t.Strings), C.size_t(len(t.Strings)), shape, C.size_t(len(t.Shape)), &v))
	} else {
		data := a.alloc(8) // an address for tensors without elements
		if len(t.Data) > 0 {
			data = unsafe.Pointer(unsafe.SliceData(t.Data))
			pin.Pin(data)
		}
		err = l.status(C.nw_tensor(l.env, data, C.size_t(len(t.Data)), shape, C.size_t(len(t.Shape)), C.int(t.Type), &v))
	}
	if err != nil {
		return nil, err
	}
	l.live.Values.Add(1)
	return v, nil
}

func (l *Lib) release(v *C.OrtValue) {
	if v != nil {
		C.nw_release_value(l.env, v)
		l.live.Values.Add(-1)
	}
}

// read copies a value out.
func (l *Lib) read(v *C.OrtValue) (Tensor, error) {
	if v == nil {
		return Tensor{}, errors.New("the run left no value")
	}
	var info C.nw_info
	if err := l.status(C.nw_value_info(l.env, v, &info)); err != nil {
		return Tensor{}, err
	}
	if info.is_tensor == 0 {
		return Tensor{}, errors.New("the value is a sequence, map or optional, not a tensor")
	}
	t := Tensor{Type: int(info._type), Shape: make([]int64, info.rank)}
	for i := range t.Shape {
		t.Shape[i] = int64(info.shape[i])
	}
	if t.Type == typeString {
		t.Strings = make([]string, info.count)
		for i := range t.Strings {
			var c *C.char
			var n C.size_t
			if err := l.status(C.nw_string_at(l.env, v, C.size_t(i), &c, &n)); err != nil {
				return Tensor{}, err
			}
			t.Strings[i] = C.GoStringN(c, C.int(n))
			C.free(unsafe.Pointer(c))
		}
		return t, nil
	}
	bits := elementBits(t.Type)
	if bits == 0 {
		return Tensor{}, fmt.Errorf("elements of type %d are not supported", t.Type)
	}
	n := (int(info.count)*bits + 7) / 8
	// Eight-byte words, so that the memory suits every element type.
	words := make([]uint64, (n+7)/8)
	t.Data = unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), len(words)*8)[:n]
	if n > 0 {
		copy(t.Data, unsafe.Slice((*byte)(info.data), n))
	}
	return t, nil
}

// arena owns the C memory of one call.
type arena struct{ blocks []unsafe.Pointer }

func (a *arena) alloc(n C.size_t) unsafe.Pointer {
	p := C.calloc(1, n)
	a.blocks = append(a.blocks, p)
	return p
}

func (a *arena) str(s string) *C.char {
	c := C.CString(s)
	a.blocks = append(a.blocks, unsafe.Pointer(c))
	return c
}

func (a *arena) strs(list []string) **C.char {
	if len(list) == 0 {
		return nil
	}
	p := (**C.char)(a.alloc(C.size_t(len(list)) * C.size_t(unsafe.Sizeof(uintptr(0)))))
	for i, s := range list {
		unsafe.Slice(p, len(list))[i] = a.str(s)
	}
	return p
}

func (a *arena) values(n int) []*C.OrtValue {
	if n == 0 {
		return nil
	}
	return unsafe.Slice((**C.OrtValue)(a.alloc(C.size_t(n)*C.size_t(unsafe.Sizeof(uintptr(0))))), n)
}

func (a *arena) shape(dims []int64) *C.int64_t {
	p := (*C.int64_t)(a.alloc(C.size_t(max(len(dims), 1) * 8)))
	for i, d := range dims {
		unsafe.Slice(p, len(dims))[i] = C.int64_t(d)
	}
	return p
}

func (a *arena) free() {
	for _, p := range a.blocks {
		C.free(p)
	}
	a.blocks = nil
}

#include "glue.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>

#include "_cgo_export.h"

#if defined(_MSC_VER)
#define NW_THREAD __declspec(thread)
#else
#define NW_THREAD __thread
#endif

// The hook of the run that this thread is in. A session in sequential mode
// calls its kernels on the thread that called Run, so this is how a kernel,
// which belongs to a session, finds the run it serves.
static NW_THREAD uintptr_t nw_hook;
static NW_THREAD int nw_running;

#define TRY(call)            \
  do {                       \
    OrtStatus* s_ = (call);  \
    if (s_ != NULL) return s_; \
  } while (0)

const char* nw_version(const OrtApiBase* base) { return base->GetVersionString(); }
const OrtApi* nw_get_api(const OrtApiBase* base, uint32_t version) { return base->GetApi(version); }

// The tap operator. A kernel's state is its tap's number.

typedef struct nw_kernel {
  const OrtApi* api;
  int64_t tap;
} nw_kernel;

static const char* ORT_API_CALL tap_name(const OrtCustomOp* op) { return "Tap"; }
static const char* ORT_API_CALL tap_provider(const OrtCustomOp* op) { return NULL; }
static ONNXTensorElementDataType ORT_API_CALL tap_type(const OrtCustomOp* op, size_t i) {
  return ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT;
}
static size_t ORT_API_CALL tap_one(const OrtCustomOp* op) { return 1; }
static size_t ORT_API_CALL tap_two(const OrtCustomOp* op) { return 2; }
static OrtCustomOpInputOutputCharacteristic ORT_API_CALL tap_characteristic(const OrtCustomOp* op, size_t i) {
  return i == 0 ? INPUT_OUTPUT_REQUIRED : INPUT_OUTPUT_OPTIONAL;
}
static OrtMemType ORT_API_CALL tap_memory(const OrtCustomOp* op, size_t i) { return OrtMemTypeDefault; }
static int ORT_API_CALL tap_arity(const OrtCustomOp* op) { return 1; }
static int ORT_API_CALL tap_first_version(const OrtCustomOp* op) { return 1; }
static int ORT_API_CALL tap_last_version(const OrtCustomOp* op) { return 1 << 20; }

static OrtStatus* ORT_API_CALL tap_create(const OrtCustomOp* op, const OrtApi* api, const OrtKernelInfo* info,
                                          void** out) {
  nw_kernel* k = (nw_kernel*)malloc(sizeof(nw_kernel));
  if (k == NULL) return api->CreateStatus(ORT_FAIL, "out of memory");
  k->api = api;
  OrtStatus* s = api->KernelInfoGetAttribute_int64(info, "tap", &k->tap);
  if (s != NULL) {
    free(k);
    return s;
  }
  *out = k;
  return NULL;
}

// Not every ONNX Runtime prefers the V2 functions; those that do not cannot
// be told of a failure here.
static void* ORT_API_CALL tap_create_v1(const OrtCustomOp* op, const OrtApi* api, const OrtKernelInfo* info) {
  void* k = NULL;
  OrtStatus* s = tap_create(op, api, info, &k);
  if (s != NULL) api->ReleaseStatus(s);
  return k;
}

static void ORT_API_CALL tap_destroy(void* kernel) { free(kernel); }

// What a tensor holds, for narrowTap.
typedef struct nw_view {
  int64_t shape[64];
  size_t rank, count;
  void* data;
} nw_view;

static OrtStatus* view_info(const OrtApi* api, const OrtTensorTypeAndShapeInfo* info, nw_view* v) {
  TRY(api->GetDimensionsCount(info, &v->rank));
  if (v->rank > 64) return api->CreateStatus(ORT_INVALID_ARGUMENT, "a tap takes at most 64 dimensions");
  TRY(api->GetDimensions(info, v->shape, v->rank));
  return api->GetTensorShapeElementCount(info, &v->count);
}

static OrtStatus* view(const OrtApi* api, const OrtValue* value, nw_view* v) {
  OrtTensorTypeAndShapeInfo* info = NULL;
  TRY(api->GetTensorTypeAndShape(value, &info));
  OrtStatus* s = view_info(api, info, v);
  api->ReleaseTensorTypeAndShapeInfo(info);
  if (s != NULL) return s;
  return api->GetTensorMutableData((OrtValue*)value, &v->data);
}

// Calls the hook for one tensor; dst is NULL for a tap's second input.
static OrtStatus* call_hook(nw_kernel* k, nw_view* v, void* dst) {
  if (narrowTap(nw_hook, k->tap, (float*)dst, (float*)v->data, v->count, v->shape, v->rank) == 0) return NULL;
  return k->api->CreateStatus(ORT_FAIL, "the tap's hook failed");
}

static OrtStatus* ORT_API_CALL tap_compute(void* kernel, OrtKernelContext* ctx) {
  nw_kernel* k = (nw_kernel*)kernel;
  const OrtValue *in = NULL, *side = NULL;
  OrtValue* out = NULL;
  nw_view own, second;
  void* dst = NULL;
  size_t inputs = 0;
  TRY(k->api->KernelContext_GetInput(ctx, 0, &in));
  TRY(view(k->api, in, &own));
  TRY(k->api->KernelContext_GetOutput(ctx, 0, own.shape, own.rank, &out));
  TRY(k->api->GetTensorMutableData(out, &dst));
  if (!nw_running) return k->api->CreateStatus(ORT_FAIL, "a tap was run outside of its run's thread");
  if (nw_hook == 0) {
    if (dst != own.data && own.count > 0) memcpy(dst, own.data, own.count * sizeof(float));
    return NULL;
  }
  TRY(k->api->KernelContext_GetInputCount(ctx, &inputs));
  if (inputs > 1) TRY(k->api->KernelContext_GetInput(ctx, 1, &side));
  if (side != NULL) {
    TRY(view(k->api, side, &second));
    TRY(call_hook(k, &second, NULL));
  }
  return call_hook(k, &own, dst);
}

static void ORT_API_CALL tap_compute_v1(void* kernel, OrtKernelContext* ctx) {
  OrtStatus* s = tap_compute(kernel, ctx);
  if (s != NULL) ((nw_kernel*)kernel)->api->ReleaseStatus(s);
}

// Output 0 may reuse input 0, when nobody else reads the input.
static size_t ORT_API_CALL tap_in_place(int** input, int** output) {
  *input = (int*)calloc(1, sizeof(int));
  *output = (int*)calloc(1, sizeof(int));
  return *input != NULL && *output != NULL ? 1 : 0;
}
static void ORT_API_CALL tap_in_place_free(int* input, int* output) {
  free(input);
  free(output);
}
static size_t ORT_API_CALL tap_alias(int** input, int** output) {
  *input = NULL;
  *output = NULL;
  return 0;
}
static void ORT_API_CALL tap_alias_free(int* input, int* output) {}

// The output has the shape of the input. An unknown shape arrives as that of a
// scalar, so nothing is said of either.
static OrtStatus* tap_infer(const OrtApi* api, OrtShapeInferContext* ctx) {
  enum { MAX_RANK = 16 };
  static atomic_ulong fresh;
  OrtTensorTypeAndShapeInfo* info = NULL;
  size_t rank = 0;
  int64_t dims[MAX_RANK];
  const char* names[MAX_RANK];
  char own[MAX_RANK][32];
  TRY(api->ShapeInferContext_GetInputTypeShape(ctx, 0, &info));
  TRY(api->GetDimensionsCount(info, &rank));
  if (rank == 0 || rank > MAX_RANK) return NULL;
  // An open dimension without a name would come out as the size -1: it gets a
  // name that no other dimension has.
  TRY(api->GetDimensions(info, dims, rank));
  TRY(api->GetSymbolicDimensions(info, names, rank));
  for (size_t i = 0; i < rank; i++) {
    if (dims[i] < 0 && (names[i] == NULL || names[i][0] == 0)) {
      snprintf(own[i], sizeof own[i], "narrow_tap_%lu", atomic_fetch_add(&fresh, 1));
      names[i] = own[i];
    }
  }
  TRY(api->SetSymbolicDimensions(info, names, rank));
  return api->ShapeInferContext_SetOutputTypeShape(ctx, 0, info);
}

static OrtStatus* ORT_API_CALL tap_shape(const OrtCustomOp* op, OrtShapeInferContext* ctx) {
  const nw_env* e = (const nw_env*)((const char*)op - offsetof(nw_env, tap));
  return tap_infer(e->api, ctx);
}

static void ORT_API_CALL nw_silent(void* param, OrtLoggingLevel severity, const char* category, const char* logid,
                                   const char* location, const char* message) {}

OrtStatus* nw_env_open(nw_env* e, uint32_t version) {
  OrtCustomOp* t = &e->tap;
  t->version = version;
  t->CreateKernel = tap_create_v1;
  t->GetName = tap_name;
  t->GetExecutionProviderType = tap_provider;
  t->GetInputType = tap_type;
  t->GetInputTypeCount = tap_two;
  t->GetOutputType = tap_type;
  t->GetOutputTypeCount = tap_one;
  t->KernelCompute = tap_compute_v1;
  t->KernelDestroy = tap_destroy;
  t->GetInputCharacteristic = tap_characteristic;
  t->GetOutputCharacteristic = tap_characteristic;
  t->GetInputMemoryType = tap_memory;
  t->GetVariadicInputMinArity = tap_arity;
  t->GetVariadicInputHomogeneity = tap_arity;
  t->GetVariadicOutputMinArity = tap_arity;
  t->GetVariadicOutputHomogeneity = tap_arity;
  t->CreateKernelV2 = tap_create;
  t->KernelComputeV2 = tap_compute;
  t->InferOutputShapeFn = tap_shape;
  t->GetStartVersion = tap_first_version;
  t->GetEndVersion = tap_last_version;
  t->GetMayInplace = tap_in_place;
  t->ReleaseMayInplace = tap_in_place_free;
  t->GetAliasMap = tap_alias;
  t->ReleaseAliasMap = tap_alias_free;

  // What goes wrong comes back as a status; ONNX Runtime's own log would say
  // it a second time, on the terminal.
  TRY(e->api->CreateEnvWithCustomLogger(nw_silent, NULL, ORT_LOGGING_LEVEL_FATAL, "narrow", &e->env));
  TRY(e->api->DisableTelemetryEvents(e->env));
  TRY(e->api->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &e->cpu));
  TRY(e->api->GetAllocatorWithDefaultOptions(&e->alloc));
  TRY(e->api->CreateCustomOpDomain("narrow", &e->domain));
  return e->api->CustomOpDomain_Add(e->domain, &e->tap);
}

static OrtStatus* set_options(nw_env* e, OrtSessionOptions* o, const nw_config* c) {
  TRY(e->api->SetSessionExecutionMode(o, ORT_SEQUENTIAL));
  // A pattern of the first run's allocations would have the second allocate all
  // of them anew as one block, beside what the arena has: up to twice the memory.
  TRY(e->api->DisableMemPattern(o));
  TRY(e->api->SetIntraOpNumThreads(o, c->threads));
  TRY(e->api->SetInterOpNumThreads(o, 1));
  TRY(e->api->SetSessionGraphOptimizationLevel(o, (GraphOptimizationLevel)c->level));
  TRY(e->api->SetSessionLogSeverityLevel(o, ORT_LOGGING_LEVEL_FATAL));
  TRY(e->api->AddCustomOpDomain(o, e->domain));
  for (size_t i = 0; i < c->n; i++) TRY(e->api->AddSessionConfigEntry(o, c->keys[i], c->values[i]));
  if (c->ninit > 0)
    TRY(e->api->AddExternalInitializers(o, c->init_names, (const OrtValue* const*)c->inits, c->ninit));
  return NULL;
}

OrtStatus* nw_set_optimized(nw_env* e, OrtSessionOptions* o, const char* path);

OrtStatus* nw_session_new(nw_env* e, const nw_config* c, const void* model, size_t size, OrtSession** out) {
  OrtSessionOptions* o = NULL;
  TRY(e->api->CreateSessionOptions(&o));
  OrtStatus* s = set_options(e, o, c);
  if (s == NULL && c->optimized != NULL) s = nw_set_optimized(e, o, c->optimized);
  if (s == NULL) s = e->api->CreateSessionFromArray(e->env, model, size, o, out);
  e->api->ReleaseSessionOptions(o);
  return s;
}

OrtStatus* nw_session_count(nw_env* e, OrtSession* s, int output, size_t* n) {
  return output ? e->api->SessionGetOutputCount(s, n) : e->api->SessionGetInputCount(s, n);
}

OrtStatus* nw_session_port(nw_env* e, OrtSession* s, int output, size_t i, char** name, int* type) {
  OrtTypeInfo* t = NULL;
  TRY(output ? e->api->SessionGetOutputTypeInfo(s, i, &t) : e->api->SessionGetInputTypeInfo(s, i, &t));
  const OrtTensorTypeAndShapeInfo* info = NULL;
  *type = -1;
  OrtStatus* st = e->api->CastTypeInfoToTensorInfo(t, &info);
  if (st == NULL && info != NULL) {
    ONNXTensorElementDataType et;
    st = e->api->GetTensorElementType(info, &et);
    *type = (int)et;
  }
  e->api->ReleaseTypeInfo(t);
  if (st != NULL) return st;
  char* n = NULL;
  TRY(output ? e->api->SessionGetOutputName(s, i, e->alloc, &n) : e->api->SessionGetInputName(s, i, e->alloc, &n));
  size_t len = strlen(n) + 1;
  *name = (char*)malloc(len);
  if (*name != NULL) memcpy(*name, n, len);
  return e->api->AllocatorFree(e->alloc, n);
}

OrtStatus* nw_run(nw_env* e, OrtSession* s, OrtRunOptions* opts, const char* const* in_names,
                  const OrtValue* const* in, size_t nin, const char* const* out_names, size_t nout, OrtValue** out,
                  uintptr_t hook) {
  // A hook may itself run another session on this thread.
  uintptr_t outer_hook = nw_hook;
  int outer_running = nw_running;
  nw_hook = hook;
  nw_running = 1;
  OrtStatus* st = e->api->Run(s, opts, in_names, in, nin, out_names, nout, out);
  nw_hook = outer_hook;
  nw_running = outer_running;
  return st;
}

OrtStatus* nw_run_options(nw_env* e, OrtRunOptions** out) { return e->api->CreateRunOptions(out); }
OrtStatus* nw_terminate(nw_env* e, OrtRunOptions* opts) { return e->api->RunOptionsSetTerminate(opts); }

OrtStatus* nw_tensor(nw_env* e, void* data, size_t bytes, const int64_t* shape, size_t rank, int type,
                     OrtValue** out) {
  return e->api->CreateTensorWithDataAsOrtValue(e->cpu, data, bytes, shape, rank, (ONNXTensorElementDataType)type,
                                                out);
}

OrtStatus* nw_string_tensor(nw_env* e, const char* const* s, size_t n, const int64_t* shape, size_t rank,
                            OrtValue** out) {
  TRY(e->api->CreateTensorAsOrtValue(e->alloc, shape, rank, ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING, out));
  OrtStatus* st = e->api->FillStringTensor(*out, s, n);
  if (st != NULL) {
    e->api->ReleaseValue(*out);
    *out = NULL;
  }
  return st;
}

static OrtStatus* fill_info(nw_env* e, OrtTensorTypeAndShapeInfo* info, nw_info* out) {
  ONNXTensorElementDataType t;
  TRY(e->api->GetTensorElementType(info, &t));
  out->type = (int)t;
  TRY(e->api->GetDimensionsCount(info, &out->rank));
  if (out->rank > 64) return e->api->CreateStatus(ORT_INVALID_ARGUMENT, "more than 64 dimensions");
  TRY(e->api->GetDimensions(info, out->shape, out->rank));
  return e->api->GetTensorShapeElementCount(info, &out->count);
}

OrtStatus* nw_value_info(nw_env* e, OrtValue* v, nw_info* out) {
  memset(out, 0, sizeof *out);
  TRY(e->api->IsTensor(v, &out->is_tensor));
  if (!out->is_tensor) return NULL;
  OrtTensorTypeAndShapeInfo* info = NULL;
  TRY(e->api->GetTensorTypeAndShape(v, &info));
  OrtStatus* s = fill_info(e, info, out);
  e->api->ReleaseTensorTypeAndShapeInfo(info);
  if (s != NULL) return s;
  if (out->type == ONNX_TENSOR_ELEMENT_DATA_TYPE_STRING) return NULL;
  return e->api->GetTensorMutableData(v, &out->data);
}

OrtStatus* nw_string_at(nw_env* e, OrtValue* v, size_t i, char** out, size_t* n) {
  TRY(e->api->GetStringTensorElementLength(v, i, n));
  *out = (char*)malloc(*n + 1);
  if (*out == NULL) return e->api->CreateStatus(ORT_FAIL, "out of memory");
  OrtStatus* s = e->api->GetStringTensorElement(v, *n, i, *out);
  if (s != NULL) {
    free(*out);
    *out = NULL;
  }
  return s;
}

const char* nw_message(nw_env* e, OrtStatus* s) { return e->api->GetErrorMessage(s); }
int nw_code(nw_env* e, OrtStatus* s) { return (int)e->api->GetErrorCode(s); }

void nw_release_status(nw_env* e, OrtStatus* s) { e->api->ReleaseStatus(s); }
void nw_release_value(nw_env* e, OrtValue* v) { e->api->ReleaseValue(v); }
void nw_release_session(nw_env* e, OrtSession* s) {
  e->api->ReleaseSession(s);
  nw_trim();
}
void nw_release_run_options(nw_env* e, OrtRunOptions* o) { e->api->ReleaseRunOptions(o); }

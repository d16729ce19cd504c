// What Go cannot say: calls through OrtApi's function pointers, and the
// operator whose kernel calls back into Go.
#ifndef NARROW_ORT_GLUE_H
#define NARROW_ORT_GLUE_H

#include "onnxruntime_c_api.h"

// Load the shared library; the error text is to be freed.
const OrtApiBase* nw_load(const char* path, char** err);

const char* nw_version(const OrtApiBase* base);
const OrtApi* nw_get_api(const OrtApiBase* base, uint32_t version);

// One environment with its tap operator.
typedef struct nw_env {
  const OrtApi* api;
  OrtEnv* env;
  OrtMemoryInfo* cpu;
  OrtAllocator* alloc;  // ONNX Runtime's default one, not owned
  OrtCustomOpDomain* domain;
  OrtCustomOp tap;
} nw_env;

OrtStatus* nw_env_open(nw_env* e, uint32_t version);

typedef struct nw_config {
  int threads;            // of one run
  int level;              // GraphOptimizationLevel
  const char* optimized;  // file to leave the optimized model in, or NULL
  size_t n;               // session config entries
  const char* const* keys;
  const char* const* values;
  size_t ninit;  // initializers that stand in for the model's external data
  const char* const* init_names;
  OrtValue* const* inits;
} nw_config;

OrtStatus* nw_session_new(nw_env* e, const nw_config* c, const void* model, size_t size, OrtSession** out);

// Describes input or output i: name is to be freed with nw_free, type is -1
// for what is not a tensor.
OrtStatus* nw_session_port(nw_env* e, OrtSession* s, int output, size_t i, char** name, int* type);
OrtStatus* nw_session_count(nw_env* e, OrtSession* s, int output, size_t* n);

// Runs with hook reachable from the taps; 0 lets values pass.
OrtStatus* nw_run(nw_env* e, OrtSession* s, OrtRunOptions* opts, const char* const* in_names,
                  const OrtValue* const* in, size_t nin, const char* const* out_names, size_t nout, OrtValue** out,
                  uintptr_t hook);

OrtStatus* nw_run_options(nw_env* e, OrtRunOptions** out);
OrtStatus* nw_terminate(nw_env* e, OrtRunOptions* opts);

OrtStatus* nw_tensor(nw_env* e, void* data, size_t bytes, const int64_t* shape, size_t rank, int type, OrtValue** out);
OrtStatus* nw_string_tensor(nw_env* e, const char* const* s, size_t n, const int64_t* shape, size_t rank,
                            OrtValue** out);

typedef struct nw_info {
  int is_tensor;
  int type;
  size_t rank, count;
  int64_t shape[64];
  void* data;  // NULL for strings
} nw_info;

OrtStatus* nw_value_info(nw_env* e, OrtValue* v, nw_info* out);
OrtStatus* nw_string_at(nw_env* e, OrtValue* v, size_t i, char** out, size_t* n);

const char* nw_message(nw_env* e, OrtStatus* s);
int nw_code(nw_env* e, OrtStatus* s);

void nw_release_status(nw_env* e, OrtStatus* s);
void nw_release_value(nw_env* e, OrtValue* v);
void nw_release_session(nw_env* e, OrtSession* s);
// nw_trim gives freed memory back to the system, where there is much of it.
void nw_trim(void);
void nw_release_run_options(nw_env* e, OrtRunOptions* o);

#endif

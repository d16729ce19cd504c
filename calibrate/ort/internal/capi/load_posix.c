//go:build !windows

#include <dlfcn.h>

#include "glue.h"

static const OrtApiBase* fail(char** err) {
  const char* text = dlerror();
  *err = strdup(text != NULL ? text : "no reason given");
  return NULL;
}

const OrtApiBase* nw_load(const char* path, char** err) {
  // Never closed again: the library's threads and static data outlive a session.
  void* lib = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (lib == NULL) return fail(err);
  const OrtApiBase* (*get)(void) = (const OrtApiBase* (*)(void))dlsym(lib, "OrtGetApiBase");
  if (get == NULL) return fail(err);
  return get();
}

OrtStatus* nw_set_optimized(nw_env* e, OrtSessionOptions* o, const char* path) {
  return e->api->SetOptimizedModelFilePath(o, path);
}

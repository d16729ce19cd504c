//go:build !windows

#include <dlfcn.h>
#include <stdlib.h>

#include "glue.h"

static const OrtApiBase* fail(char** err) {
  const char* text = dlerror();
  *err = strdup(text != NULL ? text : "no reason given");
  return NULL;
}

const OrtApiBase* nw_load(const char* path, char** err) {
  // From 1.30 on the library sends telemetry home, and leaves a device id and a
  // database in the user's cache, from the moment its environment is made:
  // DisableTelemetryEvents comes too late. Whoever wants it sets the variable.
  setenv("ORT_DISABLE_TELEMETRY", "1", 0);
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

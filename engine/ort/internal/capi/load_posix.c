//go:build !windows

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dlfcn.h>
#include <stdlib.h>
#if defined(__GLIBC__)
#include <malloc.h>
#endif

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

#if defined(__GLIBC__)
// What mallinfo2 of glibc 2.33 returns.
typedef struct nw_mallinfo {
  size_t arena, ordblks, smblks, hblks, hblkhd, usmblks, fsmblks, uordblks, fordblks, keepcost;
} nw_mallinfo;

// From how many free bytes on giving them back pays: it takes some milliseconds, and
// what comes next may need them.
#define NW_TRIM ((size_t)16 << 20)
#endif

void nw_trim(void) {
#if defined(__GLIBC__)
  // glibc keeps what was freed, tens of megabytes for one network, and cannot
  // always use it for the next. An older one does not tell how much that is.
  nw_mallinfo (*info)(void) = (nw_mallinfo(*)(void))dlsym(RTLD_DEFAULT, "mallinfo2");
  if (info == NULL || info().fordblks >= NW_TRIM) malloc_trim(0);
#endif
}

OrtStatus* nw_set_optimized(nw_env* e, OrtSessionOptions* o, const char* path) {
  return e->api->SetOptimizedModelFilePath(o, path);
}

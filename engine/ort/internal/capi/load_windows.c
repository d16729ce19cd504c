#include <stdio.h>
#include <windows.h>

#include "glue.h"

static wchar_t* wide(const char* s) {
  int n = MultiByteToWideChar(CP_UTF8, 0, s, -1, NULL, 0);
  wchar_t* w = (wchar_t*)malloc((size_t)(n > 0 ? n : 1) * sizeof(wchar_t));
  if (w == NULL) return NULL;
  if (n <= 0 || MultiByteToWideChar(CP_UTF8, 0, s, -1, w, n) <= 0) w[0] = 0;
  return w;
}

static const OrtApiBase* fail(char** err) {
  *err = (char*)malloc(64);
  if (*err != NULL) snprintf(*err, 64, "Windows error %lu", GetLastError());
  return NULL;
}

const OrtApiBase* nw_load(const char* path, char** err) {
  wchar_t* w = wide(path);
  if (w == NULL) return fail(err);
  // See load_posix.c.
  if (GetEnvironmentVariableW(L"ORT_DISABLE_TELEMETRY", NULL, 0) == 0) SetEnvironmentVariableW(L"ORT_DISABLE_TELEMETRY", L"1");
  HMODULE lib = LoadLibraryW(w);
  free(w);
  if (lib == NULL) return fail(err);
  const OrtApiBase*(ORT_API_CALL * get)(void) = (const OrtApiBase*(ORT_API_CALL*)(void))(void*)GetProcAddress(lib, "OrtGetApiBase");
  if (get == NULL) return fail(err);
  return get();
}

void nw_trim(void) {}

OrtStatus* nw_set_optimized(nw_env* e, OrtSessionOptions* o, const char* path) {
  wchar_t* w = wide(path);
  if (w == NULL) return e->api->CreateStatus(ORT_FAIL, "out of memory");
  OrtStatus* s = e->api->SetOptimizedModelFilePath(o, w);
  free(w);
  return s;
}

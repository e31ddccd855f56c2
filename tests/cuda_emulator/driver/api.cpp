/* The driver's functions: devices, contexts, memory, streams and events. All work is done when a call returns. */
#include "api.h"

#include <chrono>
#include <cstring>
#include <dlfcn.h>
#include <map>
#include <set>
#include <vector>

static Context contexts[DEVICES] = {{0, SUCCESS}, {1, SUCCESS}};
static thread_local std::vector<Context *> current;

Context *current_context() { return current.empty() ? nullptr : current.back(); }

Result context_error() {
  Context *context = current_context();
  return context ? context->error : INVALID_CONTEXT;
}

/* Let all work again, as in a new process. */
EXPORT void emulator_revive() {
  for (Context &context : contexts) context.error = SUCCESS;
}

/* The driver and its functions. */
EXPORT Result cuInit(unsigned) { return SUCCESS; }
EXPORT Result cuDriverGetVersion(int *version) {
  *version = 99990;  /* newer than every compiler, so that none finds it too old */
  return SUCCESS;
}
EXPORT Result cuGetProcAddress_v2(const char *name, void **function, int, uint64_t, int *status) {
  static void *self = dlopen("libcuda.so.1", RTLD_NOW | RTLD_NOLOAD);
  *function = dlsym(self, (std::string(name) + "_v2").c_str());
  if (!*function) *function = dlsym(self, name);
  if (status) *status = *function ? 0 : 1;  /* CU_GET_PROC_ADDRESS_SYMBOL_NOT_FOUND */
  return *function ? SUCCESS : NOT_FOUND;
}
EXPORT Result cuGetProcAddress(const char *name, void **function, int version, uint64_t flags) {
  return cuGetProcAddress_v2(name, function, version, flags, nullptr);
}
/* Of what no page of the manual tells; NVRTC asks for one and does without it. */
EXPORT Result cuGetExportTable(const void **table, const void *) {
  *table = nullptr;
  return NOT_FOUND;
}

static const std::map<Result, const char *> NAMES = {
    {SUCCESS, "CUDA_SUCCESS"},
    {INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE"},
    {OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY"},
    {INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE"},
    {INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE"},
    {INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT"},
    {INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE"},
    {NOT_FOUND, "CUDA_ERROR_NOT_FOUND"},
    {ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS"},
    {LAUNCH_OUT_OF_RESOURCES, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES"},
    {MISALIGNED_ADDRESS, "CUDA_ERROR_MISALIGNED_ADDRESS"},
    {LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED"},
    {NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED"},
};
EXPORT Result cuGetErrorName(Result result, const char **name) {
  auto found = NAMES.find(result);
  *name = found == NAMES.end() ? nullptr : found->second;
  return *name ? SUCCESS : INVALID_VALUE;
}
EXPORT Result cuGetErrorString(Result result, const char **words) { return cuGetErrorName(result, words); }

/* Devices: as an H100 says of itself, or another GPU, as NVIDIA's tables have them. */
static const Model MODELS[] = {
    {75, 68, 1024, 64 << 10, 64 << 10},    /* RTX 2080 Ti */
    {80, 108, 2048, 164 << 10, 163 << 10}, /* A100 */
    {86, 46, 1536, 100 << 10, 99 << 10},   /* RTX 3070 */
    {89, 128, 1536, 100 << 10, 99 << 10},  /* RTX 4090 */
    {90, 132, 2048, 228 << 10, 227 << 10}, /* H100 */
    {100, 148, 2048, 228 << 10, 227 << 10}, /* B200 */
    {120, 170, 1536, 100 << 10, 99 << 10}, /* RTX 5090 */
};
const Model *model = &MODELS[4];

/* Let the devices be of a model from now on. */
EXPORT Result emulator_set_capability(int capability) {
  for (const Model &each : MODELS) {
    if (each.capability != capability) continue;
    model = &each;
    return SUCCESS;
  }
  return INVALID_VALUE;
}
EXPORT Result cuDeviceGetCount(int *count) {
  *count = DEVICES;
  return SUCCESS;
}
EXPORT Result cuDeviceGet(int *device, int index) {
  *device = index;
  return index >= 0 && index < DEVICES ? SUCCESS : INVALID_DEVICE;
}
EXPORT Result cuDeviceGetName(char *name, int size, int) {
  strncpy(name, "CPU stand-in for a GPU", size_t(size));
  return SUCCESS;
}
EXPORT Result cuDeviceGetUuid_v2(char *uuid, int device) {
  memset(uuid, device + 1, 16);
  return SUCCESS;
}
EXPORT Result cuDeviceTotalMem_v2(size_t *bytes, int) {
  *bytes = DEVICE_MEMORY;
  return SUCCESS;
}
EXPORT Result cuDeviceGetAttribute(int *value, int attribute, int) {
  const std::map<int, int> values = {
      {1, MOST_THREADS}, {2, MOST_BLOCK[0]}, {3, MOST_BLOCK[1]}, {4, MOST_BLOCK[2]},
      {5, MOST_GRID[0]}, {6, MOST_GRID[1]},  {7, MOST_GRID[2]},  {8, PLAIN_SHARED},
      {9, 65536},     /* bytes of constants */
      {10, 32},       /* lanes of a warp */
      {12, 65536},    /* registers of a block */
      {13, 1980000},  /* kHz */
      {16, model->multiprocessors},
      {39, model->threads},
      {41, 1},        /* unified addresses */
      {75, model->capability / 10}, {76, model->capability % 10},
      {81, model->shared},
      {82, 65536},    /* registers of a multiprocessor */
      {97, int(model->most_shared)},
  };
  auto found = values.find(attribute);
  *value = found == values.end() ? 0 : found->second;
  return SUCCESS;
}

/* Contexts. */
EXPORT Result cuDevicePrimaryCtxRetain(Context **context, int device) {
  *context = &contexts[device];
  return SUCCESS;
}
EXPORT Result cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }
EXPORT Result cuDevicePrimaryCtxReset_v2(int device) { return contexts[device].error; }
EXPORT Result cuDevicePrimaryCtxGetState(int, unsigned *flags, int *active) {
  *flags = 0;
  *active = 1;
  return SUCCESS;
}
EXPORT Result cuCtxGetCurrent(Context **context) {
  *context = current_context();
  return SUCCESS;
}
EXPORT Result cuCtxPushCurrent_v2(Context *context) {
  current.push_back(context);
  return SUCCESS;
}
EXPORT Result cuCtxPopCurrent_v2(Context **context) {
  if (current.empty()) return INVALID_CONTEXT;
  if (context) *context = current.back();
  current.pop_back();
  return SUCCESS;
}
EXPORT Result cuCtxSetCurrent(Context *context) {
  if (!current.empty()) current.pop_back();
  if (context) current.push_back(context);
  return SUCCESS;
}
EXPORT Result cuCtxGetDevice(int *device) {
  if (!current_context()) return INVALID_CONTEXT;
  *device = current_context()->device;
  return SUCCESS;
}
EXPORT Result cuCtxGetDevice_v2(int *device, Context *context) {
  if (!context) return cuCtxGetDevice(device);
  *device = context->device;
  return SUCCESS;
}
EXPORT Result cuCtxSynchronize() { return context_error(); }
EXPORT Result cuCtxGetId(Context *context, uint64_t *id) {
  *id = uint64_t(context ? context : current_context());
  return SUCCESS;
}
EXPORT Result cuDeviceCanAccessPeer(int *can, int, int) {
  *can = 0;
  return SUCCESS;
}

/* Memory. */
EXPORT Result cuMemGetInfo_v2(size_t *free, size_t *total) {
  if (Result dead = context_error()) return dead;
  *total = DEVICE_MEMORY;
  *free = DEVICE_MEMORY - memory_in_use(current_context()->device);
  return SUCCESS;
}
EXPORT Result cuMemAlloc_v2(uint64_t *address, size_t bytes) {
  if (Result dead = context_error()) return dead;
  if (!bytes) return INVALID_VALUE;
  Allocation *allocation = allocate(bytes, current_context()->device);
  if (!allocation) return OUT_OF_MEMORY;
  *address = allocation->start;
  return SUCCESS;
}
/* In the memory's own context: any may be current, or none. */
EXPORT Result cuMemFree_v2(uint64_t address) {
  Guard guard(driver_lock);
  const Allocation *allocation = allocation_at(address);
  if (holds(allocation, address, 1) && allocation->device != ALL_DEVICES) {
    if (Result dead = contexts[allocation->device].error) return dead;
  }
  return release(address);
}
EXPORT Result cuMemHostAlloc(void **address, size_t bytes, unsigned) {
  *address = malloc(bytes);
  return *address ? SUCCESS : OUT_OF_MEMORY;
}
EXPORT Result cuMemFreeHost(void *address) {
  free(address);
  return SUCCESS;
}
EXPORT Result cuMemHostRegister_v2(void *, size_t, unsigned) { return SUCCESS; }
EXPORT Result cuMemHostUnregister(void *) { return SUCCESS; }
EXPORT Result cuMemGetAddressRange_v2(uint64_t *start, size_t *bytes, uint64_t address) {
  Guard guard(driver_lock);
  const Allocation *allocation = allocation_at(address);
  if (!holds(allocation, address, 1)) return INVALID_VALUE;
  if (start) *start = allocation->start;
  if (bytes) *bytes = allocation->bytes;
  return SUCCESS;
}
EXPORT Result cuPointerGetAttribute(void *value, int attribute, uint64_t address) {
  Guard guard(driver_lock);
  const Allocation *allocation = allocation_at(address);
  if (!holds(allocation, address, 1)) return INVALID_VALUE;
  int device = allocation->device == ALL_DEVICES ? 0 : allocation->device;
  switch (attribute) {
    case 1: *static_cast<Context **>(value) = &contexts[device]; break;
    case 2: *static_cast<unsigned *>(value) = 2; break;  /* memory of a device */
    case 3: *static_cast<uint64_t *>(value) = address; break;
    case 9: *static_cast<int *>(value) = device; break;
    default: return NOT_SUPPORTED;
  }
  return SUCCESS;
}

static void *pointer(uint64_t address) { return reinterpret_cast<void *>(address); }

EXPORT Result cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t bytes, void *stream) {
  if (Result dead = context_error()) return dead;
  if (Result wrong = check_stream(stream)) return wrong;
  if (Result wrong = check_copy("a copy to the device", to, bytes)) return wrong;
  memcpy(pointer(to), from, bytes);
  return SUCCESS;
}
EXPORT Result cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t bytes, void *stream) {
  if (Result dead = context_error()) return dead;
  if (Result wrong = check_stream(stream)) return wrong;
  if (Result wrong = check_copy("a copy from the device", from, bytes)) return wrong;
  memcpy(to, pointer(from), bytes);
  return SUCCESS;
}
EXPORT Result cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t bytes, void *stream) {
  if (Result dead = context_error()) return dead;
  if (Result wrong = check_stream(stream)) return wrong;
  if (Result wrong = check_copy("a copy from the device", from, bytes)) return wrong;
  if (Result wrong = check_copy("a copy to the device", to, bytes)) return wrong;
  memmove(pointer(to), pointer(from), bytes);
  return SUCCESS;
}
EXPORT Result cuMemsetD8Async(uint64_t to, unsigned char value, size_t bytes, void *stream) {
  if (Result dead = context_error()) return dead;
  if (Result wrong = check_stream(stream)) return wrong;
  if (Result wrong = check_copy("a fill of the device's memory", to, bytes)) return wrong;
  memset(pointer(to), value, bytes);
  return SUCCESS;
}
EXPORT Result cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t bytes) {
  return cuMemcpyHtoDAsync_v2(to, from, bytes, nullptr);
}
EXPORT Result cuMemcpyDtoH_v2(void *to, uint64_t from, size_t bytes) {
  return cuMemcpyDtoHAsync_v2(to, from, bytes, nullptr);
}
EXPORT Result cuMemcpyDtoD_v2(uint64_t to, uint64_t from, size_t bytes) {
  return cuMemcpyDtoDAsync_v2(to, from, bytes, nullptr);
}
EXPORT Result cuMemsetD8_v2(uint64_t to, unsigned char value, size_t bytes) {
  return cuMemsetD8Async(to, value, bytes, nullptr);
}

/* Streams and events. The first three streams are the default ones. */
struct Event {
  int device;
  std::chrono::steady_clock::time_point time;
};

static std::set<void *> streams, events;

Result check_stream(void *stream) {
  Guard guard(driver_lock);
  if (reinterpret_cast<uintptr_t>(stream) <= 2 || streams.count(stream)) return SUCCESS;
  report("stream", text("work on the stream %p, which is none, or destroyed", stream));
  return INVALID_HANDLE;
}

static Result check_event(void *event) {
  Guard guard(driver_lock);
  if (events.count(event)) return current_context() ? context_error() : SUCCESS;
  report("event", text("use of the event %p, which is none, or destroyed", event));
  return INVALID_HANDLE;
}

EXPORT Result cuStreamCreateWithPriority(void **stream, unsigned, int) {
  if (Result dead = context_error()) return dead;
  Guard guard(driver_lock);
  streams.insert(*stream = new Context *(current_context()));
  return SUCCESS;
}
EXPORT Result cuStreamCreate(void **stream, unsigned flags) { return cuStreamCreateWithPriority(stream, flags, 0); }
EXPORT Result cuStreamDestroy_v2(void *stream) {
  if (Result wrong = check_stream(stream)) return wrong;
  Guard guard(driver_lock);
  streams.erase(stream);  /* its address stays taken, so that no new one has it */
  return SUCCESS;
}
EXPORT Result cuStreamSynchronize(void *stream) {
  Result wrong = check_stream(stream);
  return wrong ? wrong : context_error();
}
EXPORT Result cuStreamQuery(void *stream) { return cuStreamSynchronize(stream); }
EXPORT Result cuStreamGetCtx(void *stream, Context **context) {
  if (Result wrong = check_stream(stream)) return wrong;
  *context = reinterpret_cast<uintptr_t>(stream) <= 2 ? current_context() : *static_cast<Context **>(stream);
  return SUCCESS;
}
EXPORT Result cuStreamGetDevice(void *stream, int *device) {
  Context *context = nullptr;
  if (Result wrong = cuStreamGetCtx(stream, &context)) return wrong;
  *device = context ? context->device : 0;
  return SUCCESS;
}
EXPORT Result cuEventCreate(Event **event, unsigned) {
  if (Result dead = context_error()) return dead;
  Guard guard(driver_lock);
  events.insert(*event = new Event{current_context()->device, {}});
  return SUCCESS;
}
EXPORT Result cuEventDestroy_v2(Event *event) {
  if (Result wrong = check_event(event)) return wrong;
  Guard guard(driver_lock);
  events.erase(event);
  return SUCCESS;
}
EXPORT Result cuEventRecord(Event *event, void *stream) {
  if (Result wrong = check_stream(stream)) return wrong;
  if (Result wrong = check_event(event)) return wrong;
  if (Result dead = context_error()) return dead;
  if (event->device != current_context()->device) return INVALID_HANDLE;
  event->time = std::chrono::steady_clock::now();
  return SUCCESS;
}
EXPORT Result cuEventQuery(Event *event) { return check_event(event); }
EXPORT Result cuEventSynchronize(Event *event) { return check_event(event); }
EXPORT Result cuEventElapsedTime_v2(float *milliseconds, Event *from, Event *to) {
  if (Result wrong = check_event(from)) return wrong;
  if (Result wrong = check_event(to)) return wrong;
  *milliseconds = std::chrono::duration<float, std::milli>(to->time - from->time).count();
  return SUCCESS;
}
EXPORT Result cuStreamWaitEvent(void *stream, Event *event, unsigned) {
  if (Result wrong = check_stream(stream)) return wrong;
  return check_event(event);
}

/* Results, findings, memory and kernels of the stand-in libcuda. */
#pragma once
#include "emulator.h"
#include "races.h"

#include <cstddef>
#include <mutex>
#include <string>

#define EXPORT extern "C" __attribute__((visibility("default")))

/* The driver's results, by their names there. */
enum Result {
  SUCCESS = 0,
  INVALID_VALUE = 1,
  OUT_OF_MEMORY = 2,
  INVALID_DEVICE = 101,
  INVALID_IMAGE = 200,
  INVALID_CONTEXT = 201,
  INVALID_HANDLE = 400,
  NOT_FOUND = 500,
  ILLEGAL_ADDRESS = 700,
  LAUNCH_OUT_OF_RESOURCES = 701,
  MISALIGNED_ADDRESS = 716,
  LAUNCH_FAILED = 719,
  NOT_SUPPORTED = 801,
};

constexpr int DEVICES = 2, ALL_DEVICES = -1;
constexpr size_t DEVICE_MEMORY = size_t(8) << 30;
constexpr uint32_t MOST_THREADS = 1024, PLAIN_SHARED = 48 << 10;
constexpr uint32_t MOST_GRID[3] = {2147483647, 65535, 65535}, MOST_BLOCK[3] = {1024, 1024, 64};

/* Held while the driver works. Never while Python is called, which has a lock of its own. */
extern std::recursive_mutex driver_lock;
using Guard = std::lock_guard<std::recursive_mutex>;

/* api.cpp: what differs between GPUs. */
struct Model {
  int capability, multiprocessors, threads, shared;  /* threads and bytes of shared memory: of a multiprocessor */
  uint32_t most_shared;  /* of a block, where it is asked for */
};

extern const Model *model;  /* of all devices: an H100, or what a test has asked for */

/* findings.cpp: what is wrong with a program. Findings with the same key are one. */
void report(const std::string &key, const std::string &words);
std::string text(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* memory.cpp */
struct Allocation {
  uint64_t start, bytes;
  Word *words;
  int device;  /* ALL_DEVICES for variables */
  bool freed, constant;
};

Allocation *allocate(size_t bytes, int device);  /* filled with NaN; null if the device has no more */
Result release(uint64_t start);
void add_variable(void *start, size_t bytes, bool constant);  /* of a library, on all devices */
Allocation *allocation_at(uint64_t address);  /* the last one that begins there or before: it may end before */
std::string described(const Allocation *allocation, uint64_t address);
size_t memory_in_use(int device);
Result check_copy(const char *call, uint64_t address, size_t bytes);

inline bool holds(const Allocation *allocation, uint64_t address, size_t bytes) {
  return allocation && !allocation->freed && address >= allocation->start && bytes <= allocation->bytes &&
         address - allocation->start <= allocation->bytes - bytes;
}

/* libraries.cpp */
struct Kernel {
  const EmuKernel *code;
  const EmuLibrary *library;
  std::string name;       /* for people */
  uint32_t most_dynamic;  /* bytes of dynamic shared memory, by cuKernelSetAttribute */
};

/* launch.cpp */
struct Sizes {
  uint32_t grid[3], block[3], dynamic;
};

Result launch_kernel(const Kernel &kernel, const Sizes &sizes, void **parameters, int device);

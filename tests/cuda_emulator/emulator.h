/* What a kernel library and the stand-in libcuda know of each other.
 *
 * A kernel library is what the C compiler makes of translate.py's text for one PTX module: a shared object with one
 * symbol, `emu_library`. Its kernels run one thread at a time: `kernel->run(thread)` returns when the thread ends, and
 * calls `thread->api` for all that concerns others: memory, barriers, the warp. Each call there may switch to another
 * thread; all threads of a launch run on one thread of the host, so what lies between two calls is atomic.
 *
 * What the stand-in owes:
 * - A struct of its own that begins with EmuThread (in C++: inherits from it), zeroed, with the fields below set.
 * - Addresses: global memory has the host's addresses. Shared memory has offsets from 0: static variables first, then,
 *   from kernel->dynamic_shared on, the dynamic ones of the launch. A generic address of shared memory is
 *   thread->shared + offset.
 * - Room on the thread's stack for kernel->local bytes and 64 KiB.
 * - The library's variables are global memory too: `access` must let them pass (constants are only read).
 * - thread->parameters[i] is where the bytes of parameter i are; they live as long as the launch.
 * - `site` is the number of an instruction: library->sites[site] is its text, for reports.
 */
#pragma once
#include <stdint.h>

#define EMU_VERSION 2

enum EmuSpace { EMU_GLOBAL, EMU_SHARED };
enum EmuAccess { EMU_LOAD, EMU_STORE, EMU_ATOMIC, EMU_READ_ONLY };  /* the last: a load of what the launch never stores */
enum EmuBarrier { EMU_SYNC, EMU_ARRIVE, EMU_AND, EMU_OR, EMU_POPC };

struct EmuThread;
struct EmuKernel;

struct EmuApi {
  /* One access of `bytes` bytes (a power of two up to 16; a vector is one access), to be aligned to as many. It returns
   * only where the access may be made. */
  void (*access)(struct EmuThread *, uint64_t address, uint32_t bytes, enum EmuSpace, enum EmuAccess, int site);

  /* Barrier `id` (0 to 15) of the block, for `count` threads, 0: all. EMU_ARRIVE does not wait. The result is that of
   * the reduction of `predicate` (0 or 1) over the threads; 0 for EMU_SYNC and EMU_ARRIVE. __syncthreads is
   * (0, 0, EMU_SYNC). */
  uint32_t (*barrier)(struct EmuThread *, uint32_t id, uint32_t count, enum EmuBarrier, uint32_t predicate, int site);

  /* Wait for the lanes of `mask` (this one is among them, or it is a fault), each with its value; lanes that have ended
   * need not come. The result is the mask of those that came, and values[lane] of them is filled. __shfl_sync, votes,
   * __syncwarp and the like are all made of it. */
  uint32_t (*warp_exchange)(struct EmuThread *, uint32_t mask, uint64_t value, uint64_t values[32], int site);

  /* Let others run: this thread waits in a loop for what they do, or for a copy. A block whose threads all only yield,
   * with no copy left, never ends: a fault. */
  void (*yield)(struct EmuThread *, int site);

  /* Begin cp.async.bulk: `bytes` bytes from global `from` to shared `to`; when done,
   * emu_copied(thread->shared + mbarrier, bytes). `access` has let all of `from` pass; the stand-in looks at `to`. The
   * copy may be done at once. Done as late as can be, with NaN in `to` till then, it shows who reads too early. */
  void (*copy)(struct EmuThread *, uint64_t to, uint64_t from, uint32_t bytes, uint64_t mbarrier, int site);

  /* The kernel's own fault, in words: trap, an address outside local memory, a wrong use of an mbarrier. It does not
   * return. */
  void (*fault)(struct EmuThread *, const char *what, int site);
};

struct EmuThread {
  uint32_t tid[3], ntid[3], ctaid[3], nctaid[3];
  uint32_t lane, warp;     /* linear index in the block % 32, / 32 */
  char *shared;            /* the block's shared memory, aligned to 1024 */
  uint32_t shared_bytes;   /* static and dynamic */
  uint32_t dynamic_bytes;  /* dynamic alone, as launched */
  void **parameters;
  const struct EmuApi *api;
  const struct EmuKernel *kernel; /* this and what follows is set by the kernel */
  char *local;
  uint32_t local_bytes;
};

struct EmuParameter { uint32_t offset, bytes; };  /* offset as in the driver's buffer of parameters */

struct EmuKernel {
  const char *name;
  void (*run)(struct EmuThread *);
  uint32_t parameter_count;
  const struct EmuParameter *parameters;
  uint32_t parameter_bytes;   /* of the whole buffer */
  uint32_t static_shared;     /* bytes */
  uint32_t dynamic_shared;    /* where dynamic shared memory begins: static_shared, aligned as declared */
  uint32_t local;             /* bytes of local memory of a thread */
  uint32_t max_threads;       /* of a block, by .maxntid or .reqntid; 0: not said */
};

struct EmuVariable { const char *name; void *address; uint64_t bytes; int constant; };

struct EmuLibrary {
  uint32_t version;           /* EMU_VERSION */
  uint32_t kernel_count;
  const struct EmuKernel *kernels;
  uint32_t variable_count;
  const struct EmuVariable *variables;
  uint32_t site_count;
  const char *const *sites;
};

/* extern const struct EmuLibrary emu_library; */

/* An mbarrier is 8 bytes of shared memory: this struct. Instructions work on it between two calls of the api. */
struct EmuMbarrier {
  uint64_t phase : 1, expected : 20, pending : 20;
  int64_t bytes : 23;  /* that copies still owe */
};

static inline void emu_mbarrier_settle(struct EmuMbarrier *barrier) {
  if (barrier->pending || barrier->bytes) return;
  barrier->phase ^= 1;
  barrier->pending = barrier->expected;
}

/* The stand-in calls it when a copy is done. */
static inline void emu_copied(void *mbarrier, uint32_t bytes) {
  struct EmuMbarrier *barrier = (struct EmuMbarrier *)mbarrier;
  barrier->bytes -= bytes;
  emu_mbarrier_settle(barrier);
}

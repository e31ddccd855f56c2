/* What PTX instructions do with memory and with other threads, through the api of emulator.h. */
#pragma once
#include <stdint.h>
#include <string.h>

#include "arithmetic.h"
#include "emulator.h"

typedef struct EmuThread Thread;

/* Each returns where the bytes of an access are, once it may be made. */
static inline char *emu_at_global(Thread *thread, uint64_t address, uint32_t bytes, enum EmuAccess access, int site) {
  thread->api->access(thread, address, bytes, EMU_GLOBAL, access, site);
  return (char *)address;
}
static inline char *emu_at_shared(Thread *thread, uint64_t address, uint32_t bytes, enum EmuAccess access, int site) {
  thread->api->access(thread, address, bytes, EMU_SHARED, access, site);
  return thread->shared + address;
}
static inline int emu_within(const char *begin, uint64_t size, uint64_t address, uint64_t bytes) {
  uint64_t offset = address - (uint64_t)begin;
  return offset < size && bytes <= size - offset;
}
static inline void emu_aligned(Thread *thread, uint64_t address, uint32_t bytes, int site) {
  if (address % bytes) thread->api->fault(thread, "an address of local memory or of a parameter is not aligned", site);
}
static inline char *emu_at_local(Thread *thread, uint64_t address, uint32_t bytes, enum EmuAccess access, int site) {
  (void)access;
  if (!emu_within(thread->local, thread->local_bytes, address, bytes))
    thread->api->fault(thread, "an address outside local memory", site);
  emu_aligned(thread, address, bytes, site);
  return (char *)address;
}
/* Constants and parameters have the host's addresses too. */
static inline char *emu_at_const(Thread *thread, uint64_t address, uint32_t bytes, enum EmuAccess access, int site) {
  return emu_at_global(thread, address, bytes, access, site);
}
static inline const char *emu_parameter(const Thread *thread, uint64_t address, uint32_t bytes) {
  const struct EmuKernel *kernel = thread->kernel;
  for (uint32_t i = 0; i < kernel->parameter_count; i++) {
    const char *begin = (const char *)thread->parameters[i];
    if (emu_within(begin, kernel->parameters[i].bytes, address, bytes)) return begin;
  }
  return NULL;
}
static inline char *emu_at_param(Thread *thread, uint64_t address, uint32_t bytes, enum EmuAccess access, int site) {
  if (access != EMU_LOAD) thread->api->fault(thread, "a store to a parameter", site);
  const char *begin = emu_parameter(thread, address, bytes);
  if (!begin) thread->api->fault(thread, "an address outside the parameters", site);
  emu_aligned(thread, address - (uint64_t)begin, bytes, site);
  return (char *)address;
}
static inline int emu_in_shared(const Thread *thread, uint64_t address) {
  return emu_within(thread->shared, thread->shared_bytes, address, 1);
}
static inline int emu_in_local(const Thread *thread, uint64_t address) {
  return emu_within(thread->local, thread->local_bytes, address, 1);
}
static inline int emu_in_param(const Thread *thread, uint64_t address) {
  return emu_parameter(thread, address, 1) != NULL;
}
static inline int emu_in_global(const Thread *thread, uint64_t address) {
  return !emu_in_shared(thread, address) && !emu_in_local(thread, address) && !emu_in_param(thread, address);
}
static inline char *emu_at_generic(Thread *thread, uint64_t address, uint32_t bytes, enum EmuAccess access, int site) {
  if (emu_in_shared(thread, address))
    return emu_at_shared(thread, address - (uint64_t)thread->shared, bytes, access, site);
  if (emu_in_local(thread, address)) return emu_at_local(thread, address, bytes, access, site);
  if (emu_in_param(thread, address)) return emu_at_param(thread, address, bytes, access, site);
  return emu_at_global(thread, address, bytes, access, site);
}

/* The warp. A value of a lane that does not take part is undefined in PTX, so it is a fault here. */
static inline uint32_t emu_shuffle(Thread *thread, char mode, uint32_t value, uint32_t lane, uint32_t limits,
                                   uint32_t mask, int *inside, int site) {
  uint64_t values[32];
  uint32_t present = thread->api->warp_exchange(thread, mask, value, values, site);
  uint32_t segment = limits >> 8 & 31, own = thread->lane, last = limits & 31;
  uint32_t lowest = own & segment, highest = lowest | (last & ~segment);
  int source;
  lane &= 31;
  switch (mode) {
    case 'u': source = (int)own - (int)lane; *inside = source >= (int)highest; break;
    case 'd': source = (int)(own + lane); *inside = source <= (int)highest; break;
    case 'b': source = (int)(own ^ lane); *inside = source <= (int)highest; break;
    default: source = (int)(lowest | (lane & ~segment)); *inside = source <= (int)highest;
  }
  if (!*inside) source = (int)own;
  if (!(present >> source & 1)) thread->api->fault(thread, "a value of a lane that does not take part", site);
  return (uint32_t)values[source];
}
/* The lanes with this very value; `present` are those that take part. */
static inline uint32_t emu_match(Thread *thread, uint64_t value, uint64_t wanted, uint32_t mask, uint32_t *present,
                                 int site) {
  uint64_t values[32];
  uint32_t result = 0;
  *present = thread->api->warp_exchange(thread, mask, value, values, site);
  for (int i = 0; i < 32; i++)
    if (*present >> i & 1 && values[i] == wanted) result |= 1u << i;
  return result;
}
static inline uint32_t emu_ballot(Thread *thread, int value, uint32_t mask, uint32_t *present, int site) {
  return emu_match(thread, !!value, 1, mask, present, site);
}
#define EMU_REDUCE(name, type, expression) \
  static inline uint32_t emu_redux_##name(Thread *thread, uint32_t value, uint32_t mask, int site) { \
    uint64_t values[32]; \
    uint32_t present = thread->api->warp_exchange(thread, mask, value, values, site); \
    type a = (type)values[__builtin_ctz(present)]; \
    for (int i = __builtin_ctz(present) + 1; i < 32; i++) \
      if (present >> i & 1) { type b = (type)values[i]; a = expression; } \
    return (uint32_t)a; \
  }
EMU_REDUCE(add_u32, uint32_t, a + b)
EMU_REDUCE(add_s32, uint32_t, a + b)
EMU_REDUCE(min_u32, uint32_t, a < b ? a : b)
EMU_REDUCE(max_u32, uint32_t, a > b ? a : b)
EMU_REDUCE(min_s32, int32_t, a < b ? a : b)
EMU_REDUCE(max_s32, int32_t, a > b ? a : b)
EMU_REDUCE(and_b32, uint32_t, a & b)
EMU_REDUCE(or_b32, uint32_t, a | b)
EMU_REDUCE(xor_b32, uint32_t, a ^ b)

/* mbarriers. The state that arrive returns is the phase it was in. */
static inline struct EmuMbarrier *emu_mbarrier(Thread *thread, uint64_t address, int site) {
  struct EmuMbarrier *barrier = (struct EmuMbarrier *)emu_at_shared(thread, address, 8, EMU_ATOMIC, site);
  if (*(uint64_t *)barrier == ~0ull) thread->api->fault(thread, "an mbarrier that nobody has initialised", site);
  return barrier;
}
static inline void emu_mbarrier_invalidate(Thread *thread, uint64_t address, int site) {
  memset(emu_mbarrier(thread, address, site), 0xff, 8);
}
static inline void emu_mbarrier_init(Thread *thread, uint64_t address, uint32_t count, int site) {
  struct EmuMbarrier *barrier = (struct EmuMbarrier *)emu_at_shared(thread, address, 8, EMU_STORE, site);
  if (!count || count >> 20) thread->api->fault(thread, "an mbarrier for no or for too many arrivals", site);
  memset(barrier, 0, sizeof *barrier);
  barrier->expected = barrier->pending = count;
}
static inline void emu_mbarrier_expect(Thread *thread, uint64_t address, uint32_t bytes, int site) {
  emu_mbarrier(thread, address, site)->bytes += bytes;
}
static inline uint64_t emu_mbarrier_arrive(Thread *thread, uint64_t address, uint32_t count, uint32_t bytes, int site) {
  struct EmuMbarrier *barrier = emu_mbarrier(thread, address, site);
  uint64_t phase = barrier->phase;
  if (count > barrier->pending) thread->api->fault(thread, "more arrivals than an mbarrier has left", site);
  barrier->bytes += bytes;
  barrier->pending -= count;
  emu_mbarrier_settle(barrier);
  return phase;
}
/* True once the phase of this parity (or state) is over. Where it may block, others run first. */
static inline int emu_mbarrier_over(Thread *thread, uint64_t address, uint32_t parity, int may_block, int site) {
  if (may_block && emu_mbarrier(thread, address, site)->phase == (parity & 1)) thread->api->yield(thread, site);
  return emu_mbarrier(thread, address, site)->phase != (parity & 1);
}

/* Copies. Sizes and places of bulk copies are multiples of 16 bytes. */
static inline void emu_bulk_checks(Thread *thread, uint64_t to, uint64_t from, uint32_t bytes, int site) {
  if (bytes % 16 || to % 16 || from % 16 || !bytes)
    thread->api->fault(thread, "a bulk copy whose size or addresses are no multiples of 16", site);
}
static inline void emu_bulk_load(Thread *thread, uint64_t to, uint64_t from, uint32_t bytes, uint64_t mbarrier,
                                 int site) {
  emu_bulk_checks(thread, to, from, bytes, site);
  for (uint32_t i = 0; i < bytes; i += 16) emu_at_global(thread, from + i, 16, EMU_LOAD, site);
  emu_mbarrier(thread, mbarrier, site);
  thread->api->copy(thread, to, from, bytes, mbarrier, site);
}
static inline void emu_bulk_store(Thread *thread, uint64_t to, uint64_t from, uint32_t bytes, int site) {
  emu_bulk_checks(thread, to, from, bytes, site);
  for (uint32_t i = 0; i < bytes; i += 16)
    memcpy(emu_at_global(thread, to + i, 16, EMU_STORE, site), emu_at_shared(thread, from + i, 16, EMU_LOAD, site), 16);
}
/* cp.async: copies of a thread's own, done when it waits for their group. Who reads before that reads NaN. */
#define EMU_MOST_COPIES 512  /* of a thread at once; more are carried out early */
struct EmuCopy { char *to; const char *from; uint32_t bytes, given, group; int site; };
struct EmuCopies { uint32_t count, group; struct EmuCopy list[EMU_MOST_COPIES]; };

/* Carry out those of all groups but the latest `left` and the one that is not committed. */
static inline void emu_copies_wait(Thread *thread, struct EmuCopies *copies, uint32_t left) {
  uint32_t kept = 0;
  for (uint32_t i = 0; i < copies->count; i++) {
    struct EmuCopy *copy = &copies->list[i];
    if (copy->group + left < copies->group) {
      /* It may have been written as late as now, so whoever else uses it needs a barrier after this. */
      emu_at_shared(thread, (uint64_t)(copy->to - thread->shared), copy->bytes, EMU_STORE, copy->site);
      memset(copy->to, 0, copy->bytes);
      memcpy(copy->to, copy->from, copy->given);
    } else {
      copies->list[kept++] = *copy;
    }
  }
  copies->count = kept;
}
static inline void emu_copies_wait_all(Thread *thread, struct EmuCopies *copies) {
  copies->group++;
  emu_copies_wait(thread, copies, 0);
}
/* `given` bytes are copied and the rest of `bytes` becomes 0. */
static inline void emu_copy(Thread *thread, struct EmuCopies *copies, uint64_t to, uint64_t from, uint32_t bytes,
                            uint32_t given, int site) {
  char *place = emu_at_shared(thread, to, bytes, EMU_STORE, site);
  if (given > bytes) thread->api->fault(thread, "cp.async of more bytes than its size", site);
  const char *source = given ? emu_at_global(thread, from, bytes, EMU_LOAD, site) : place;
  if (copies->count == EMU_MOST_COPIES) emu_copies_wait_all(thread, copies);
  memset(place, 0xff, bytes);
  copies->list[copies->count++] = (struct EmuCopy){place, source, bytes, given, copies->group, site};
}

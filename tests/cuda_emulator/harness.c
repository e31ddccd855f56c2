/* The least that runs a kernel library, for the tests of the translator: blocks one by one, threads in turns. */
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>

#include "emulator.h"

enum { MOST_THREADS = 1024, STACK = 128 << 10, MOST_YIELDS = 100000 };
enum State { READY, AT_BARRIER, IN_WARP, ENDED };

struct Runner {
  struct EmuThread thread; /* the first, as the header wants it */
  ucontext_t context;
  enum State state;
  uint32_t mask, predicate, result;
  enum EmuBarrier kind;
  uint64_t value, *values;
};

static struct Runner runners[MOST_THREADS];
static char stacks[MOST_THREADS][STACK];
static ucontext_t scheduler;
static uint32_t count, running, yields;
static const struct EmuKernel *kernel;
static const uint64_t *memory; /* pairs of address and size, then 0 */
static const char *message;
static int message_site;

static void leave(struct Runner *runner, enum State state) {
  runner->state = state;
  swapcontext(&runner->context, &scheduler);
}
static void fault(struct EmuThread *thread, const char *what, int site) {
  message = what, message_site = site;
  leave((struct Runner *)thread, ENDED);
}
static void access(struct EmuThread *thread, uint64_t address, uint32_t bytes, enum EmuSpace space, enum EmuAccess kind,
                   int site) {
  int known = space == EMU_SHARED && address + bytes <= thread->shared_bytes;
  for (const uint64_t *pair = memory; *pair && space == EMU_GLOBAL; pair += 2)
    known |= address >= pair[0] && address + bytes <= pair[0] + pair[1];
  if (!known) fault(thread, "out of bounds", site);
  if (address % bytes) fault(thread, "misaligned", site);
}
static uint32_t barrier(struct EmuThread *thread, uint32_t id, uint32_t threads, enum EmuBarrier kind,
                        uint32_t predicate, int site) {
  struct Runner *runner = (struct Runner *)thread;
  if (id || threads || kind == EMU_ARRIVE) fault(thread, "the harness has one barrier", site);
  runner->kind = kind, runner->predicate = predicate;
  leave(runner, AT_BARRIER);
  return runner->result;
}
static uint32_t warp_exchange(struct EmuThread *thread, uint32_t mask, uint64_t value, uint64_t values[32], int site) {
  struct Runner *runner = (struct Runner *)thread;
  if (!(mask >> thread->lane & 1)) fault(thread, "a mask without the lane", site);
  runner->mask = mask, runner->value = value, runner->values = values;
  leave(runner, IN_WARP);
  return runner->result;
}
static void yield(struct EmuThread *thread, int site) {
  if (++yields > MOST_YIELDS) fault(thread, "threads wait for ever", site);
  leave((struct Runner *)thread, READY);
}
static void copy(struct EmuThread *thread, uint64_t to, uint64_t from, uint32_t bytes, uint64_t mbarrier, int site) {
  for (uint32_t i = 0; i < bytes; i++) thread->shared[to + i] = ((char *)from)[i];
  emu_copied(thread->shared + mbarrier, bytes);
}
static const struct EmuApi api = {access, barrier, warp_exchange, yield, copy, fault};

static void run_thread(void) {
  kernel->run(&runners[running].thread);
  leave(&runners[running], ENDED);
}
/* Let those go on whose barrier or warp is complete; return whether there are any. */
static int release(void) {
  uint32_t waiting = 0, votes = 0;
  for (uint32_t i = 0; i < count; i++) waiting += runners[i].state == AT_BARRIER, votes += runners[i].predicate;
  if (waiting == count) {
    for (uint32_t i = 0; i < count; i++) {
      struct Runner *runner = &runners[i];
      runner->result = runner->kind == EMU_AND ? votes == count : runner->kind == EMU_OR ? votes > 0 : votes;
      runner->state = READY;
    }
    return 1;
  }
  for (uint32_t i = 0; i < count; i++) {
    struct Runner *warp = &runners[i / 32 * 32];
    uint32_t lanes = count - i / 32 * 32 < 32 ? count - i / 32 * 32 : 32, mask = runners[i].mask, present = 0;
    int complete = runners[i].state == IN_WARP;
    for (uint32_t lane = 0; lane < lanes; lane++) {
      if (!(mask >> lane & 1) || warp[lane].state == ENDED) continue;
      complete &= warp[lane].state == IN_WARP && warp[lane].mask == mask;
      present |= 1u << lane;
    }
    for (uint32_t lane = 0; complete && lane < lanes; lane++) {
      if (!(present >> lane & 1)) continue;
      for (uint32_t other = 0; other < 32; other++)
        warp[lane].values[other] = present >> other & 1 ? warp[other].value : 1;
      warp[lane].result = present, warp[lane].state = READY;
    }
    if (complete) return 1;
  }
  return 0;
}
/* Run blocks of threads; return the fault and its site, or null. */
__attribute__((visibility("default"))) const char *run(const struct EmuKernel *which, uint32_t blocks, uint32_t threads,
                                                       void **parameters, const uint64_t *known, uint32_t dynamic,
                                                       int *site) {
  kernel = which, memory = known, count = threads, message = NULL, yields = 0;
  uint32_t shared_bytes = which->dynamic_shared + dynamic;
  char *shared = aligned_alloc(1024, (shared_bytes + 1024) / 1024 * 1024);
  memset(shared, 0xff, shared_bytes);
  for (uint32_t block = 0; block < blocks && !message; block++) {
    for (running = 0; running < count; running++) {
      struct EmuThread thread = {{running}, {threads, 1, 1}, {block}, {blocks, 1, 1}, running % 32, running / 32};
      thread.shared = shared, thread.shared_bytes = shared_bytes, thread.dynamic_bytes = dynamic;
      thread.parameters = parameters, thread.api = &api;
      runners[running] = (struct Runner){thread};
      ucontext_t *context = &runners[running].context;
      getcontext(context);
      context->uc_stack.ss_sp = stacks[running], context->uc_stack.ss_size = STACK;
      makecontext(context, run_thread, 0);
    }
    int ended = 0, ready = 1;
    while (!message && (ready || release())) {
      ready = 0;
      for (running = 0; running < count && !message; running++) {
        if (runners[running].state != READY) continue;
        swapcontext(&scheduler, &runners[running].context);
        ready |= runners[running].state == READY, ended += runners[running].state == ENDED;
      }
    }
    if (ended < count && !message) message = "threads wait for ever";
  }
  free(shared);
  *site = message_site;
  return message;
}

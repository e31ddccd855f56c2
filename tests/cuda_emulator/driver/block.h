/* One block of threads that runs: its threads, and the launch that it belongs to. */
#pragma once
#include "coroutine.h"
#include "driver.h"

enum State { READY, YIELDED, WAITS, ENDED };

struct Thread : EmuThread {
  Coroutine coroutine;
  State state;
  uint32_t result;   /* of the barrier that it has passed, or the lanes that came to an exchange */
  uint64_t *values;  /* what its warp exchanges, to be filled */
};

struct Launch {
  const Kernel *kernel;
  int device;
  Result result;  /* what has stopped it, or SUCCESS */
  Word *shared;   /* what is known of the block's shared memory */
};

extern Launch launch;  /* the one that runs */

/* block.cpp */
extern const EmuApi api;
void run_block(Thread *threads, uint32_t count, bool backwards);

/* access.cpp */
void access(EmuThread *thread, uint64_t address, uint32_t bytes, EmuSpace space, EmuAccess kind, int site);
bool is_site(int site, const char *opcode);  /* whether the instruction begins so */
void report_at(const EmuThread *thread, const std::string &words, int site);
[[noreturn]] void stop(EmuThread *thread, Result result, const std::string &words, int site);

/* What each access of a kernel must keep: bounds, alignment, order. And how a launch says what is wrong. */
#include "block.h"

#include <cstring>

Launch launch;

static const char *site_text(int site) {
  const EmuLibrary *library = launch.kernel->library;
  return site >= 0 && uint32_t(site) < library->site_count ? library->sites[site] : "an unknown place";
}

bool is_site(int site, const char *opcode) { return strstr(site_text(site), opcode); }

void report_at(const EmuThread *thread, const std::string &words, int site) {
  const uint32_t *b = thread->ctaid, *t = thread->tid;
  std::string where = text("block (%u, %u, %u), thread (%u, %u, %u)", b[0], b[1], b[2], t[0], t[1], t[2]);
  const char *kernel = launch.kernel->name.c_str();
  report(text("%s %d ", kernel, site) + words.substr(0, 12),
         text("%s: %s, in %s at %s", kernel, words.c_str(), where.c_str(), site_text(site)));
}

void stop(EmuThread *thread, Result result, const std::string &words, int site) {
  report_at(thread, words, site);
  launch.result = result;
  leave(static_cast<Thread *>(thread)->coroutine);
  __builtin_unreachable();  /* as no thread is entered after a result */
}

static const char *const NAMES[] = {"load", "store", "atomic access", "load"};

/* Out of line: most accesses are right, and should be quick. */
#define COLD __attribute__((noinline, cold))

[[noreturn]] COLD static void refuse_misaligned(EmuThread *thread, uint64_t address, uint32_t bytes, EmuAccess kind,
                                                int site) {
  stop(thread, MISALIGNED_ADDRESS, text("misaligned: %s of %u bytes at %#lx", NAMES[kind], bytes, address), site);
}

[[noreturn]] COLD static void refuse_shared(EmuThread *thread, uint64_t offset, uint32_t bytes, EmuAccess kind,
                                            int site) {
  stop(thread, ILLEGAL_ADDRESS, text("out of bounds: %s of %u bytes at byte %ld of shared memory of %u", NAMES[kind],
                                     bytes, long(offset), thread->shared_bytes), site);
}

[[noreturn]] COLD static void refuse_global(EmuThread *thread, uint64_t address, uint32_t bytes, EmuAccess kind,
                                            int site) {
  const Allocation *allocation = allocation_at(address);
  const char *what = allocation && allocation->freed ? "use after free" : "out of bounds";
  if (holds(allocation, address, bytes)) what = allocation->constant ? "constant memory" : "memory of another device";
  stop(thread, ILLEGAL_ADDRESS, text("%s: %s of %u bytes in global memory, %s", what, NAMES[kind], bytes,
                                     described(allocation, address).c_str()), site);
}

COLD static void report_race(EmuThread *thread, const char *race, EmuSpace space, int site) {
  report_at(thread, text("race in %s memory, %s", space == EMU_SHARED ? "shared" : "global", race), site);
}

static inline bool may_use(const Allocation *allocation, uint64_t address, uint32_t bytes, EmuAccess kind) {
  if (!holds(allocation, address, bytes) || (allocation->constant && kind != EMU_LOAD && kind != EMU_READ_ONLY)) return false;
  return allocation->device == launch.device || allocation->device == ALL_DEVICES;
}

void access(EmuThread *thread, uint64_t address, uint32_t bytes, EmuSpace space, EmuAccess kind, int site) {
  static const Allocation *latest;  /* most accesses are where the one before was */
  if (address & (bytes - 1)) refuse_misaligned(thread, address, bytes, kind, site);
  Word *words = launch.shared;
  uint32_t oldest = now.block;
  if (space == EMU_SHARED) {
    if (address >= thread->shared_bytes || bytes > thread->shared_bytes - address) {
      refuse_shared(thread, address, bytes, kind, site);
    }
    if (kind == EMU_ATOMIC && is_site(site, "mbarrier")) now.epoch++;  /* it orders: who waits sees what arrived */
  } else {
    if (!may_use(latest, address, bytes, kind)) {
      latest = allocation_at(address);
      if (!may_use(latest, address, bytes, kind)) refuse_global(thread, address, bytes, kind, site);
    }
    words = latest->words;
    address -= latest->start;
    oldest = now.launch;
  }
  uint32_t parts = bytes < 4 ? ((1u << bytes) - 1) << (address % 4 + BYTES_SHIFT) : BYTES;
  const char *race = nullptr;
  for (Word *word = &words[address / 4], *end = word + (bytes + 3) / 4; word < end; word++) {
    if (kind == EMU_READ_ONLY && word->store.epoch >= now.launch && word->store.tag & parts) {
      report_at(thread, "read-only cache, a load of what this launch has stored", site);
    }
    if (const char *found = note_use(*word, parts, oldest, kind)) race = found;
  }
  if (race) report_race(thread, race, space, site);
}

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

static const char *const NAMES[] = {"load", "store", "atomic access"};

/* Compare with what other threads have done to these words. */
static void check_order(EmuThread *thread, Word *words, uint64_t offset, uint32_t bytes, EmuSpace space, EmuAccess kind,
                        int site) {
  uint32_t oldest = space == EMU_SHARED ? launch.block_epoch : launch.oldest;
  Now now{oldest, launch.block_epoch, epoch, thread->warp * 32 + thread->lane, turn_of(thread->warp)};
  const char *race = nullptr;
  if (bytes < 4) {
    race = note_use(words[offset / 4], now, ((1u << bytes) - 1) << offset % 4, kind);
  } else {
    for (uint64_t word = offset / 4; word < (offset + bytes) / 4; word++) {
      if (const char *found = note_use(words[word], now, 15, kind)) race = found;
    }
  }
  if (race) report_at(thread, text("race in %s memory, %s", space == EMU_SHARED ? "shared" : "global", race), site);
}

static void access_shared(EmuThread *thread, uint64_t offset, uint32_t bytes, EmuAccess kind, int site) {
  if (offset > thread->shared_bytes || bytes > thread->shared_bytes - offset) {
    stop(thread, ILLEGAL_ADDRESS, text("out of bounds: %s of %u bytes at byte %ld of shared memory of %u", NAMES[kind], bytes,
                                       long(offset), thread->shared_bytes), site);
  }
  check_order(thread, launch.shared, offset, bytes, EMU_SHARED, kind, site);
}

static void access_global(EmuThread *thread, uint64_t address, uint32_t bytes, EmuAccess kind, int site) {
  static const Allocation *latest;  /* most accesses are where the one before was */
  if (!holds(latest, address, bytes)) latest = allocation_at(address);
  bool mine = latest && (latest->device == launch.device || latest->device == ALL_DEVICES);
  if (!holds(latest, address, bytes) || !mine || (latest->constant && kind != EMU_LOAD)) {
    const char *what = latest && latest->freed ? "use after free" : "out of bounds";
    if (holds(latest, address, bytes)) what = mine ? "constant memory" : "memory of another device";
    stop(thread, ILLEGAL_ADDRESS, text("%s: %s of %u bytes in global memory, %s", what, NAMES[kind], bytes,
                                       described(latest, address).c_str()), site);
  }
  check_order(thread, latest->words, address - latest->start, bytes, EMU_GLOBAL, kind, site);
}

void access(EmuThread *thread, uint64_t address, uint32_t bytes, EmuSpace space, EmuAccess kind, int site) {
  if (address % bytes) {
    stop(thread, MISALIGNED_ADDRESS, text("misaligned: %s of %u bytes at %#lx", NAMES[kind], bytes, address), site);
  }
  if (space == EMU_SHARED) {
    if (kind == EMU_ATOMIC && is_site(site, "mbarrier")) begin_epoch();  /* it orders: who waits sees what arrived */
    access_shared(thread, address, bytes, kind, site);
  } else {
    access_global(thread, address, bytes, kind, site);
  }
}

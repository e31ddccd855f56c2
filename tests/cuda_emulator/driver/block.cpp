/* A block runs: its threads one by one, each until it waits for others at a barrier, in its warp or for a copy. */
#include "block.h"

#include <algorithm>
#include <cstring>
#include <vector>

Now now{1, 1, 1, 0};

constexpr int MOST_FRUITLESS = 1000;  /* rounds in which all threads only yield, until they wait for ever */

struct Barrier {
  std::vector<Thread *> waiting;
  uint32_t arrived, predicates;  /* how many, and how many of them with a predicate that holds */
  EmuBarrier kind;
  int site;
};

struct Exchange {  /* of the lanes of a mask */
  uint32_t mask, arrived;
  uint64_t values[32];
  int site;
};

struct Warp {
  Thread *lanes[32];
  uint32_t ended, turn;
  std::vector<Exchange> exchanges;
};

struct Copy {
  uint64_t to, from, mbarrier;
  uint32_t bytes;
};

static Thread *running;
static int yield_site;  /* of the latest that let others run */
static uint32_t thread_count, ended;
static Barrier barriers[16];
static Warp warps[32];
static std::vector<Copy> copies;

/* Let all that wait at a barrier go on. */
static void open(Barrier &barrier) {
  uint32_t all = barrier.arrived, some = barrier.predicates;
  for (Thread *thread : barrier.waiting) {
    thread->state = READY;
    thread->result = barrier.kind == EMU_AND ? some == all : barrier.kind == EMU_OR ? some > 0 : some;
    if (barrier.kind == EMU_SYNC) thread->result = 0;
  }
  barrier.waiting.clear();
  barrier.arrived = barrier.predicates = 0;
  now.epoch++;
}

static uint32_t arrive_at_barrier(EmuThread *base, uint32_t id, uint32_t count, EmuBarrier kind, uint32_t predicate,
                                  int site) {
  Thread *thread = static_cast<Thread *>(base);
  if (id > 15 || count > thread_count || count % 32) {
    stop(thread, LAUNCH_FAILED, text("barrier %u for %u of %u threads", id, count, thread_count), site);
  }
  Barrier &barrier = barriers[id];
  bool all = !count && kind != EMU_ARRIVE;
  if (all && !barrier.waiting.empty() && barrier.site != site) {
    report_at(thread, "divergent barrier: other threads of the block wait at another place", site);
  }
  barrier.arrived++;
  barrier.predicates += predicate;
  barrier.site = site;
  if (kind != EMU_ARRIVE) {
    barrier.kind = kind;
    barrier.waiting.push_back(thread);
    thread->state = WAITS;
  }
  if (barrier.arrived == (count ? count : thread_count)) open(barrier);
  if (kind == EMU_ARRIVE) return 0;
  leave(thread->coroutine);  /* also the last one: all go on in turn */
  return thread->result;
}

/* Let the lanes of an exchange go on, with each other's values. */
static void finish(Warp &warp, size_t which) {
  Exchange exchange = warp.exchanges[which];
  warp.exchanges.erase(warp.exchanges.begin() + which);
  for (int lane = 0; lane < 32; lane++) {
    if (!(exchange.arrived >> lane & 1)) continue;
    for (int other = 0; other < 32; other++) {
      if (exchange.arrived >> other & 1) warp.lanes[lane]->values[other] = exchange.values[other];
    }
    warp.lanes[lane]->result = exchange.arrived;
    warp.lanes[lane]->state = READY;
  }
  if (is_site(exchange.site, "bar.warp")) warp.turn++;
}

/* Finish the exchanges whose lanes have all come; those that have ended need not come. */
static void finish_complete(Warp &warp) {
  for (size_t which = warp.exchanges.size(); which-- > 0;) {
    const Exchange &exchange = warp.exchanges[which];
    if (!(exchange.mask & ~(exchange.arrived | warp.ended))) finish(warp, which);
  }
}

static uint32_t exchange_in_warp(EmuThread *base, uint32_t mask, uint64_t value, uint64_t values[32], int site) {
  Thread *thread = static_cast<Thread *>(base);
  if (!(mask >> thread->lane & 1)) stop(thread, LAUNCH_FAILED, text("mask %#x without the lane itself", mask), site);
  Warp &warp = warps[thread->warp];
  auto same = [&](const Exchange &exchange) {
    bool meet = exchange.site == site || (is_site(exchange.site, "bar.warp") && is_site(site, "bar.warp"));
    return meet && exchange.mask == mask;
  };
  auto found = std::find_if(warp.exchanges.begin(), warp.exchanges.end(), same);
  if (found == warp.exchanges.end()) found = warp.exchanges.insert(found, Exchange{mask, 0, {}, site});
  found->arrived |= 1u << thread->lane;
  found->values[thread->lane] = value;
  thread->values = values;
  thread->state = WAITS;
  finish_complete(warp);
  leave(thread->coroutine);
  return thread->result;
}

static void carry_out_copies() {
  for (const Copy &copy : copies) {
    memcpy(running->shared + copy.to, reinterpret_cast<void *>(copy.from), copy.bytes);
    emu_copied(running->shared + copy.mbarrier, copy.bytes);
  }
  copies.clear();
}

static void yield_to_others(EmuThread *thread, int site) {
  yield_site = site;
  static_cast<Thread *>(thread)->state = YIELDED;
  leave(static_cast<Thread *>(thread)->coroutine);
}

/* The copy is as late as can be, when all wait, so that who does not wait for it reads NaN. */
static void begin_copy(EmuThread *thread, uint64_t to, uint64_t from, uint32_t bytes, uint64_t mbarrier, int site) {
  for (uint32_t at = 0; at < bytes; at += 16) access(thread, to + at, 16, EMU_SHARED, EMU_STORE, site);
  memset(thread->shared + to, 0xFF, bytes);
  copies.push_back({to, from, mbarrier, bytes});
}

static void fault(EmuThread *thread, const char *what, int site) {
  stop(thread, strstr(what, "address") ? ILLEGAL_ADDRESS : LAUNCH_FAILED, what, site);
}

const EmuApi api = {access, arrive_at_barrier, exchange_in_warp, yield_to_others, begin_copy, fault};

static void run_thread() {
  launch.kernel->code->run(running);
  Warp &warp = warps[running->warp];
  warp.ended |= 1u << running->lane;
  ended++;
  running->state = ENDED;
  finish_complete(warp);
  leave(running->coroutine);
}

/* No thread can go on: say why, and let them go on all the same. */
static void resolve(Thread *threads) {
  for (Barrier &barrier : barriers) {
    if (barrier.waiting.empty()) continue;
    const char *words = "divergent barrier: %zu of %u threads wait, %u have ended";
    report_at(barrier.waiting[0], text(words, barrier.waiting.size(), thread_count, ended), barrier.site);
    open(barrier);
  }
  for (uint32_t warp = 0; warp * 32 < thread_count; warp++) {
    for (auto &exchanges = warps[warp].exchanges; !exchanges.empty(); finish(warps[warp], 0)) {
      const Exchange &first = exchanges[0];
      std::string words = text("divergent warp: lanes %#x of %#x wait", first.arrived, first.mask);
      report_at(&threads[warp * 32], words, first.site);
    }
  }
}

void run_block(Thread *threads, uint32_t count, bool backwards) {
  now.block = ++now.epoch;
  thread_count = count;
  ended = 0;
  copies.clear();
  for (Barrier &barrier : barriers) barrier = Barrier{};
  for (uint32_t i = 0; i < count; i += 32) {
    uint32_t lanes = std::min(count - i, 32u);
    Warp &warp = warps[i / 32] = Warp{};
    warp.ended = lanes < 32 ? ~0u << lanes : 0;  /* those that were never there */
    for (uint32_t lane = 0; lane < lanes; lane++) warp.lanes[lane] = &threads[i + lane];
  }
  for (uint32_t i = 0; i < count; i++) prepare(threads[i].coroutine, run_thread);
  for (int fruitless = 0; ended < count; backwards = !backwards) {
    bool entered = false, only_yields = true;
    for (uint32_t i = 0; i < count; i++) {
      running = &threads[backwards ? count - 1 - i : i];
      if (running->state == WAITS || running->state == ENDED) continue;
      running->state = READY;
      entered = true;
      now.who = running->warp * 32 + running->lane + (warps[running->warp].turn << TURN_SHIFT & TURN);
      enter(running->coroutine);
      if (launch.result) return;
      only_yields &= running->state == YIELDED;
    }
    if (only_yields && !copies.empty()) {
      carry_out_copies();
    } else if (!entered) {
      resolve(threads);
    } else if (only_yields && ++fruitless == MOST_FRUITLESS) {
      report_at(running, "waits for ever: blocks run one after the other, and all that is left of this one yields",
                yield_site);
      launch.result = LAUNCH_FAILED;
      return;
    }
    if (!only_yields) fruitless = 0;
  }
}

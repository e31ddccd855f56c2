/* Races: two threads use a word, at least one of them writes it, and nothing orders the two uses.
 *
 * Blocks run one after the other, and an epoch begins with each block and with each barrier. So the epoch of a use says
 * whether it was in this launch, in this block, and since the last barrier. Within an epoch, the lanes of a warp are
 * ordered by turns: one begins with each __syncwarp. Each word keeps its last store and its last loads alone, so some
 * races are not seen, but none is seen where there is none.
 */
#pragma once
#include "emulator.h"

/* When and by whom the accesses are made that are made now. */
struct Now {
  uint32_t launch, block;  /* the epochs in which they began */
  uint32_t epoch;
  uint32_t who;            /* the thread's number in its block, and its warp's turn */
};

extern Now now;

/* The parts of a tag. */
constexpr uint32_t LANE = 31, WARP = 31 << 5, THREAD = WARP | LANE;
constexpr uint32_t TURN_SHIFT = 10, TURN = 0x3FFF << TURN_SHIFT, WHO = TURN | THREAD;
constexpr uint32_t BYTES_SHIFT = 24, BYTES = 15u << BYTES_SHIFT;
constexpr uint32_t ATOMIC = 1u << 28;                         /* of a store */
constexpr uint32_t SOME_LANES = 1u << 28, SOME_WARPS = 1u << 29; /* of loads: more than one has loaded in this epoch */
constexpr uint32_t OTHER_BLOCKS = 1u << 30;                   /* of loads: another block has loaded in this launch */

struct Use {
  uint32_t epoch, tag;
};

/* What is known of a word of four bytes. */
struct Word {
  Use store, load;
};

/* `oldest` is the first epoch that matters: that of the launch, for shared memory that of the block. */
inline bool unordered_store(Use store, uint32_t bytes, uint32_t oldest) {
  if (store.epoch < oldest || !(store.tag & bytes)) return false;
  if (store.epoch != now.epoch) return store.epoch < now.block;
  uint32_t other = store.tag ^ now.who;
  return other & THREAD && (other & WARP || !(other & TURN));
}

inline bool unordered_load(Use load, uint32_t bytes, uint32_t oldest) {
  if (load.epoch < oldest || !(load.tag & bytes)) return false;
  if (load.epoch < now.block || load.tag & OTHER_BLOCKS) return true;
  uint32_t other = load.tag ^ now.who;
  if (load.epoch != now.epoch) return false;
  if (load.tag & SOME_WARPS || other & WARP) return true;
  return !(other & TURN) && (load.tag & SOME_LANES || other & LANE);
}

/* Of loads of several threads, the bytes are those that all have loaded. */
inline void note_load(Use &load, uint32_t bytes, uint32_t oldest) {
  uint32_t common = load.tag & bytes, other = (load.tag ^ now.who) & WHO, some = load.tag & (SOME_LANES | SOME_WARPS);
  if (load.epoch == now.epoch && common == (load.tag & BYTES)) {
    if (some & SOME_WARPS || !other || (some && !(other & ~LANE))) return;  /* nothing new: most loads */
  }
  if (load.epoch < oldest || !common) {
    load = {now.epoch, now.who | bytes};
    return;
  }
  uint32_t tag = now.who | common | (load.tag & OTHER_BLOCKS);
  if (load.epoch < now.block) tag |= OTHER_BLOCKS;
  if (load.epoch == now.epoch) {
    if (some & SOME_WARPS || other & WARP) tag |= SOME_WARPS;
    else if (!(other & TURN)) tag |= other ? SOME_LANES : some;  /* loads of earlier turns are ordered in their warp */
  }
  load = {now.epoch, tag};
}

/* Note a use of some bytes of a word; return the race that it is, in words, or null. */
__attribute__((always_inline)) inline const char *note_use(Word &word, uint32_t bytes, uint32_t oldest,
                                                           EmuAccess access) {
  if (access == EMU_LOAD || access == EMU_READ_ONLY) {
    bool race = unordered_store(word.store, bytes, oldest);
    note_load(word.load, bytes, oldest);
    return race ? "a load of what another thread stores" : nullptr;
  }
  const char *race = nullptr;
  uint32_t atomic = access == EMU_ATOMIC ? ATOMIC : 0;
  if (unordered_store(word.store, bytes, oldest) && !(atomic & word.store.tag)) {
    race = "a store to what another thread stores";
  } else if (unordered_load(word.load, bytes, oldest)) {
    race = "a store to what another thread loads";
  }
  bool again = word.store.epoch == now.epoch && !((word.store.tag ^ now.who) & THREAD);
  word.store = {now.epoch, now.who | bytes | atomic | (again ? word.store.tag & BYTES : 0)};
  return race;
}

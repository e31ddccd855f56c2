/* Races: two threads use a word, at least one writes it, and nothing orders the two uses.
 *
 * Blocks run one after the other, and an epoch begins with each block and with each barrier. So the epoch of a use says
 * whether it was in this launch, in this block, and since the last barrier. Within an epoch, the lanes of a warp are
 * ordered by turns: one begins with each __syncwarp.
 */
#pragma once
#include "emulator.h"

struct Now {
  uint32_t oldest;  /* uses of earlier epochs are ordered: those before this launch, for shared memory before this block */
  uint32_t block;   /* the epoch in which this block began */
  uint32_t epoch, thread, turn;
};

enum Readers { ONE_THREAD, ONE_WARP, SEVERAL_WARPS };

/* The last use of a word; for reading, all uses of the last epoch that had some. */
struct Use {
  uint32_t epoch;
  uint32_t thread : 10, turn : 14, bytes : 4, atomic : 1, readers : 2, other_blocks : 1;
};

/* What is known of a word of four bytes. */
struct Word {
  Use write, read;
};

inline bool in_warp(const Use &use, const Now &now) { return use.thread / 32 == now.thread / 32; }

inline bool unordered_write(const Use &use, const Now &now, uint32_t bytes) {
  if (use.epoch < now.oldest || !(use.bytes & bytes)) return false;
  if (use.epoch < now.block) return true;
  return use.epoch == now.epoch && use.thread != now.thread && (!in_warp(use, now) || use.turn == now.turn);
}

inline bool unordered_read(const Use &use, const Now &now, uint32_t bytes) {
  if (use.epoch < now.oldest || !(use.bytes & bytes)) return false;
  if (use.epoch < now.block || use.other_blocks) return true;
  if (use.epoch != now.epoch) return false;
  if (use.readers == SEVERAL_WARPS || !in_warp(use, now)) return true;
  return use.turn == now.turn && (use.readers == ONE_WARP || use.thread != now.thread);
}

inline void note_read(Use &use, const Now &now, uint32_t bytes) {
  bool launch = use.epoch >= now.oldest, epoch = use.epoch == now.epoch && launch;
  use.other_blocks = launch && (use.other_blocks || use.epoch < now.block);
  if (!epoch || (use.readers == ONE_THREAD && use.thread == now.thread)) {
    use.readers = ONE_THREAD;
  } else if (use.readers == SEVERAL_WARPS || !in_warp(use, now)) {
    use.readers = SEVERAL_WARPS;
  } else {
    use.readers = use.turn == now.turn ? ONE_WARP : ONE_THREAD;  /* those of an earlier turn are ordered in their warp */
  }
  use.bytes = launch ? use.bytes | bytes : bytes;
  use.epoch = now.epoch;
  use.thread = now.thread;
  use.turn = now.turn;
}

/* Note a use of some bytes of a word; return the race that it is, in words, or null. */
inline const char *note_use(Word &word, const Now &now, uint32_t bytes, EmuAccess access) {
  if (access == EMU_LOAD) {
    bool race = unordered_write(word.write, now, bytes);
    note_read(word.read, now, bytes);
    return race ? "a load of what another thread stores" : nullptr;
  }
  bool atomic = access == EMU_ATOMIC;
  const char *race = nullptr;
  if (unordered_write(word.write, now, bytes) && !(atomic && word.write.atomic)) {
    race = "a store to what another thread stores";
  } else if (unordered_read(word.read, now, bytes)) {
    race = "a store to what another thread loads";
  }
  bool again = word.write.epoch == now.epoch && word.write.thread == now.thread;
  word.write.bytes = again ? word.write.bytes | bytes : bytes;
  word.write.atomic = atomic;
  word.write.epoch = now.epoch;
  word.write.thread = now.thread;
  word.write.turn = now.turn;
  return race;
}

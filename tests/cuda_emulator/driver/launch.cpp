/* A launch: what it may ask for, and its blocks one after the other. */
#include "block.h"

#include <cstring>
#include <sys/mman.h>
#include <vector>

/* Return what is wrong with the sizes of a launch, in words, or null. */
static const char *wrong_sizes(const Kernel &kernel, const Sizes &sizes) {
  const EmuKernel *code = kernel.code;
  uint64_t threads = 1;
  for (int axis = 0; axis < 3; axis++) {
    if (!sizes.grid[axis] || !sizes.block[axis]) return "a size of 0";
    if (sizes.grid[axis] > MOST_GRID[axis]) return "more blocks than a grid has";
    if (sizes.block[axis] > MOST_BLOCK[axis]) return "more threads than a block has";
    threads *= sizes.block[axis];
  }
  if (threads > MOST_THREADS) return "more threads than a block has";
  if (code->max_threads && threads > code->max_threads) return "more threads than the kernel is compiled for";
  if (sizes.dynamic > kernel.most_dynamic) return "more dynamic shared memory than the kernel may have";
  if (code->dynamic_shared + sizes.dynamic > model->most_shared) return "more shared memory than a block has";
  return nullptr;
}

/* Stacks of threads, kept for the next launch. */
static Coroutine stack_for(uint32_t thread, size_t bytes) {
  static std::vector<Coroutine> stacks;
  if (thread >= stacks.size()) stacks.resize(thread + 1);
  Coroutine &stack = stacks[thread];
  if (stack.bytes < bytes) {
    if (stack.stack) munmap(stack.stack, stack.bytes);
    void *start = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    stack = {static_cast<char *>(start), bytes, nullptr};
  }
  return stack;
}

Result launch_kernel(const Kernel &kernel, const Sizes &sizes, void **parameters, int device) {
  Guard guard(driver_lock);
  const uint32_t *grid = sizes.grid, *block = sizes.block;
  if (const char *wrong = wrong_sizes(kernel, sizes)) {
    report("launch " + kernel.name + wrong,
           text("%s: bad launch: %s (grid %u, %u, %u, block %u, %u, %u, %u bytes of dynamic shared memory)",
                kernel.name.c_str(), wrong, grid[0], grid[1], grid[2], block[0], block[1], block[2], sizes.dynamic));
    return INVALID_VALUE;
  }
  uint32_t count = block[0] * block[1] * block[2], shared_bytes = kernel.code->dynamic_shared + sizes.dynamic;
  if (!sizes.dynamic) shared_bytes = kernel.code->static_shared;
  std::vector<char> memory(shared_bytes + 1024);
  char *shared = reinterpret_cast<char *>((reinterpret_cast<uintptr_t>(memory.data()) + 1023) & ~uintptr_t(1023));
  std::vector<Word> words(shared_bytes / 4 + 1);
  launch = {&kernel, device, SUCCESS, words.data()};
  now.launch = now.epoch + 1;
  std::vector<Thread> threads(count);
  for (uint64_t b = 0; b < uint64_t(grid[0]) * grid[1] * grid[2] && !launch.result; b++) {
    memset(shared, 0xFF, shared_bytes);  /* NaN in what nobody has written */
    for (uint32_t i = 0; i < count; i++) {
      Thread &thread = threads[i];
      thread = Thread{};
      uint32_t tid[3] = {i % block[0], i / block[0] % block[1], i / block[0] / block[1]};
      uint32_t ctaid[3] = {uint32_t(b % grid[0]), uint32_t(b / grid[0] % grid[1]), uint32_t(b / grid[0] / grid[1])};
      memcpy(thread.tid, tid, sizeof tid);
      memcpy(thread.ctaid, ctaid, sizeof ctaid);
      memcpy(thread.ntid, block, sizeof thread.ntid);
      memcpy(thread.nctaid, grid, sizeof thread.nctaid);
      thread.lane = i % 32;
      thread.warp = i / 32;
      thread.shared = shared;
      thread.shared_bytes = shared_bytes;
      thread.dynamic_bytes = sizes.dynamic;
      thread.parameters = parameters;
      thread.api = &api;
      thread.coroutine = stack_for(i, (kernel.code->local + (size_t(68) << 10) + 4095) / 4096 * 4096);
    }
    run_block(threads.data(), count, b % 2);
  }
  return launch.result;
}

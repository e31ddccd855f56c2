/* The devices' memory. Addresses are the host's, and none is used twice: a use after free is always seen. */
#include "driver.h"

#include <cstring>
#include <map>
#include <sys/mman.h>

constexpr size_t PAGE = 4096;

static std::map<uint64_t, Allocation> allocations;  /* by their start, with those that are freed */
static size_t in_use[DEVICES];

static size_t pages(size_t bytes) { return (bytes + PAGE - 1) / PAGE * PAGE; }
static size_t word_bytes(size_t bytes) { return (bytes + 3) / 4 * sizeof(Word); }

static void *map_pages(size_t bytes) {
  void *start = mmap(nullptr, pages(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return start == MAP_FAILED ? nullptr : start;
}

/* One after the other in large pieces of address space: each mapping of its own would soon be too many. */
static void *map_new(size_t bytes) {
  static char *next, *end;
  if (!next || size_t(end - next) < pages(bytes)) {
    size_t piece = pages(bytes) + (size_t(64) << 30);
    if (!(next = static_cast<char *>(map_pages(piece)))) return nullptr;
    end = next + piece;
  }
  char *start = next;
  next += pages(bytes);
  return start;
}

static void add(void *start, size_t bytes, int device, bool constant) {
  Word *words = static_cast<Word *>(map_new(word_bytes(bytes)));
  uint64_t key = reinterpret_cast<uint64_t>(start);
  allocations[key] = {key, bytes, words, device, false, constant};
}

Allocation *allocate(size_t bytes, int device) {
  Guard guard(driver_lock);
  if (bytes > DEVICE_MEMORY - in_use[device]) return nullptr;
  void *start = map_new(bytes);
  if (!start) return nullptr;
  memset(start, 0xFF, bytes);  /* NaN, so that a result that depends on it is seen */
  add(start, bytes, device, false);
  in_use[device] += bytes;
  return allocation_at(reinterpret_cast<uint64_t>(start));
}

Result release(uint64_t start) {
  Guard guard(driver_lock);
  if (!start) return SUCCESS;
  auto found = allocations.find(start);
  if (found == allocations.end() || found->second.freed) {
    report("free", text("free of %#lx: %s", start, described(allocation_at(start), start).c_str()));
    return INVALID_VALUE;
  }
  Allocation &allocation = found->second;
  in_use[allocation.device] -= allocation.bytes;
  allocation.freed = true;
  madvise(reinterpret_cast<void *>(start), pages(allocation.bytes), MADV_DONTNEED);
  madvise(allocation.words, pages(word_bytes(allocation.bytes)), MADV_DONTNEED);
  return SUCCESS;
}

void add_variable(void *start, size_t bytes, bool constant) {
  Guard guard(driver_lock);
  if (!allocations.count(reinterpret_cast<uint64_t>(start))) add(start, bytes, ALL_DEVICES, constant);
}

Allocation *allocation_at(uint64_t address) {
  auto after = allocations.upper_bound(address);
  return after == allocations.begin() ? nullptr : &std::prev(after)->second;
}

std::string described(const Allocation *allocation, uint64_t address) {
  if (!allocation) return "before all memory of the device";
  uint64_t offset = address - allocation->start;
  const char *freed = allocation->freed ? ", which is freed" : "";
  if (offset < allocation->bytes) return text("byte %lu of %lu%s", offset, allocation->bytes, freed);
  return text("%lu bytes after the end of %lu bytes%s", offset - allocation->bytes, allocation->bytes, freed);
}

size_t memory_in_use(int device) { return in_use[device]; }

Result check_copy(const char *call, uint64_t address, size_t bytes) {
  Guard guard(driver_lock);
  const Allocation *allocation = allocation_at(address);
  if (!bytes || holds(allocation, address, bytes)) return SUCCESS;
  report(call, text("%s of %zu bytes: %s", call, bytes, described(allocation, address).c_str()));
  return INVALID_VALUE;
}

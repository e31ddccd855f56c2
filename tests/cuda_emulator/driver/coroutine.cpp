/* Coroutines: some instructions on x86-64, elsewhere the C library's contexts, which are slower. */
#include "coroutine.h"

#include <cstdint>

#ifdef __x86_64__

extern "C" void emulator_switch(void **from, void *to);

/* Keep what a function must keep (the ABI's registers) on one stack, and take it from the other. */
asm(R"(
.text
.type emulator_switch, @function
emulator_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size emulator_switch, . - emulator_switch
)");

static void *outside;

void prepare(Coroutine &coroutine, void (*function)()) {
  uintptr_t end = reinterpret_cast<uintptr_t>(coroutine.stack) + coroutine.bytes;
  uint64_t *top = reinterpret_cast<uint64_t *>(end & ~uintptr_t(63));
  *--top = 0;  /* no one to return to; the stack is aligned as after a call */
  *--top = reinterpret_cast<uint64_t>(function);
  for (int registers = 6; registers; registers--) *--top = 0;
  coroutine.place = top;
}

void enter(Coroutine &coroutine) { emulator_switch(&outside, coroutine.place); }
void leave(Coroutine &coroutine) { emulator_switch(&coroutine.place, outside); }

#else

#include <ucontext.h>

static ucontext_t outside;

void prepare(Coroutine &coroutine, void (*function)()) {
  ucontext_t *context = reinterpret_cast<ucontext_t *>(coroutine.stack);  /* at the end that is used last */
  coroutine.place = context;
  getcontext(context);
  context->uc_stack.ss_sp = context + 1;
  context->uc_stack.ss_size = coroutine.bytes - sizeof *context;
  context->uc_link = nullptr;
  makecontext(context, function, 0);
}

void enter(Coroutine &coroutine) { swapcontext(&outside, static_cast<ucontext_t *>(coroutine.place)); }
void leave(Coroutine &coroutine) { swapcontext(static_cast<ucontext_t *>(coroutine.place), &outside); }

#endif

/* A thread of a kernel, as a function with a stack of its own that can be left and entered again. */
#pragma once
#include <cstddef>

struct Coroutine {
  char *stack;
  size_t bytes;
  void *place;  /* where it goes on */
};

void prepare(Coroutine &coroutine, void (*function)());  /* which must leave at its end, not return */
void enter(Coroutine &coroutine);
void leave(Coroutine &coroutine);  /* back to where it was entered */

/* What the driver's functions share: contexts and streams. */
#pragma once
#include "driver.h"

/* Of a device, its primary one. After some errors it is dead: each later call returns that error again. */
struct Context {
  int device;
  Result error;
};

Context *current_context();     /* of this thread of the host; may be null */
Result context_error();         /* why nothing works in it, or SUCCESS */
Result check_stream(void *stream);

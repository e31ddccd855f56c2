// Whole runs of small networks: a block takes one head through all epochs of a launch, see run_layers.cuh.
//
// Beside its macros: CENTRED, WEIGHTS_SHARED and CELLS_SHARED (1: weights and activities are in shared memory while the
// block runs, 0: in global memory).

struct Step {  // of a launch: its epoch and its first sample
  int epoch, start;
  __device__ __forceinline__ Step after(int samples, int batch) const {
    return start + batch < samples ? Step{epoch, start + batch} : Step{epoch + 1, 0};
  }
};

// state: 0 for a head that learns, the epoch after which it has stopped, or −1 for one that is not to learn.
extern "C" __global__ void __launch_bounds__(THREADS, 1)
run(real *packed, const real *__restrict__ x, const real *__restrict__ target, const int *__restrict__ orders, int *state,
    double *sums, real *record, int features, int depth, int samples, int batch_, int epochs, int first_epoch,
    int order_step, int counts, int keeps_sums, double tolerance, real scale, real rate, real rate_output, real last_rate,
    real last_rate_output) {
  const int head = blockIdx.x, heads = gridDim.x, batch = ALONE ? 1 : batch_;
  if (state[head] != 0) return;
  Thread t;
  t.index = threadIdx.x, t.lane = t.index % WARP, t.slice = t.lane / GROUPS;
  t.team = TEAMS == 1 ? 0 : t.index / WARP / WARPS, t.warp = t.index / WARP % WARPS;
  t.target = 16 * t.warp + 4 * (t.lane % GROUPS);
  int teacher[4];
#pragma unroll
  for (int m = 0; m < 4; m++) {
    const int j = t.target + m;
    teacher[m] = (j < WIDTH ? j : j < CELLS ? j - WIDTH : 0) % OUTPUTS;
  }

  extern __shared__ __align__(16) unsigned char memory[];
  double *parts = reinterpret_cast<double *>(memory);
  int *goes_on = reinterpret_cast<int *>(parts + THREADS / SLICES);
  real *free = reinterpret_cast<real *>(goes_on + 4);
  auto take = [&free](int count) {
    real *taken = free;
    free += (count + VALUES - 1) / VALUES * VALUES;
    return taken;
  };

  // The head's parts of the weights, in the order of their places: the first two are matrices.
  const int units = (2 * features + P - 1) / P;
  const int counted[6] = {units * UNIT,       depth * UNIT,     N_BIAS * P,
                          depth * N_BIAS * P, P * OUTPUT_CELLS, N_BIAS * OUTPUT_CELLS};
  real *given[6], *own[6], *part = packed;
#pragma unroll
  for (int n = 0; n < 6; n++) {
    given[n] = part + (Size)head * counted[n];
    part += (Size)heads * counted[n];
    own[n] = WEIGHTS_SHARED ? take(counted[n]) : given[n];
    if (n < 2) copy_quads(own[n], given[n], counted[n], t);
    else if (WEIGHTS_SHARED) copy(own[n], given[n], counted[n], t);
  }
  const int layer = batch * P, inner = (depth + 1) * layer;
#if CELLS_SHARED
  real *cells = take(inner), *deltas = take(DELTAS * inner);
#else
  real *cells = record + (Size)head * (1 + DELTAS) * inner, *deltas = cells + inner;
#endif
  real *output = take(batch * OUTPUT_CELLS), *errors = take(batch * OUTPUTS), *squares = take(RMS * batch * WARPS);
  // Of this step and of the next, in turn: x, and behind it the targets.
  const int behind_x = (batch * features + VALUES - 1) / VALUES * VALUES;
  real *here = take(behind_x + batch * OUTPUTS), *there = take(behind_x + batch * OUTPUTS);

  // While it computes, each thread fetches a value of the next batch, and the number of a sample of the one after that.
  // Larger batches have more values, for which it waits.
  const int columns = features + OUTPUTS, row0 = t.index / columns, column0 = t.index % columns;
  auto number = [&](Step step, int row) {
    const int epoch = min(step.epoch, epochs - 1), at = min(step.start + row, samples - 1);
    return orders[(Size)epoch * order_step + at];
  };
  auto value = [&](int sample, int column) {
    const bool of_x = column < features;
    const real *from = of_x ? x + column : target + (Size)head * OUTPUTS + column - features;
    return from[(Size)sample * (of_x ? features : heads * OUTPUTS)];
  };
  auto place = [&](int row, int column) {
    return column < features ? row * features + column : behind_x + row * OUTPUTS + column - features;
  };
  auto fetch_others = [&](real *buffer, Step step) {
#pragma unroll 1
    for (int at = t.index + THREADS; at < batch * columns; at += THREADS) {
      const int row = at / columns, column = at % columns;
      buffer[place(row, column)] = value(number(step, row), column);
    }
  };
  const bool fetches = t.index < batch * columns;
  const int place0 = place(row0, column0);
  Step next = {0, 0};
  if (fetches) here[place0] = value(number(next, row0), column0);
  fetch_others(here, next);
  next = next.after(samples, batch);
  int sample = fetches ? number(next, row0) : 0, stopped = 0;
  double total = 0;
  meet();

#pragma unroll 1
  for (int epoch = 0; epoch < epochs && !stopped; epoch++) {
#pragma unroll 1
    for (int start = 0; start < samples; start += batch) {
      const int rows = ALONE ? 1 : min(batch, samples - start);
      real fetched = 0;
      if (fetches) {
        fetched = value(sample, column0);
        sample = number(next.after(samples, batch), row0);
      }
      run_layer<true>(own[0], own[2], here, features, cells, deltas, squares, features, rows, scale, t);
#pragma unroll 1
      for (int d = 0; d < depth; d++) {
        const int from = d * layer, to = from + layer;
        run_layer<false>(own[1] + d * UNIT, own[3] + d * N_BIAS * P, cells + from, P, cells + to, deltas + to, squares, 0,
                         rows, scale, t);
      }
      const real *last = cells + depth * layer;
      total += answer(own[4], own[5], last, here + behind_x, output, errors, rows, scale, t);
      if (fetches) there[place0] = fetched;
      fetch_others(there, next);
      next = next.after(samples, batch);
      meet();
      if (CENTRED) {
        centre(errors, rows, t);
        meet();
      }

      const bool whole = ALONE || rows == batch;
      const real last_layer = whole ? rate_output : last_rate_output;
      real signed_rate[4];
#pragma unroll
      for (int m = 0; m < 4; m++) signed_rate[m] = (t.target + m < WIDTH ? 1 : -1) * (whole ? rate : last_rate);
      if (!ALONE) {
#pragma unroll 1
        for (int b = SLICES * t.team + t.slice; b < rows; b += SLICES * TEAMS)
#pragma unroll 1
          for (int at = b * P; at < inner; at += layer) {
            real d[4];
            derive(d, cells + at, deltas + at, errors + b * OUTPUTS, teacher, signed_rate, t);
            store(deltas + at + t.target, d, 2);
          }
#pragma unroll 1
        for (int at = t.index; at < rows * OUTPUT_CELLS; at += THREADS)
          output[at] = derive_output(output, errors, at, last_layer);
        meet();
      }
      int share = 0;
#pragma unroll 1
      for (int i = 0; i < 2 * features; i += P)
#pragma unroll 1
        for (int k = 0; k < PER_SLICE; k += LEARNT)
          if (share++ % TEAMS == t.team)
            learn<true>({own[0], own[2], here, cells, deltas}, errors, teacher, signed_rate, i, k, features, rows, t);
#pragma unroll 1
      for (int d = 0; d < depth; d++) {
        const int from = d * layer, to = from + layer;
        const Layer hidden = {own[1] + d * UNIT, own[3] + d * N_BIAS * P, cells + from, cells + to, deltas + to};
#pragma unroll 1
        for (int k = 0; k < PER_SLICE; k += LEARNT)
          if (share++ % TEAMS == t.team) learn<false>(hidden, errors, teacher, signed_rate, 0, k, 0, rows, t);
      }
      learn_output(own[4], own[5], last, output, errors, rows, last_layer, t);
      if (counts && start + batch >= samples && t.index % SLICES == 0) parts[t.index / SLICES] = total;
      real *const read = here;
      here = there, there = read;
      meet();
    }

    if (!counts) continue;
    if (t.index < WARP) {
      const int used = min(THREADS / SLICES, batch * OUTPUT_CELLS);
      double sum = 0;
#pragma unroll 1
      for (int at = t.lane; at < used; at += WARP) sum += parts[at];
#pragma unroll 1
      for (int bit = used > 1 ? WARP / 2 : 0; bit; bit /= 2)
        if (bit < used) sum += __shfl_xor_sync(~0u, sum, bit);
      if (t.lane == 0) {
        if (keeps_sums) sums[(Size)epoch * heads + head] = sum;
        *goes_on = !(sum < tolerance);
      }
    }
    total = 0;
    meet();
    if (!*goes_on) stopped = first_epoch + epoch + 1;
  }

#pragma unroll
  for (int n = 0; n < 6; n++) {
    if (n < 2) copy_quads(given[n], own[n], counted[n], t);
    else if (WEIGHTS_SHARED) copy(given[n], own[n], counted[n], t);
  }
  if (t.index == 0 && stopped) state[head] = stopped;
}

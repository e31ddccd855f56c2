// The update of narrow networks: a block for each tile of a layer's weights of one head, all layers in one launch.
//
// A block sums over the whole batch by itself, in a fixed order and without atomic operations, so bits are the same each
// time. A thread has the weights that it also has in chain.cu: from STEPS sources of its slice to 4 targets. Beside the
// macros of common.cuh: SPLIT (E is a factor of the source), FLOOR (or not defined), MOST_X (no activity of a hidden
// cell is larger; 0: there is no bound).
//
// A hidden layer that cannot change is not touched: where Σ_b |x E g α| is below 2⁻²⁶ of the least weight of a tile, each
// weight plus its change rounds to itself (half a unit is at least 2⁻²⁵ of a number; in float64 2⁻⁵⁴), and neither x nor
// the weights are read. `least` keeps that weight for each tile. It is 0, unknown, where the last update changed more.

constexpr int WIDE = WARPS % 4 == 0 ? 4 : WARPS % 2 == 0 ? 2 : 1;  // warps of a block, with 16 targets each
__host__ __device__ constexpr int chunks_at_once(int most) { return CHUNKS % most == 0 ? most : chunks_at_once(most / 2); }
constexpr int AT_ONCE = chunks_at_once(8 / CHUNK), STEPS = CHUNK * AT_ONCE;  // 8 sources of a thread at most
constexpr int THREADS = WIDE * WARP, TARGETS = WIDE * 16, SOURCES = SLICES * STEPS, SAMPLES = 32;
constexpr int ACROSS = WARPS / WIDE, DOWN = CHUNKS / AT_ONCE, TILES = ACROSS * DOWN;  // of a matrix
constexpr int TOGETHER = OUTPUT_CELLS < 16 ? OUTPUT_CELLS : 16, OUTPUT_TILES = (OUTPUT_CELLS + TOGETHER - 1) / TOGETHER;
constexpr real ROUNDS_AWAY = DOUBLE ? 0x1p-55 : 0x1p-26f, NO_LEAST = DOUBLE ? 1e300 : 1e38;

struct Update {
  const real *errors;
  const int *order;
  int features, heads, batch, start, first;  // where the batch begins in the order, and in the errors
  real rate, rate_output;
};

// The part of an error from which the weights of a source of this sign learn. A NaN stays one.
__device__ __forceinline__ real credit(real error, bool excitatory) {
#if SPLIT
  return excitatory ? (error < 0 ? 0 : error) : error > 0 ? 0 : error;
#else
  return error;
#endif
}

__device__ __forceinline__ real learned(real weight, real change, bool positive) {
  if (change != 0) weight += change;  // −0 + 0 has other bits than −0
  return clamped(weight, positive);
}

// A layer as an update sees it: where its arrays begin, for one head.
struct Layer {
  const real *x, *y, *slope;  // slope is null in the output layer
  real *weights, *biases, *least;
  bool input;
};

// The tile of weights from 8 · STEPS sources to TARGETS targets.
__device__ __forceinline__ void learn_tile(const Update &u, const Layer &layer, int head, int unit, int tile) {
  __shared__ __align__(16) real xs[SAMPLES][SOURCES];
  __shared__ __align__(16) real ds[SAMPLES][TARGETS];
  __shared__ real smallest[WIDE];
  const int t = threadIdx.x, lane = t % WARP, warp = t / WARP, s = lane / GROUPS, c = lane % GROUPS;
  const int across = tile % ACROSS, down = tile / ACROSS, columns = u.heads * OUTPUTS;

  // A thread computes δ of the same VALUES targets in each of the samples that it has.
  constexpr int PER_ROW = TARGETS / VALUES, SWEEP = THREADS / PER_ROW;
  const int column = t % PER_ROW * VALUES, row = t / PER_ROW, j0 = across * TARGETS + column;
  real factor[VALUES];
  int teacher[VALUES];
#pragma unroll
  for (int v = 0; v < VALUES; v++) {
    const int j = j0 + v, within = j < WIDTH ? j : j - WIDTH;
    factor[v] = j >= CELLS ? 0 : j < WIDTH ? u.rate : -u.rate;
    teacher[v] = head * OUTPUTS + (OUTPUTS > 1 ? within % OUTPUTS : 0);
  }
  Bits largest = 0;  // |δ| of any
  auto compute_deltas = [&](int b, real (&d)[VALUES]) {
    alignas(16) real y[VALUES];
    *reinterpret_cast<Piece *>(y) = *reinterpret_cast<const Piece *>(layer.y + (Size)b * P + j0);
#if RMS
    alignas(16) real slope[VALUES];
    *reinterpret_cast<Piece *>(slope) = *reinterpret_cast<const Piece *>(layer.slope + (Size)b * P + j0);
#endif
#pragma unroll
    for (int v = 0; v < VALUES; v++) {
      real g = derivative<ACTIVATION>(y[v]);
#if RMS
      g *= slope[v];
#endif
      const real e = u.errors[(Size)(u.first + b) * columns + teacher[v]];
      const real signed_delta = factor[v] * g * e;
      d[v] = CELLS < P && j0 + v >= CELLS ? 0 : SPLIT ? factor[v] * g : signed_delta;
      if (CELLS == P || j0 + v < CELLS) largest = max(largest, bits(fabs(signed_delta)));
    }
  };
  const real most = MOST_X > BIAS ? MOST_X : BIAS;  // of the activities from which the tile's weights learn
  auto rounds_away = [&](real least) {
    return largest == 0 || number(largest) * (most * u.batch) < least * ROUNDS_AWAY;
  };
  real *const kept_least = MOST_X > 0 && !layer.input ? layer.least + tile : nullptr;
  if (kept_least && *kept_least > 0) {
    const real least = *kept_least;
    real d[VALUES];
    for (int b = row; b < u.batch; b += SWEEP) compute_deltas(b, d);
    if (__syncthreads_and(rounds_away(least))) return;
    largest = 0;
  }

  real sum[STEPS][4];
#pragma unroll
  for (int k = 0; k < STEPS; k++)
#pragma unroll
    for (int m = 0; m < 4; m++) sum[k][m] = 0;
  real bias_sum[N_BIAS] = {};
  for (int first = 0; first < u.batch; first += SAMPLES) {
    __syncthreads();  // all have used the samples before
#pragma unroll
    for (int r = 0; r < SAMPLES; r += SWEEP) {
      const int b = first + r + row;
      alignas(16) real d[VALUES] = {};
      if (b < u.batch) compute_deltas(b, d);
      *reinterpret_cast<Piece *>(&ds[r + row][column]) = *reinterpret_cast<Piece *>(d);
    }
    for (int e = t; e < SAMPLES * SOURCES; e += THREADS) {
      const int b = first + e / SOURCES, at = e % SOURCES;
      const int i = at / STEPS * PER_SLICE + down * STEPS + at % STEPS + unit * P;
      real value = 0;
      if (b < u.batch) {
        bool excitatory = i < WIDTH;
        if (layer.input) {
          excitatory = i < u.features;
          const int feature = excitatory ? i : i - u.features;
          const Size sample = u.order ? u.order[u.start + b] : b;
          if (feature < u.features) value = layer.x[sample * u.features + feature];
        } else {
          value = layer.x[(Size)b * P + i];
        }
        if (SPLIT) value *= credit(u.errors[(Size)(u.first + b) * columns + head], excitatory);
      }
      xs[e / SOURCES][at] = value;
    }
    __syncthreads();
    const int samples = min(SAMPLES, (u.batch - first + 3) / 4 * 4);
#pragma unroll 4
    for (int b = 0; b < samples; b++) {
      alignas(16) real x[STEPS], d[4];
      if (STEPS % VALUES == 0) {
#pragma unroll
        for (int k = 0; k < STEPS; k += VALUES)
          *reinterpret_cast<Piece *>(x + k) = *reinterpret_cast<const Piece *>(&xs[b][s * STEPS + k]);
      } else {
#pragma unroll
        for (int k = 0; k < STEPS; k++) x[k] = xs[b][s * STEPS + k];
      }
#pragma unroll
      for (int h = 0; h < PIECES; h++)
        reinterpret_cast<Piece *>(d)[h] = reinterpret_cast<const Piece *>(&ds[b][16 * warp + 4 * c])[h];
#pragma unroll
      for (int k = 0; k < STEPS; k++)
#pragma unroll
        for (int m = 0; m < 4; m++) sum[k][m] = fma(x[k], d[m], sum[k][m]);
    }
    if (down == 0 && unit == 0 && t < TARGETS) {
      for (int b = 0; b < SAMPLES && first + b < u.batch; b++) {
        const real e = SPLIT ? u.errors[(Size)(u.first + first + b) * columns + head] : 0;
#pragma unroll
        for (int n = 0; n < N_BIAS; n++) bias_sum[n] += SPLIT ? credit(e, n == 0) * ds[b][t] : ds[b][t];
      }
    }
  }

  // The quads lie in the order of `turn`: value m of a lane is the weight to target m ^ turn(s) of its four.
  real size = NO_LEAST;  // the least of the thread's weights, NaN counts as 0
  auto note = [&](real weight, bool positive) {
#ifdef FLOOR
    weight = positive ? weight : -weight;
    if (!(weight >= (real)FLOOR)) weight = 0;
#else
    weight = fabs(weight);
#endif
    if (!(weight >= size)) size = weight >= 0 ? weight : 0;
  };
  real *own = layer.weights + (Size)unit * UNIT;
  const int x = turn(s);
#pragma unroll
  for (int k = 0; k < STEPS; k++) {
    const int chunk = down * AT_ONCE + k / CHUNK;
    const int line = (chunk * WARPS + across * WIDE + warp) * CHUNK + k % CHUNK;
    const int i = s * PER_SLICE + chunk * CHUNK + k % CHUNK + unit * P;
    const bool excitatory = layer.input ? i < u.features : i < WIDTH;
    const int sources = layer.input ? 2 * u.features : CELLS;
    real change[4];
#pragma unroll
    for (int m = 0; m < 4; m++) {
      const real even = x & 1 ? sum[k][m ^ 1] : sum[k][m], odd = x & 1 ? sum[k][m ^ 3] : sum[k][m ^ 2];
      change[m] = x & 2 ? odd : even;
    }
#pragma unroll
    for (int h = 0; h < PIECES; h++) {
      Piece *to = reinterpret_cast<Piece *>(own) + (line * PIECES + h) * WARP + lane;
      alignas(16) real w[VALUES];
      *reinterpret_cast<Piece *>(w) = *to;
#pragma unroll
      for (int v = 0; v < VALUES; v++) {
        const int m = h * VALUES + v, j = (across * WIDE + warp) * 16 + 4 * c + (m ^ x);
        const bool positive = excitatory == (j < WIDTH);
        if (i < sources && j < CELLS) {
          w[v] = learned(w[v], change[m], positive);
          note(w[v], positive);
        }
      }
      *to = *reinterpret_cast<Piece *>(w);
    }
  }
  if (down == 0 && unit == 0 && t < TARGETS && across * TARGETS + t < CELLS) {
#pragma unroll
    for (int n = 0; n < N_BIAS; n++) {
      real *b = layer.biases + n * P + across * TARGETS + t;
      const real change = (real)BIAS * bias_sum[n], now = change != 0 ? *b + change : *b;
      *b = now;
      const real magnitude = fabs(now);
      if (!(magnitude >= size)) size = magnitude >= 0 ? magnitude : 0;
    }
  }
  if (!kept_least) return;
  // Only where this update might have been left out is the least weight worth looking for.
  if (__syncthreads_and(rounds_away(NO_LEAST)) == 0) {
    if (t == 0) *kept_least = 0;
    return;
  }
  for (int distance = WARP / 2; distance; distance /= 2) {
    const real theirs = __shfl_xor_sync(~0u, size, distance);
    size = theirs < size ? theirs : size;
  }
  if (lane == 0) smallest[warp] = size;
  __syncthreads();
  for (int other = 0; other < WIDE; other++) size = smallest[other] < size ? smallest[other] : size;
  const bool may = __syncthreads_and(rounds_away(size));
  if (t == 0) *kept_least = may ? size : 0;
}

// The weights to a few output cells: a thread for each source.
__device__ __forceinline__ void learn_outputs(const Update &u, const Layer &layer, int head, int group) {
  __shared__ real ds[SAMPLES][TOGETHER];
  const int t = threadIdx.x, columns = u.heads * OUTPUTS, o0 = group * TOGETHER;
  for (int i0 = 0; i0 < P; i0 += THREADS) {
    const int i = i0 + t;
    const bool excitatory = i < WIDTH;
    real sum[TOGETHER] = {}, bias_sum[N_BIAS] = {};
    for (int first = 0; first < u.batch; first += SAMPLES) {
      __syncthreads();
      for (int e = t; e < SAMPLES * TOGETHER; e += THREADS) {
        const int b = first + e / TOGETHER, cell = o0 + e % TOGETHER;
        real d = 0;
        if (b < u.batch && cell < OUTPUT_CELLS) {
          const real g = derivative<OUTPUT_ACTIVATION>(layer.y[(Size)b * OUTPUT_CELLS + cell]);
          d = g * (cell < OUTPUTS ? u.rate_output : -u.rate_output);
          if (!SPLIT) d *= u.errors[(Size)(u.first + b) * columns + head * OUTPUTS + cell % OUTPUTS];
        }
        ds[e / TOGETHER][e % TOGETHER] = d;
      }
      __syncthreads();
      for (int b = 0; b < SAMPLES && first + b < u.batch; b++) {
        const real e = SPLIT ? u.errors[(Size)(u.first + first + b) * columns + head] : 0;
        if (i < CELLS) {
          real value = layer.x[(Size)(first + b) * P + i];
          if (SPLIT) value *= credit(e, excitatory);
#pragma unroll
          for (int o = 0; o < TOGETHER; o++) sum[o] = fma(value, ds[b][o], sum[o]);
        }
        if (i < TOGETHER) {
#pragma unroll
          for (int n = 0; n < N_BIAS; n++) bias_sum[n] += SPLIT ? credit(e, n == 0) * ds[b][i] : ds[b][i];
        }
      }
    }
    if (i < CELLS) {
#pragma unroll
      for (int o = 0; o < TOGETHER; o++) {
        const int cell = o0 + o;
        real *w = layer.weights + i * OUTPUT_CELLS + cell;
        if (cell < OUTPUT_CELLS) *w = learned(*w, sum[o], excitatory == (cell < OUTPUTS));
      }
    }
    if (i < TOGETHER && o0 + i < OUTPUT_CELLS) {
      for (int n = 0; n < N_BIAS; n++) {
        real *b = layer.biases + n * OUTPUT_CELLS + o0 + i;
        const real change = (real)BIAS * bias_sum[n];
        if (change != 0) *b += change;
      }
    }
  }
}

extern "C" __global__ void __launch_bounds__(THREADS, 1)
update(real *weights, const real *__restrict__ record, const real *__restrict__ x, const int *__restrict__ order,
       const real *__restrict__ errors, const unsigned char *__restrict__ learning, real *least, int features,
       int depth, int heads, int batch, int start, int first, real rate, real rate_output) {
  const Update u{errors, order, features, heads, batch, start, first, rate, rate_output};
  const Parts parts(features, depth, heads);
  const int per_head = (parts.units + depth) * TILES + OUTPUT_TILES, head = blockIdx.x / per_head;
  int q = blockIdx.x % per_head;
  if (learning && !learning[head]) return;
  const Size slope = RMS ? slopes_at(heads, depth, batch) : 0;
  Layer layer;
  if (q < depth * TILES) {
    const int position = q / TILES;
    layer.x = record + layer_at(head, position, depth, batch);
    layer.y = layer.x + (Size)batch * P;
    layer.slope = layer.y + slope;
    layer.weights = weights + parts.hidden + ((Size)head * depth + position) * UNIT;
    layer.biases = weights + parts.hidden_bias + ((Size)head * depth + position) * N_BIAS * P;
    layer.least = least + ((Size)head * depth + position) * TILES;
    layer.input = false;
    learn_tile(u, layer, head, 0, q % TILES);
  } else if ((q -= depth * TILES) < parts.units * TILES) {
    layer.x = x;
    layer.y = record + layer_at(head, 0, depth, batch);
    layer.slope = layer.y + slope;
    layer.weights = weights + (Size)head * parts.units * UNIT;
    layer.biases = weights + parts.input_bias + head * N_BIAS * P;
    layer.least = nullptr;
    layer.input = true;
    learn_tile(u, layer, head, q / TILES, q % TILES);
  } else {
    layer.x = record + layer_at(head, depth, depth, batch);
    layer.y = record + outputs_at(heads, depth, batch) + (Size)head * batch * OUTPUT_CELLS;
    layer.slope = nullptr;
    layer.weights = weights + parts.output + (Size)head * P * OUTPUT_CELLS;
    layer.biases = weights + parts.output_bias + head * N_BIAS * OUTPUT_CELLS;
    layer.least = nullptr;
    layer.input = false;
    learn_outputs(u, layer, head, q - parts.units * TILES);
  }
}

// Set centred (batch, columns) to rows of errors less their mean: a block of a warp for each column. It sums in double and
// in a fixed order. Errors that are all 0 stay 0: a head that has stopped keeps every bit.
extern "C" __global__ void __launch_bounds__(WARP)
centre(const real *__restrict__ errors, real *__restrict__ centred, int batch, int start) {
  const int column = blockIdx.x, columns = gridDim.x;
  double total = 0;
  for (int b = threadIdx.x; b < batch; b += WARP) total += errors[(Size)(start + b) * columns + column];
  for (int distance = WARP / 2; distance; distance /= 2) total += __shfl_xor_sync(~0u, total, distance);
  const double mean = total / batch;
  for (int b = threadIdx.x; b < batch; b += WARP)
    centred[(Size)b * columns + column] = errors[(Size)(start + b) * columns + column] - mean;
}

// Set sums (heads) to the sums of |errors| (samples, heads · OUTPUTS), in double and in a fixed order: a warp for each head.
extern "C" __global__ void __launch_bounds__(WARP)
error_sums(const real *__restrict__ errors, double *__restrict__ sums, int samples) {
  const int head = blockIdx.x, columns = gridDim.x * OUTPUTS;
  double total = 0;
  for (int b = threadIdx.x; b < samples; b += WARP)
    for (int o = 0; o < OUTPUTS; o++) total += fabs((double)errors[(Size)b * columns + head * OUTPUTS + o]);
  for (int distance = WARP / 2; distance; distance /= 2) total += __shfl_xor_sync(~0u, total, distance);
  if (threadIdx.x == 0) sums[head] = total;
}

// The layers of run.cu: forward passes and updates of a batch by the threads of one block.
//
// A team of WARPS warps has all targets of a layer; its threads have the weights that they have in chain.cu, and each
// team takes ROWS rows of the batch at a time. In the update the teams take the matrices in turn: layers learn from their
// own activities and the error alone, so no barrier is between them. All sums have a fixed order, so bits are the same
// each time. Beside the macros of common.cuh: ROWS, TEAMS, SPLIT, FLOOR (or not defined).

constexpr int THREADS = WARP * WARPS * TEAMS, SUMS = 4 * ROWS;  // sums of a thread: value 4 r + m is of its target m
constexpr int OWN = ROWS > 2 ? ROWS / 2 : 1;                    // of them, which it has over all slices in the end
constexpr int AT_ONCE = PER_SLICE % 4 ? 2 : 4;                  // sources in registers in the forward pass
constexpr int LEARNT = PER_SLICE % 8 ? AT_ONCE : 8;             // sources of a thread in a share of the update
constexpr bool ALONE = ROWS == 1;                               // a batch is one sample: its change is no sum
constexpr int DELTAS = RMS || !ALONE;  // whether there is room for the slopes of cells, which their δ then replaces

struct Thread {
  int index, lane, slice, team, warp, target;  // target: the first of its four
};

__device__ __forceinline__ void meet() {
  if (THREADS == WARP) __syncwarp();
  else __syncthreads();
}

// Load N neighbours, from a multiple of their size or of 16 bytes.
template <int N> __device__ __forceinline__ void load(real *to, const real *from) {
  if constexpr (N % VALUES == 0) {
#pragma unroll
    for (int n = 0; n < N; n += VALUES) {
      const Piece piece = *reinterpret_cast<const Piece *>(from + n);
      to[n] = piece.x, to[n + 1] = piece.y;
#if !DOUBLE
      to[n + 2] = piece.z, to[n + 3] = piece.w;
#endif
    }
  } else {
    const float2 pair = *reinterpret_cast<const float2 *>(from);
    to[0] = pair.x, to[1] = pair.y;
  }
}

// Store four values, as pieces that are `step` values apart.
__device__ __forceinline__ void store(real *to, const real *values, int step) {
#if DOUBLE
  reinterpret_cast<Piece *>(to)[0] = make_double2(values[0], values[1]);
  *reinterpret_cast<Piece *>(to + step) = make_double2(values[2], values[3]);
#else
  *reinterpret_cast<Piece *>(to) = make_float4(values[0], values[1], values[2], values[3]);
#endif
}

// Where a matrix has the thread's weights from source k of its slice; their pieces are 32 pieces apart.
constexpr int STEP = WARP * VALUES;
__device__ __forceinline__ int quad(const Thread &t, int k) {
  return ((k / CHUNK * WARPS + t.warp) * CHUNK + k % CHUNK) * PIECES * STEP + t.lane * VALUES;
}
__device__ __forceinline__ void load_quad(real *to, const real *from) {
#pragma unroll
  for (int h = 0; h < PIECES; h++) load<VALUES>(to + h * VALUES, from + h * STEP);
}

// Copy matrices between packed weights and the block's: those lie in the same order, but for the turn within each quad.
__device__ __forceinline__ void copy_quads(real *to, const real *from, int count, const Thread &t) {
  const int turned = turn(t.slice);
#pragma unroll 2
  for (int at = t.index / WARP; at < count / (4 * WARP); at += THREADS / WARP) {
    const int place = at * 4 * WARP + t.lane * VALUES;
    real w[4], own[4];
    load_quad(w, from + place);
#pragma unroll
    for (int m = 0; m < 4; m++) {
      const real even = turned & 1 ? w[m ^ 1] : w[m], odd = turned & 1 ? w[m ^ 3] : w[m ^ 2];
      own[m] = turned & 2 ? odd : even;
    }
    store(to + place, own, STEP);
  }
}
__device__ __forceinline__ void copy(real *to, const real *from, int count, const Thread &t) {
#pragma unroll 1
  for (int at = t.index; at < count; at += THREADS) to[at] = from[at];
}

// The place in x of source i of the input layer; of none, a place whose weight is 0.
__device__ __forceinline__ int feature(int i, int features) {
  return i < features ? i : i < 2 * features ? i - features : 0;
}

// Load N neighbouring sources from i on: of the input layer from a row of x, whose second half is the first again.
template <bool INPUT, int N> __device__ __forceinline__ void load_sources(real *to, const real *row, int i, int features) {
#pragma unroll
  for (int n = 0; n < N; n += AT_ONCE) {
    if (!INPUT || features % AT_ONCE == 0) {
      load<AT_ONCE>(to + n, row + (INPUT ? feature(i + n, features) : i + n));
    } else {
#pragma unroll
      for (int a = n; a < n + AT_ONCE; a++) to[a] = row[feature(i + a, features)];
    }
  }
}

// Add the products of a matrix and ROWS rows of sources.
template <bool INPUT>
__device__ __forceinline__ void multiply(real (&z)[SUMS], const real *matrix, const real *const (&rows)[ROWS], int i0,
                                         int features, const Thread &t) {
#pragma unroll
  for (int k = 0; k < PER_SLICE; k += AT_ONCE) {
    real w[AT_ONCE][4], x[ROWS][AT_ONCE];
#pragma unroll
    for (int a = 0; a < AT_ONCE; a++) load_quad(w[a], matrix + quad(t, k + a));
#pragma unroll
    for (int r = 0; r < ROWS; r++)
      load_sources<INPUT, AT_ONCE>(x[r], rows[r], i0 + t.slice * PER_SLICE + k, features);
#pragma unroll
    for (int a = 0; a < AT_ONCE; a++)
#pragma unroll
      for (int r = 0; r < ROWS; r++)
#pragma unroll
        for (int m = 0; m < 4; m++) z[4 * r + m] = fma(x[r][a], w[a][m], z[4 * r + m]);
  }
}

// Add up over the slices, whose lanes are 4 apart: half of the values go to the other lane, half of its come. The rows of
// a thread are in such an order that it always keeps the first half; only targets have to be selected.
__device__ __forceinline__ void add_slices(real (&z)[SUMS], const Thread &t) {
  int left = SUMS;
#pragma unroll
  for (int bit = 16; bit >= 4; bit /= 2) {
    const bool upper = t.lane & bit, select = left <= 4;
    if (left == 1) {
      z[0] += __shfl_xor_sync(~0u, z[0], bit);
      continue;
    }
    left /= 2;
#pragma unroll
    for (int n = 0; n < SUMS / 2; n++) {
      if (n >= left) continue;
      const real kept = select && upper ? z[n + left] : z[n], sent = select && upper ? z[n] : z[n + left];
      z[n] = kept + __shfl_xor_sync(~0u, sent, bit);
    }
  }
}

// Lanes whose sums are then of the same row; without bit 4 where two threads have the same sum.
constexpr int SAME_ROW = ALONE ? 27 : ROWS == 2 ? 15 : ROWS == 4 ? 7 : 3;

// Compute the activities of a layer for all rows: from x, whose rows are `pitch` apart, or from the layer below.
template <bool INPUT>
__device__ __forceinline__ void run_layer(const real *matrix, const real *bias, const real *sources, int pitch, real *cells,
                                          real *slopes, real *squares, int features, int rows, real scale,
                                          const Thread &t) {
  const int first = ALONE ? t.slice / 2 : t.slice * OWN, j = t.target + first % 4;  // of the thread's sums in the end
  real b[OWN];
#pragma unroll
  for (int n = 0; n < OWN; n++) {
    b[n] = (real)BIAS * bias[j + n];
    if (N_BIAS > 1) b[n] += (real)BIAS * bias[P + j + n];
  }
#pragma unroll 1
  for (int row0 = t.team * ROWS; row0 < rows; row0 += TEAMS * ROWS) {
    real z[SUMS] = {};
    const real *row[ROWS];
#pragma unroll
    for (int r = 0; r < ROWS; r++) {
      const int at = row0 + (r ^ t.slice * ROWS / SLICES);
      row[r] = sources + (ALONE || at < rows ? at : rows - 1) * pitch;
    }
    if (INPUT) {
#pragma unroll 1
      for (int i = 0; i < 2 * features; i += P) multiply<true>(z, matrix + i * P, row, i, features, t);
    } else {
      multiply<false>(z, matrix, row, 0, 0, t);
    }
    add_slices(z, t);
    const int own = row0 + first / 4, at = own * P + j;
    const bool writes = own < rows && !(ALONE && t.slice & 1);
    real square = 0;
#pragma unroll
    for (int n = 0; n < OWN; n++) {
      z[n] += b[n];
#if RMS
      square += z[n] * z[n];
#else
      z[n] = activity<ACTIVATION>(z[n], scale);
      if (CELLS < P && j + n >= CELLS) z[n] = 0;
#endif
    }
    if (writes) {
      if (OWN == 4) store(cells + at, z, 2);
#pragma unroll
      for (int n = 0; n < OWN && OWN < 4; n++) cells[at + n] = z[n];
    }
#if RMS
#pragma unroll
    for (int bit = 16; bit; bit /= 2)
      if (bit & SAME_ROW) square += __shfl_xor_sync(~0u, square, bit);
    if (writes && (t.lane & SAME_ROW) == 0) squares[own * WARPS + t.warp] = square;
#endif
  }
  meet();
#if RMS
#pragma unroll 1
  for (int own = t.team * ROWS + first / 4; own < rows && !(ALONE && t.slice & 1); own += TEAMS * ROWS) {
    real total = 0;
#pragma unroll
    for (int w = 0; w < WARPS; w++) total += squares[own * WARPS + w];
    const real share = (real)1 / CELLS, root = sqrt(total * share + (real)RMS_EPS);
    const real inverse = 1 / (root + 0 * root);  // NaN where squares overflow
#pragma unroll
    for (int n = 0; n < OWN; n++) {
      const int at = own * P + j + n;
      const real z = cells[at] * inverse;
      cells[at] = CELLS < P && j + n >= CELLS ? 0 : activity<ACTIVATION>(z, scale);
      slopes[at] = (1 - z * z * share) * inverse;
    }
  }
  meet();
#endif
}

// Compute the output cells and the errors of all rows; return the sum of this thread's |errors|.
__device__ __forceinline__ double answer(const real *weights, const real *bias, const real *sources, const real *targets,
                                         real *cells, real *errors, int rows, real scale, const Thread &t) {
  const int count = rows * OUTPUT_CELLS, s = t.index % SLICES;  // eight neighbours for each cell
  double total = 0;
#pragma unroll 1
  for (int first = t.index / WARP * 4; first < count; first += THREADS / SLICES) {
    const int own = first + t.lane / SLICES, at = own < count ? own : count - 1;
    const int row = at / OUTPUT_CELLS, cell = at % OUTPUT_CELLS;
    real z = 0;
#pragma unroll
    for (int i = s; i < P; i += SLICES) z = fma(sources[row * P + i], weights[i * OUTPUT_CELLS + cell], z);
#pragma unroll
    for (int bit = 4; bit; bit /= 2) z += __shfl_xor_sync(~0u, z, bit);
    for (int n = 0; n < N_BIAS; n++) z += (real)BIAS * bias[n * OUTPUT_CELLS + cell];
    const real y = activity<OUTPUT_ACTIVATION>(z, scale);
    if (s == 0 && own < count) {
      cells[at] = y;
      if (cell < OUTPUTS) {
        const real error = targets[row * OUTPUTS + cell] - y;
        errors[row * OUTPUTS + cell] = error;
        total += fabs((double)error);
      }
    }
  }
  return total;
}

// Subtract from each output's errors their mean over the batch, which is summed up in double.
__device__ __forceinline__ void centre(real *errors, int rows, const Thread &t) {
  const int s = t.index % SLICES;
#pragma unroll 1
  for (int first = t.index / WARP * 4; first < OUTPUTS; first += THREADS / SLICES) {
    const int output = first + t.lane / SLICES, own = output < OUTPUTS ? rows : 0;
    double total = 0;
#pragma unroll 1
    for (int b = s; b < own; b += SLICES) total += errors[b * OUTPUTS + output];
#pragma unroll
    for (int bit = 4; bit; bit /= 2) total += __shfl_xor_sync(~0u, total, bit);
#pragma unroll 1
    for (int b = s; b < own; b += SLICES) errors[b * OUTPUTS + output] -= total / rows;
  }
}

// Set d to ±α · e · g of a row's four target cells: their weights' changes, but for the activity of the source.
__device__ __forceinline__ void derive(real *d, const real *cells, const real *slopes, const real *errors,
                                       const int (&teacher)[4], const real (&rate)[4], const Thread &t) {
  real y[4];
  load<4>(y, cells + t.target);
#pragma unroll
  for (int m = 0; m < 4; m++) d[m] = derivative<ACTIVATION>(y[m]) * (errors[teacher[m]] * rate[m]);
#if RMS
  load<4>(y, slopes + t.target);
#pragma unroll
  for (int m = 0; m < 4; m++) d[m] *= y[m];
#endif
}

// Whether a source of this sign learns from an error: under a split rule from those of its own sign alone, and a NaN.
__device__ __forceinline__ bool learns(real error, bool excitatory) {
  return !SPLIT || !(excitatory ? error < 0 : error > 0);
}

// A layer as an update sees it: where its arrays begin. `deltas` are slopes where δ is not kept.
struct Layer {
  real *matrix, *bias;
  const real *sources, *cells, *deltas;
};

// Learn each thread's weights from LEARNT sources, from i0 + k0 on, and the biases if this is the layer's first share.
template <bool INPUT>
__device__ __forceinline__ void learn(const Layer &layer, const real *errors, const int (&teacher)[4],
                                      const real (&rate)[4], int i0, int k0, int features, int rows, const Thread &t) {
  const int i = i0 + t.slice * PER_SLICE + k0, pitch = INPUT ? features : P;
  const int count = INPUT ? 2 * features : CELLS, half = INPUT ? features : WIDTH;
  real sum[LEARNT][4] = {}, w[LEARNT][4], rise[4] = {}, fall[4] = {}, *own = layer.matrix + i0 * P;
#pragma unroll
  for (int k = 0; k < LEARNT && ALONE; k++) load_quad(w[k], own + quad(t, k0 + k));
  const real *source = layer.sources, *delta = layer.deltas + t.target;
#pragma unroll 2
  for (int b = 0; b < (ALONE ? 1 : rows); b++, source += pitch, delta += P) {
    real x[LEARNT], d[4];
    if (ALONE) derive(d, layer.cells, layer.deltas, errors, teacher, rate, t);
    else load<4>(d, delta);
    load_sources<INPUT, LEARNT>(x, source, i, features);
    const real e = SPLIT ? errors[b] : 0;
    const bool rises = learns(e, true), falls = learns(e, false);
#pragma unroll
    for (int k = 0; k < LEARNT; k++)
#pragma unroll
      for (int m = 0; m < 4; m++)
        if (i + k < half ? rises : falls) sum[k][m] = fma(x[k], d[m], ALONE ? w[k][m] : sum[k][m]);
        else if (ALONE) sum[k][m] = w[k][m];
#pragma unroll
    for (int m = 0; m < 4; m++) {
      if (rises) rise[m] += d[m];
      if (SPLIT && falls) fall[m] += d[m];
    }
  }
#pragma unroll
  for (int k = 0; k < LEARNT; k++) {
    if (i + k >= count) continue;
    if (!ALONE) load_quad(w[k], own + quad(t, k0 + k));
#pragma unroll
    for (int m = 0; m < 4; m++) {
      const int j = t.target + m;
      w[k][m] = j < CELLS ? clamped(ALONE ? sum[k][m] : w[k][m] + sum[k][m], (i + k < half) == (j < WIDTH)) : 0;
    }
    store(own + quad(t, k0 + k), w[k], STEP);
  }
  if (i0 + k0 == 0 && t.slice < N_BIAS) {
    real *bias = layer.bias + t.slice * P + t.target, value[4];
    load<4>(value, bias);
#pragma unroll
    for (int m = 0; m < 4; m++)
      if (t.target + m < CELLS) value[m] = fma((real)BIAS, SPLIT && t.slice ? fall[m] : rise[m], value[m]);
    store(bias, value, 2);
  }
}

// The same of an output cell, see `derive`; its place is `at` in the arrays of all rows.
__device__ __forceinline__ real derive_output(const real *cells, const real *errors, int at, real rate) {
  const int row = at / OUTPUT_CELLS, cell = at % OUTPUT_CELLS;
  const real e = errors[row * OUTPUTS + cell % OUTPUTS] * (cell < OUTPUTS ? rate : -rate);
  return derivative<OUTPUT_ACTIVATION>(cells[at]) * e;
}

// Learn the weights and biases of the output layer; `cells` are δ already, unless a batch is one sample. The last threads
// have fewer shares of the other layers.
__device__ __forceinline__ void learn_output(real *weights, real *bias, const real *sources, const real *cells,
                                             const real *errors, int rows, real rate, const Thread &t) {
  constexpr int COUNT = (CELLS + N_BIAS) * OUTPUT_CELLS, NEEDED = (COUNT + THREADS - 1) / THREADS;
  constexpr int TOGETHER = !ALONE ? 1 : NEEDED < 4 ? NEEDED : 4;
#pragma unroll 1
  for (int first = THREADS - 1 - t.index; first < COUNT; first += TOGETHER * THREADS) {
    real sum[TOGETHER] = {}, learnt[TOGETHER];
    // Of places that there are not, the thread reads its first: others write to all others.
    auto place = [first](int n) { return first + n * THREADS < COUNT ? first + n * THREADS : first; };
#pragma unroll 4
    for (int b = 0; b < (ALONE ? 1 : rows); b++) {
#pragma unroll
      for (int n = 0; n < TOGETHER; n++) {
        const int i = place(n) / OUTPUT_CELLS, at = b * OUTPUT_CELLS + place(n) % OUTPUT_CELLS;
        const real d = ALONE ? derive_output(cells, errors, at, rate) : cells[at];
        const real e = SPLIT ? errors[b] : 0, x = i < CELLS ? sources[b * P + i] : (real)BIAS;
        if (learns(e, i < WIDTH || i == CELLS)) sum[n] = fma(x, d, sum[n]);
      }
    }
#pragma unroll
    for (int n = 0; n < TOGETHER; n++) {
      const int at = place(n), i = at / OUTPUT_CELLS;
      learnt[n] = (i < CELLS ? weights[at] : bias[at - CELLS * OUTPUT_CELLS]) + sum[n];
      if (i < CELLS) learnt[n] = clamped(learnt[n], (at % OUTPUT_CELLS < OUTPUTS) == (i < WIDTH));
    }
#pragma unroll
    for (int n = 0; n < TOGETHER; n++) {
      const int at = first + n * THREADS;
      if (at < COUNT) *(at < CELLS * OUTPUT_CELLS ? weights + at : bias + at - CELLS * OUTPUT_CELLS) = learnt[n];
    }
  }
}

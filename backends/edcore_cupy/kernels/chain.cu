// The forward pass of narrow networks: a block takes ROWS samples of one head through all layers, in one launch.
//
// A layer is a product of ROWS × P by P × P. Each warp has 16 targets; its lane 4 s + c has the weights from the P / 8
// sources of slice s to four of them. So a thread adds up 4 targets of each row over its own sources, three shuffles add
// up the slices, and each cell's f is computed by one lane. Activities are in shared memory, in two buffers in turn: one
// barrier a layer.
//
// Weights come through a ring in shared memory, and biases too where a layer is one chunk: its time is shorter than that
// of an answer of the memory. A thread copies there what it will itself read, so no thread waits for another: for its own
// copies alone. Beside the macros of common.cuh: ROWS, SLOTS of the ring.

constexpr int THREADS = 2 * P, LOADED = CHUNK * PIECES, TILE = (P < 512 ? 512 / P : 1) * P;
constexpr int UNROLLED = CHUNKS > 8 ? 2 : CHUNKS;  // of the chunks of a hidden layer: more need more registers
constexpr int OWN = ROWS > 1 ? ROWS / 2 : 1;  // rows for which a lane finishes its cell
constexpr bool WITH_BIAS = CHUNKS == 1;
constexpr bool UNBOUNDED = ACTIVATION == 2 || ACTIVATION == 4;  // a cell can be infinite
constexpr int SLOT = LOADED * THREADS + (WITH_BIAS ? N_BIAS * THREADS / VALUES : 0);  // pieces

__host__ __device__ constexpr int power_of_two(int least) {
  int power = 1;
  while (power < least) power *= 2;
  return power;
}
constexpr int BUFFER = power_of_two(ROWS * P * sizeof(real));  // bytes: so one bit tells the two buffers apart

// A value that the compiler keeps in a register: it would compute it again in each layer.
__device__ __forceinline__ int kept(int value) {
  asm volatile("" : "+r"(value));
  return value;
}

// What the bias cells add to a cell.
__device__ __forceinline__ real sum_biases(const real *bias, int pitch) {
  real sum = (real)BIAS * bias[0];
  if (N_BIAS > 1) sum += (real)BIAS * bias[pitch];
  return sum;
}

struct Ring {
  Piece *slot;        // of the chunk that is in registers; this thread's place in it
  const Piece *from;  // the chunk that is copied next
  const real *bias;   // of the cell that this thread finishes, in that layer
  Piece *start;
  int aside, left, bias_step;  // bytes from the place of weights to that of the bias; chunks to copy

  // Begin with the chunks of a matrix or of several, one after another.
  __device__ __forceinline__ void begin(const real *weights, const real *biases, int step, Piece *ring, int chunks) {
    const int t = threadIdx.x;
    start = slot = ring + t;
    from = reinterpret_cast<const Piece *>(weights) + t / WARP * LOADED * WARP + t % WARP;
    bias = biases;
    bias_step = step;
    aside = kept(LOADED * THREADS * sizeof(Piece) - t * (sizeof(Piece) - sizeof(real)));
    left = chunks;
#if __CUDA_ARCH__ < 800
    take();
#endif
#pragma unroll
    for (int i = 0; i < SLOTS; i++) copy(start + i * SLOT);
    wait();
  }

#if __CUDA_ARCH__ >= 800
  __device__ __forceinline__ void copy(Piece *to) {
    if (left > 0) {
      const unsigned at = __cvta_generic_to_shared(to);
#pragma unroll
      for (int k = 0; k < LOADED; k++)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(at + k * THREADS * 16), "l"(from + k * WARP)
                     : "memory");
#pragma unroll
      for (int n = 0; n < N_BIAS && WITH_BIAS; n++)
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2;" ::"r"(at + aside + n * THREADS * (int)sizeof(real)),
                     "l"(bias + n * P), "n"(sizeof(real)) : "memory");
    }
    step();
    asm volatile("cp.async.commit_group;" ::: "memory");
  }
  __device__ __forceinline__ void wait() { asm volatile("cp.async.wait_group %0;" ::"n"(SLOTS - 1) : "memory"); }
#else
  // Without asynchronous copies, the chunk that goes to the ring next is on its way to registers meanwhile.
  Piece coming[LOADED];
  real coming_bias[N_BIAS];
  __device__ __forceinline__ void take() {
    if (left > 0) {
#pragma unroll
      for (int k = 0; k < LOADED; k++) coming[k] = from[k * WARP];
#pragma unroll
      for (int n = 0; n < N_BIAS && WITH_BIAS; n++) coming_bias[n] = bias[n * P];
    }
    step();
  }
  __device__ __forceinline__ void copy(Piece *to) {
#pragma unroll
    for (int k = 0; k < LOADED; k++) to[k * THREADS] = coming[k];
#pragma unroll
    for (int n = 0; n < N_BIAS && WITH_BIAS; n++) bias_at(to)[n * THREADS] = coming_bias[n];
    take();
  }
  __device__ __forceinline__ void wait() {}
#endif

  __device__ __forceinline__ void step() {
    left--;
    from += LOADED * THREADS;
    if (WITH_BIAS) bias += bias_step;
  }
  __device__ __forceinline__ real *bias_at(Piece *place) {
    return reinterpret_cast<real *>(reinterpret_cast<char *>(place) + aside);
  }

  // Fill the slot whose chunk is in registers.
  __device__ __forceinline__ void refill() { copy(slot); }

  // Go to the next slot.
  __device__ __forceinline__ void advance() {
    wait();
    slot = slot == start + (SLOTS - 1) * SLOT ? start : slot + SLOT;
  }

  // Load the slot's weights from some of its sources, w[k] from source k.
  template <int FIRST, int END> __device__ __forceinline__ void load(real (&w)[CHUNK][4]) {
#pragma unroll
    for (int k = FIRST; k < END; k++)
#pragma unroll
      for (int h = 0; h < PIECES; h++) reinterpret_cast<Piece *>(w[k])[h] = slot[(k * PIECES + h) * THREADS];
  }

  // Return what the bias cells add, where the ring has it.
  __device__ __forceinline__ real load_bias() { return sum_biases(bias_at(slot), THREADS); }
};

// Load the activities of a chunk's sources.
__device__ __forceinline__ void load_sources(const char *y, real (&own)[CHUNK]) {
  if (CHUNK % VALUES == 0) {
#pragma unroll
    for (int k = 0; k < CHUNK / VALUES; k++)
      reinterpret_cast<Piece *>(own)[k] = reinterpret_cast<const Piece *>(y)[k];
  } else {
#pragma unroll
    for (int k = 0; k < CHUNK; k++) own[k] = reinterpret_cast<const real *>(y)[k];
  }
}

// Add what a chunk's sources give to 4 targets of a row.
__device__ __forceinline__ void multiply(const real (&own)[CHUNK], const real (&w)[CHUNK][4], real (&sum)[4 * ROWS], int r) {
#pragma unroll
  for (int k = 0; k < CHUNK; k++)
#pragma unroll
    for (int m = 0; m < 4; m++) sum[m * ROWS + r] = fma(own[k], w[k][m], sum[m * ROWS + r]);
}

// Add up over lanes a distance apart: each keeps the first half of its values, which are the second half of the other's.
template <int HALF> __device__ __forceinline__ void fold(real *sum, int distance) {
#pragma unroll
  for (int i = 0; i < HALF; i++) sum[i] += __shfl_xor_sync(~0u, sum[i + HALF], distance);
}

// The last step for one row alone: both lanes have its sum.
template <> __device__ __forceinline__ void fold<0>(real *sum, int distance) {
  sum[0] += __shfl_xor_sync(~0u, sum[0], distance);
}

#if RMS
// Divide the sums of a row by the root of their mean square, and set the factors of g. All threads of the block meet.
__device__ __forceinline__ void divide(real (&z)[OWN], real (&slope)[OWN], real (&squares)[ROWS][WARPS], int first) {
  int lane = threadIdx.x % WARP;
#pragma unroll
  for (int i = 0; i < OWN; i++) {
    real square = z[i] * z[i];
    for (int distance : {1, 2, 8, 16}) square += __shfl_xor_sync(~0u, square, distance);
    if (lane == 0 || (ROWS > 1 && lane == 4)) squares[first + i][threadIdx.x / WARP] = square;
  }
  __syncthreads();
#pragma unroll
  for (int i = 0; i < OWN; i++) {
    real total = 0;
#pragma unroll
    for (int warp = 0; warp < WARPS; warp++) total += squares[first + i][warp];
    real root = sqrt(total / CELLS + (real)RMS_EPS);
    root += 0 * root;  // NaN where squares overflow
    z[i] /= root;
    slope[i] = (1 - z[i] * z[i] / CELLS) / root;
  }
}
#endif

extern "C" __global__ void __launch_bounds__(THREADS, 1)
chain(const real *__restrict__ weights, const real *__restrict__ x, const int *__restrict__ order,
      const real *__restrict__ target, const unsigned char *__restrict__ learning, real *__restrict__ results,
      real *__restrict__ record, int features, int depth, int heads, int batch, int start, real scale) {
  // `order` is null: the batch is x itself, and results are outputs. Else it has the rows, and they are errors.
  extern __shared__ __align__(16) unsigned char memory[];
  __shared__ __align__(16) char ys[2 * BUFFER];
  const int t = threadIdx.x, lane = t % WARP, warp = t / WARP, s = lane / GROUPS, c = lane % GROUPS;
  const int tiles = (batch + ROWS - 1) / ROWS, head = blockIdx.x / tiles, row0 = blockIdx.x % tiles * ROWS;
  if (learning && !learning[head]) return;
  const Parts parts(features, depth, heads);
  Piece *slots = reinterpret_cast<Piece *>(memory);
  real *xs = reinterpret_cast<real *>(slots + SLOTS * SLOT);  // ROWS × TILE

  // After the sum over slices a lane has this cell, of OWN rows from `first` on: those that it has before the others.
  const int own = 16 * warp + 4 * c + turn(s), first = ROWS > 1 ? s % 2 * OWN : 0;
  const bool writes = ROWS > 1 || s % 2 == 0;
  auto row = [&](int r) { return r < OWN ? first + r : OWN - first + r - OWN; };
  real *recorded = record ? record + layer_at(head, 0, depth, batch) + (Size)(row0 + first) * P + own : nullptr;
#if RMS
  __shared__ real squares[2][ROWS][WARPS];
  const Size to_slope = slopes_at(heads, depth, batch);
#endif

  Ring ring;
  real w[CHUNK][4], sum[4 * ROWS];
#pragma unroll
  for (int i = 0; i < 4 * ROWS; i++) sum[i] = 0;
  int to = kept((first * P + own) * sizeof(real)), odd = 0;
  const bool keeps = record && writes;
  const int rows = kept(keeps ? batch - row0 - first : 0);  // that are recorded
  // From the sums of a thread to activities, which the next layer reads. While the lanes wait for each other, the next
  // layer's weights are loaded; the barriers of a warp keep the compiler from loading them all at the end.
  auto finish = [&](real b, bool hidden) {
    real next_b = 0;
    fold<2 * ROWS>(sum, 16);
    if (hidden) {
      __syncwarp();
      ring.advance();
      ring.load<0, CHUNK / 2>(w);
    }
    fold<ROWS>(sum, 8);
    if (hidden) {
      __syncwarp();
      ring.load<CHUNK / 2, CHUNK>(w);
      if (WITH_BIAS) next_b = ring.load_bias();
      __syncwarp();
    }
    fold<ROWS / 2>(sum, 4);
    real y[OWN];
#if RMS
    real slope[OWN];
#pragma unroll
    for (int i = 0; i < OWN; i++) y[i] = sum[i] + b;
    divide(y, slope, squares[odd], first);
    odd ^= 1;
#pragma unroll
    for (int i = 0; i < OWN; i++) y[i] = activity<ACTIVATION>(y[i], scale);
#else
    real scaled = scale * b;
#pragma unroll
    for (int i = 0; i < OWN; i++)
      y[i] = ACTIVATION == 0 ? sigmoid(fma(scale, sum[i], scaled)) : activity<ACTIVATION>(sum[i] + b, scale);
#endif
#pragma unroll
    for (int i = 0; i < OWN; i++) {
      if (UNBOUNDED && CELLS < P && own >= CELLS) y[i] = 0;  // an infinite source times 0 is NaN
      if (writes) *reinterpret_cast<real *>(ys + to + i * P * sizeof(real)) = y[i];
      if (i < rows) {
        recorded[i * P] = y[i];
#if RMS
        recorded[to_slope + i * P] = slope[i];
#endif
      }
    }
    recorded += (Size)batch * P;
    to ^= BUFFER;
#pragma unroll
    for (int i = 0; i < 4 * ROWS; i++) sum[i] = 0;
    __syncthreads();
    return next_b;
  };

  // The input layer, whose sources are x and x again: a matrix for each P of them, and a tile of x at a time.
  const real *biases = weights + parts.input_bias + head * N_BIAS * P + own;
  ring.begin(weights + (Size)head * parts.units * UNIT, biases, 0, slots, parts.units * CHUNKS);
  ring.load<0, CHUNK>(w);
  for (int unit = 0; unit < parts.units; unit++) {
    const int at = unit * P % TILE;
    if (at == 0) {
      __syncthreads();  // all have used the tile before
      for (int e = t; e < ROWS * TILE; e += THREADS) {
        const int r = e / TILE, i = unit * P + e % TILE;
        real value = 0;
        if (row0 + r < batch && i < 2 * features) {
          const Size sample = order ? order[start + row0 + r] : row0 + r;
          value = x[sample * features + (i < features ? i : i - features)];
        }
        xs[e] = value;
      }
      __syncthreads();
    }
#pragma unroll 1
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
      ring.refill();
#pragma unroll
      for (int r = 0; r < ROWS; r++) {
        alignas(16) real y[CHUNK];
        load_sources(reinterpret_cast<char *>(xs + row(r) * TILE + at + s * PER_SLICE + chunk * CHUNK), y);
        multiply(y, w, sum, r);
      }
      ring.advance();
      ring.load<0, CHUNK>(w);
    }
  }
  finish(sum_biases(biases, P), false);

  // The hidden layers.
  real b = 0;
  if (depth > 0) {
    biases = weights + parts.hidden_bias + (Size)head * depth * N_BIAS * P + own;
    b = sum_biases(biases, P);
    ring.begin(weights + parts.hidden + (Size)head * depth * UNIT, biases, N_BIAS * P, slots, depth * CHUNKS);
    ring.load<0, CHUNK>(w);
  }
  int from = kept((first * P + s * PER_SLICE) * sizeof(real));
  int other = kept(((OWN - first) * P + s * PER_SLICE) * sizeof(real));
#pragma unroll 1
  for (int left = depth; left > 0; left--) {
    real next_b = 0;
    if (!WITH_BIAS && left > 1) {
      biases += N_BIAS * P;
      next_b = sum_biases(biases, P);
    }
#pragma unroll UNROLLED
    for (int chunk = 0; chunk < CHUNKS; chunk++) {
      alignas(16) real y[ROWS][CHUNK];
#pragma unroll
      for (int r = 0; r < ROWS; r++) {
        const int at = r < OWN ? from + r * P * sizeof(real) : other + (r - OWN) * P * sizeof(real);
        load_sources(ys + at + chunk * CHUNK * sizeof(real), y[r]);
      }
      ring.refill();
#pragma unroll
      for (int r = 0; r < ROWS; r++) multiply(y[r], w, sum, r);
      if (chunk + 1 < CHUNKS) {
        ring.advance();
        ring.load<0, CHUNK>(w);
      }
    }
    from ^= BUFFER;
    other ^= BUFFER;
    const real in_ring = finish(b, true);
    b = WITH_BIAS ? in_ring : next_b;
  }

  // The output cells: a warp for each of them and each row in turn.
  const real *last = reinterpret_cast<real *>(ys + depth % 2 * BUFFER), *weight = weights + parts.output;
  weight += (Size)head * P * OUTPUT_CELLS;
  for (int e = warp; e < ROWS * OUTPUT_CELLS; e += WARPS) {
    const int r = e / OUTPUT_CELLS, cell = e % OUTPUT_CELLS;
    real z = 0;
    for (int i = lane; i < P; i += WARP) z = fma(last[r * P + i], weight[i * OUTPUT_CELLS + cell], z);
#pragma unroll
    for (int distance = WARP / 2; distance; distance /= 2) z += __shfl_xor_sync(~0u, z, distance);
    if (lane || row0 + r >= batch) continue;
    for (int n = 0; n < N_BIAS; n++)
      z += (real)BIAS * weights[parts.output_bias + (head * N_BIAS + n) * OUTPUT_CELLS + cell];
    real y = activity<OUTPUT_ACTIVATION>(z, scale);
    if (record) record[outputs_at(heads, depth, batch) + ((Size)head * batch + row0 + r) * OUTPUT_CELLS + cell] = y;
    if (cell < OUTPUTS) {
      const int columns = heads * OUTPUTS, column = head * OUTPUTS + cell;
      if (order) y = target[(Size)order[start + row0 + r] * columns + column] - y;
      results[(Size)(start + row0 + r) * columns + column] = y;
    }
  }
}

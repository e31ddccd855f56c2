// What the kernels of narrow networks share: numbers, the order of the weights, activations and their derivatives.
//
// Macros say what a kernel is compiled for, see edcore_cupy/programs.py: DOUBLE (0: float), CELLS of a hidden layer, P
// (CELLS, and more that are always 0), CHUNK (sources of a slice that are copied at once), N_BIAS and BIAS, ACTIVATION
// and OUTPUT_ACTIVATION (their place in ACTIVATIONS), RMS, OUTPUTS and OUTPUT_CELLS of a head.

// The bits of absolute values are in the order of the values, and NaN is the last.
#if DOUBLE
typedef double real;
typedef double2 Piece;
typedef unsigned long long Bits;
__device__ __forceinline__ Bits bits(double value) { return __double_as_longlong(value); }
__device__ __forceinline__ double number(Bits value) { return __longlong_as_double(value); }
#else
typedef float real;
typedef float4 Piece;
typedef unsigned int Bits;
__device__ __forceinline__ Bits bits(float value) { return __float_as_uint(value); }
__device__ __forceinline__ float number(Bits value) { return __uint_as_float(value); }
#endif
typedef long long Size;

constexpr int SLICES = 8, GROUPS = 4, WARP = 32;     // lane 4 s + c of a warp has the sources of slice s, to 4 targets
constexpr int WARPS = P / 16, PER_SLICE = P / SLICES, CHUNKS = PER_SLICE / CHUNK;
constexpr int VALUES = 16 / sizeof(real), PIECES = 4 / VALUES;  // values of a piece, pieces of 4 targets
constexpr int UNIT = P * P, WIDTH = CELLS / 2;

// The order of a lane's 4 targets: that of value m is m ^ turn(s). So in each sum over slices, all lanes keep the values
// at the same places and send the others: no lane has to select. `_order` in layout.py has the order of whole matrices: a
// chunk of all threads lies together, and what 32 lanes read at once are 512 bytes in a row.
__device__ __forceinline__ int turn(int s) { return (s >> 1 & 2) + (s >> 1 & 1); }

// Where each part of the weights begins, in one array, for networks of so many features, layers and heads.
struct Parts {
  Size hidden, input_bias, hidden_bias, output, output_bias;
  int units;  // of the input layer, of P sources each
  __device__ Parts(int features, int depth, int heads) {
    units = (2 * features + P - 1) / P;
    hidden = (Size)heads * units * UNIT;
    input_bias = hidden + (Size)heads * depth * UNIT;
    hidden_bias = input_bias + (Size)heads * N_BIAS * P;
    output = hidden_bias + (Size)heads * depth * N_BIAS * P;
    output_bias = output + (Size)heads * P * OUTPUT_CELLS;
  }
};

// Where a record has the activities of a layer (0: the input layer) of a head, in parts of batch × P; after them the slopes
// in the same order, if there are any, and then the activities of the output cells, (heads, batch, OUTPUT_CELLS).
__device__ __forceinline__ Size layer_at(int head, int layer, int depth, int batch) {
  return ((Size)head * (depth + 1) + layer) * batch * P;
}
__device__ __forceinline__ Size slopes_at(int heads, int depth, int batch) { return layer_at(heads, 0, depth, batch); }
__device__ __forceinline__ Size outputs_at(int heads, int depth, int batch) {
  return layer_at(heads, 0, depth, batch) * (RMS ? 2 : 1);
}

// 1 / (1 + 2^t). Where 2^t is infinite this is 0, and NaN stays NaN.
__device__ __forceinline__ float sigmoid(float t) {
  float power, y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(t));
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(1.0f + power));
  return y;
}
__device__ __forceinline__ double sigmoid(double t) { return 1.0 / (1.0 + exp2(t)); }

// f of a sum; `scale` is −2 / (u0 ln 2), which the sigmoid alone uses. No comparison may lose a NaN.
template <int NAME> __device__ __forceinline__ real activity(real z, real scale) {
  if (NAME == 0) return sigmoid(scale * z);
  if (NAME == 1) return tanh(z);
  if (NAME == 2) return z < 0 ? 0 : z;
  if (NAME == 3) return z > 6 ? 6 : z < 0 ? 0 : z;
  return z;
}

// Return a weight that has learnt, at least at the floor if there is one. No comparison may lose a NaN.
__device__ __forceinline__ real clamped(real weight, bool positive) {
#ifdef FLOOR
  const real floor = FLOOR;
  return positive ? (weight < floor ? floor : weight) : weight > -floor ? -floor : weight;
#else
  return weight;
#endif
}

// g of an activity.
template <int NAME> __device__ __forceinline__ real derivative(real y) {
  if (NAME == 0) return y * (1 - y);
  if (NAME == 1) return 1 - y * y;
  if (NAME == 2) return y > 0 ? 1 : 0;
  if (NAME == 3) return y > 0 && y < 6 ? 1 : 0;
  return 1;
}

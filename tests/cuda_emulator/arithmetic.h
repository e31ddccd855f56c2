/* What PTX instructions compute from values alone. Names end with the type where C's own operators do not tell it. */
#pragma once
#include <fenv.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

static inline float emu_float(uint32_t bits) { float value; memcpy(&value, &bits, 4); return value; }
static inline double emu_double(uint64_t bits) { double value; memcpy(&value, &bits, 8); return value; }
static inline uint32_t emu_bits_f32(float value) { uint32_t bits; memcpy(&bits, &value, 4); return bits; }
static inline uint64_t emu_bits_f64(double value) { uint64_t bits; memcpy(&bits, &value, 8); return bits; }

/* .ftz and .sat: subnormal numbers become zeros of their sign; NaN becomes +0. */
static inline float emu_flush(float x) { return fabsf(x) < 0x1p-126f ? copysignf(0, x) : x; }
static inline float emu_saturate_f32(float x) { return x > 0 ? (x < 1 ? x : 1) : 0; }
static inline double emu_saturate_f64(double x) { return x > 0 ? (x < 1 ? x : 1) : 0; }

/* Rounding that is not to nearest. Values are volatile, so that the compiler computes between both changes of mode. */
#define EMU_ROUNDED(type, mode, expression) \
  fesetround(mode); volatile type result_ = (expression); fesetround(FE_TONEAREST); return result_
#define EMU_DIRECTED(name, mode, suffix, type, fused, root) \
  static inline type emu_add_##name##_##suffix(volatile type a, volatile type b) { EMU_ROUNDED(type, mode, a + b); } \
  static inline type emu_sub_##name##_##suffix(volatile type a, volatile type b) { EMU_ROUNDED(type, mode, a - b); } \
  static inline type emu_mul_##name##_##suffix(volatile type a, volatile type b) { EMU_ROUNDED(type, mode, a * b); } \
  static inline type emu_div_##name##_##suffix(volatile type a, volatile type b) { EMU_ROUNDED(type, mode, a / b); } \
  static inline type emu_sqrt_##name##_##suffix(volatile type a) { EMU_ROUNDED(type, mode, root(a)); } \
  static inline type emu_fma_##name##_##suffix(volatile type a, volatile type b, volatile type c) { \
    EMU_ROUNDED(type, mode, fused(a, b, c)); \
  } \
  static inline type emu_from_s_##name##_##suffix(volatile int64_t a) { EMU_ROUNDED(type, mode, (type)a); } \
  static inline type emu_from_u_##name##_##suffix(volatile uint64_t a) { EMU_ROUNDED(type, mode, (type)a); } \
  static inline type emu_from_f_##name##_##suffix(volatile double a) { EMU_ROUNDED(type, mode, (type)a); }
#define EMU_NEAREST(suffix, type, fused, root) \
  static inline type emu_add_rn_##suffix(type a, type b) { return a + b; } \
  static inline type emu_sub_rn_##suffix(type a, type b) { return a - b; } \
  static inline type emu_mul_rn_##suffix(type a, type b) { return a * b; } \
  static inline type emu_div_rn_##suffix(type a, type b) { return a / b; } \
  static inline type emu_sqrt_rn_##suffix(type a) { return root(a); } \
  static inline type emu_fma_rn_##suffix(type a, type b, type c) { return fused(a, b, c); } \
  static inline type emu_from_s_rn_##suffix(int64_t a) { return (type)a; } \
  static inline type emu_from_u_rn_##suffix(uint64_t a) { return (type)a; } \
  static inline type emu_from_f_rn_##suffix(double a) { return (type)a; }
EMU_NEAREST(f32, float, fmaf, sqrtf)
EMU_NEAREST(f64, double, fma, sqrt)
EMU_DIRECTED(rz, FE_TOWARDZERO, f32, float, fmaf, sqrtf)
EMU_DIRECTED(rz, FE_TOWARDZERO, f64, double, fma, sqrt)
EMU_DIRECTED(rm, FE_DOWNWARD, f32, float, fmaf, sqrtf)
EMU_DIRECTED(rm, FE_DOWNWARD, f64, double, fma, sqrt)
EMU_DIRECTED(rp, FE_UPWARD, f32, float, fmaf, sqrtf)
EMU_DIRECTED(rp, FE_UPWARD, f64, double, fma, sqrt)

/* Approximations: a result in double as a float. Hardware's may be off by `most` of it. With EMU_ROUGH these are, up or
 * down as a hash of the result has it, unless a float has the result exactly. Those in double have a lower word of zero. */
static inline float emu_about(double result, double most) {
  float value = (float)result;
#ifdef EMU_ROUGH
  if (value == result || !isfinite(value)) return value;
  uint32_t hash = emu_bits_f32(value) * 2654435761u;
  value = (float)(result * (hash >> 31 ? 1 + most : 1 - most));
#endif
  return value;
}
static inline float emu_div_full(float a, float b) { return emu_about((double)a / b, 0x1.8p-23); }
static inline float emu_div_approx(float a, float b) {
  return fabsf(b) > 0x1p126f && isfinite(b) ? a * copysignf(0, b) : emu_div_full(a, b);
}
static inline float emu_rcp_f32(float x) { return emu_about(1 / (double)x, 0x1p-23); }
static inline float emu_sqrt_f32(float x) { return emu_about(sqrt((double)x), 0x1p-23); }
static inline float emu_rsqrt_f32(float x) { return emu_about(1 / sqrt((double)x), 0x1.2p-23); }
static inline float emu_ex2_f32(float x) { return emu_about(exp2((double)x), 0x1p-22); }
static inline float emu_lg2_f32(float x) { return emu_about(log2((double)x), 0x1p-22); }
static inline float emu_sin_f32(float x) { return emu_about(sin((double)x), 0x1p-21); }
static inline float emu_cos_f32(float x) { return emu_about(cos((double)x), 0x1p-21); }
static inline float emu_tanh_f32(float x) { return emu_about(tanh((double)x), 0x1p-11); }
static inline double emu_rcp_upper(double x) {
  double flushed = fabs(x) < 0x1p-1022 ? copysign(0, x) : x, result = 1 / flushed;
  return fabs(result) < 0x1p-1022 ? copysign(0, x) : emu_double(emu_bits_f64(result) & ~0xffffffffull);
}
static inline double emu_rsqrt_upper(double x) {
  double flushed = fabs(x) < 0x1p-1022 ? copysign(0, x) : x;
  return emu_double(emu_bits_f64(1 / sqrt(flushed)) & ~0xffffffffull);
}

/* A NaN gives way to a number, unless .NaN asks for it, and -0 is below +0. */
#define EMU_EXTREMES(suffix, type) \
  static inline type emu_min_##suffix(type a, type b) { \
    return isnan(a) ? b : isnan(b) ? a : a == b ? (signbit(a) ? a : b) : a < b ? a : b; \
  } \
  static inline type emu_max_##suffix(type a, type b) { \
    return isnan(a) ? b : isnan(b) ? a : a == b ? (signbit(a) ? b : a) : a > b ? a : b; \
  } \
  static inline type emu_min_nan_##suffix(type a, type b) { return isunordered(a, b) ? NAN : emu_min_##suffix(a, b); } \
  static inline type emu_max_nan_##suffix(type a, type b) { return isunordered(a, b) ? NAN : emu_max_##suffix(a, b); }
EMU_EXTREMES(f32, float)
EMU_EXTREMES(f64, double)

/* Whole numbers. What PTX leaves open (division by zero) is what hardware gives: all bits set. */
#define EMU_WHOLE(bits, U, S, twice) \
  static inline U emu_div_u##bits(U a, U b) { return b ? a / b : (U)-1; } \
  static inline U emu_rem_u##bits(U a, U b) { return b ? a % b : a; } \
  static inline S emu_div_s##bits(S a, S b) { return b == 0 ? -1 : b == -1 ? (S)(0 - (U)a) : a / b; } \
  static inline S emu_rem_s##bits(S a, S b) { return b == 0 ? a : b == -1 ? 0 : a % b; } \
  static inline U emu_high_u##bits(U a, U b) { return (U)(((unsigned twice)a * b) >> bits); } \
  static inline S emu_high_s##bits(S a, S b) { return (S)(((twice)a * b) >> bits); } \
  static inline U emu_shl_##bits(U a, uint32_t n) { return n < bits ? (U)(a << n) : 0; } \
  static inline U emu_shr_u##bits(U a, uint32_t n) { return n < bits ? a >> n : 0; } \
  static inline S emu_shr_s##bits(S a, uint32_t n) { return a >> (n < bits ? n : bits - 1); }
EMU_WHOLE(16, uint16_t, int16_t, int)
EMU_WHOLE(32, uint32_t, int32_t, long)
EMU_WHOLE(64, uint64_t, int64_t, __int128)

static inline int32_t emu_add_sat(int32_t a, int32_t b) {
  int64_t sum = (int64_t)a + b;
  return sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : (int32_t)sum;
}
static inline int32_t emu_sub_sat(int32_t a, int32_t b) {
  int64_t sum = (int64_t)a - b;
  return sum > INT32_MAX ? INT32_MAX : sum < INT32_MIN ? INT32_MIN : (int32_t)sum;
}

/* A float, already rounded, as a whole number of `bits` bits: what lies outside becomes the nearest. NaN is 0; where
 * one of both types is `wide`, of 64 bits, it is the highest bit alone. */
static inline int64_t emu_signed(double x, int bits, int wide) {
  const int64_t high = (int64_t)(~0ull >> (65 - bits));
  const double beyond = ldexp(1, bits - 1);
  if (isnan(x)) return wide ? -high - 1 : 0;
  return x >= beyond ? high : x < -beyond ? -high - 1 : (int64_t)x;
}
static inline uint64_t emu_unsigned(double x, int bits, int wide) {
  if (isnan(x)) return wide ? 1ull << (bits - 1) : 0;
  return x <= 0 ? 0 : x >= ldexp(1, bits) ? ~0ull >> (64 - bits) : (uint64_t)x;
}
/* A whole number in the range of a narrower type (cvt.sat). */
static inline int64_t emu_clamp_s(__int128 x, int bits) {
  const int64_t high = (int64_t)(~0ull >> (65 - bits));
  return x < -high - 1 ? -high - 1 : x > high ? high : (int64_t)x;
}
static inline uint64_t emu_clamp_u(__int128 x, int bits) {
  const uint64_t high = ~0ull >> (64 - bits);
  return x < 0 ? 0 : x > high ? high : (uint64_t)x;
}

/* Bits. Positions and lengths are taken modulo 256, as PTX says. */
static inline uint64_t emu_mask(uint32_t length) { return length > 63 ? ~0ull : (1ull << length) - 1; }
static inline uint64_t emu_insert(uint64_t a, uint64_t b, uint32_t position, uint32_t length, uint32_t bits) {
  position &= 255, length &= 255;
  uint64_t mask = position < bits ? emu_mask(length) << position : 0;
  return (b & ~mask) | (position < bits ? (a << position) & mask : 0);
}
static inline uint64_t emu_extract(uint64_t a, uint32_t position, uint32_t length, uint32_t bits, int is_signed) {
  position &= 255, length &= 255;
  uint32_t last = position + length - 1 < bits - 1 ? position + length - 1 : bits - 1;
  uint64_t sign = is_signed && length && a >> last & 1 ? ~0ull : 0;
  uint64_t found = position < bits ? a >> position : sign;
  uint32_t kept = position + length > bits ? (position < bits ? bits - position : 0) : length;
  return (found & emu_mask(kept)) | (sign & ~emu_mask(kept));
}
static inline uint32_t emu_find(uint64_t a, uint32_t bits, int is_signed, int shift) {
  if (is_signed && a >> (bits - 1) & 1) a = ~a & emu_mask(bits);
  if (!a) return ~0u;
  uint32_t place = 63 - __builtin_clzll(a);
  return shift ? bits - 1 - place : place;
}
static inline uint64_t emu_reverse(uint64_t a, int bits) {
  uint64_t result = 0;
  for (int i = 0; i < bits; i++) result |= (a >> i & 1) << (bits - 1 - i);
  return result;
}
static inline uint32_t emu_logic(uint32_t a, uint32_t b, uint32_t c, uint32_t table) {
  uint32_t result = 0;
  for (int i = 0; i < 8; i++)
    if (table >> i & 1) result |= (i & 4 ? a : ~a) & (i & 2 ? b : ~b) & (i & 1 ? c : ~c);
  return result;
}
static inline uint32_t emu_permute(uint32_t a, uint32_t b, uint32_t control) {
  uint64_t both = (uint64_t)b << 32 | a;
  uint32_t result = 0;
  for (int i = 0; i < 4; i++) {
    uint32_t choice = control >> 4 * i & 15, byte = both >> 8 * (choice & 7) & 255;
    if (choice & 8) byte = byte & 128 ? 255 : 0;
    result |= byte << 8 * i;
  }
  return result;
}
static inline uint32_t emu_funnel_left(uint32_t a, uint32_t b, uint32_t n) {
  return (uint32_t)((((uint64_t)b << 32 | a) << n) >> 32);
}
static inline uint32_t emu_funnel_right(uint32_t a, uint32_t b, uint32_t n) {
  return (uint32_t)(((uint64_t)b << 32 | a) >> n);
}

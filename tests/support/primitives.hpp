// The arithmetic words of backend simd as functions of arrays, one table per instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

namespace flashring::test {

struct Primitives {
  const char *target;
  bool floor;  ///< arguments are split at whole numbers below; underflow is gradual
  void (*exp2_degree3)(const float *in, float *out, std::size_t count, bool flush_subnormals);
  void (*exp2_degree5)(const float *in, float *out, std::size_t count, bool flush_subnormals);
  void (*exp2_degree11)(const double *in, double *out, std::size_t count, bool flush_subnormals);
  void (*exp2_or_infinity_degree3)(const float *in, float *out, std::size_t count);
  void (*exp2_or_infinity_degree5)(const float *in, float *out, std::size_t count);
  void (*exp2_or_infinity_degree11)(const double *in, double *out, std::size_t count);
  void (*sqrt_fp32)(const float *in, float *out, std::size_t count);
  void (*sqrt_fp64)(const double *in, double *out, std::size_t count);
  /// out[i] = log2(y[i]), y = 1 + x
  void (*log2_1p_fp32)(const float *x, const float *y, float *out, std::size_t count);
  void (*log2_1p_fp64)(const double *x, const double *y, double *out, std::size_t count);
  /// sum[i] += a.low b.low + a.high b.high
  void (*multiply_pairs)(const std::int32_t *a, const std::int32_t *b, std::int32_t *sum, std::size_t count);
  void (*multiply_pairs_fused)(const std::int32_t *a, const std::int32_t *b, std::int32_t *sum, std::size_t count);
};

}  // namespace flashring::test

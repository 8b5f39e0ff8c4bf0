// The words of one thread on a device, which the bodies of kernels are written for (weights.hpp says which). The only
// file here that names instructions; read by the CUDA compiler alone.
#pragma once

#include <cstddef>

namespace flashring::sm80 {

class DeviceThread {
 public:
  __device__ __forceinline__ explicit DeviceThread(std::byte *shared) : shared_(shared) {}
  __device__ __forceinline__ int thread() const { return static_cast<int>(threadIdx.x); }
  __device__ __forceinline__ int lane() const { return static_cast<int>(threadIdx.x) % 32; }
  __device__ __forceinline__ int warp() const { return static_cast<int>(threadIdx.x) / 32; }
  __device__ __forceinline__ int block() const { return static_cast<int>(blockIdx.x); }
  __device__ __forceinline__ std::byte *shared() const { return shared_; }
  __device__ __forceinline__ void sync() const { __syncthreads(); }
  __device__ __forceinline__ void sync_warp() const { __syncwarp(); }
  /// The value of lane() ^ mask. All threads of a warp call it together.
  __device__ __forceinline__ float shuffle_xor(float a, int mask) const { return __shfl_xor_sync(~0U, a, mask); }
  __device__ __forceinline__ double shuffle_xor(double a, int mask) const { return __shfl_xor_sync(~0U, a, mask); }

  /// One instruction each; of a number and NaN the number.
  static __device__ __forceinline__ float least(float a, float b) { return ::fminf(a, b); }
  static __device__ __forceinline__ float most(float a, float b) { return ::fmaxf(a, b); }
  static __device__ __forceinline__ float fma(float a, float b, float c) { return __fmaf_rn(a, b, c); }
  static __device__ __forceinline__ double fma(double a, double b, double c) { return __fma_rn(a, b, c); }
  /// 2^-23 at most in relative error, as the PTX manual states it; one step of the special unit and two
  /// multiplications.
  static __device__ __forceinline__ float sqrt(float a) {
    float root;
    asm("sqrt.approx.ftz.f32 %0, %1;" : "=f"(root) : "f"(a));
    return root;
  }
  static __device__ __forceinline__ double sqrt(double a) { return __dsqrt_rn(a); }
  // The library's: the special unit's logarithm has 2^-22 of error, which rational_quadratic multiplies with ln k.
  static __device__ __forceinline__ float log2(float a) { return ::log2f(a); }
  static __device__ __forceinline__ double log2(double a) { return ::log2(a); }
  static __device__ __forceinline__ float ceil(float a) { return ::ceilf(a); }
  static __device__ __forceinline__ double ceil(double a) { return ::ceil(a); }
  /// The special unit: 2 units in the last place; numbers below the smallest normal one are taken and given as 0.
  static __device__ __forceinline__ float exp2(float a) {
    float power;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(a));
    return power;
  }

 private:
  std::byte *shared_;
};

}  // namespace flashring::sm80

// The words of one thread on a device, which the bodies of kernels are written for (weights.hpp says which). The only
// file here that names instructions; read by the CUDA compiler alone.
#pragma once

#include <cstddef>
#include <cstdint>

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
  /// The same; whether any thread of the block brings true.
  __device__ __forceinline__ bool sync_or(bool any) const { return __syncthreads_or(any ? 1 : 0) != 0; }
  __device__ __forceinline__ void sync_warp() const { __syncwarp(); }
  /// The value of lane() ^ mask. All threads of a warp call it together.
  template <class T>
  __device__ __forceinline__ T shuffle_xor(T value, int mask) const {
    return __shfl_xor_sync(~0U, value, mask);
  }

  /// One instruction each; of a number and NaN the number.
  static __device__ __forceinline__ float least(float a, float b) { return ::fminf(a, b); }
  static __device__ __forceinline__ float most(float a, float b) { return ::fmaxf(a, b); }
  /// sum += a b for A (16 x 16), B (16 x 8) of bf16 numbers and sums (16 x 8), spread over the lanes as the manual of
  /// PTX shows for mma.m16n8k16.
  __device__ __forceinline__ void mma_bf16(float (&sum)[4], const std::uint32_t (&a)[4],
                                           const std::uint32_t (&b)[2]) const {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
        : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  }
  /// Four 8 x 8 matrices of 16-bit numbers from shared memory; lane l gives row l % 8 of matrix l / 8.
  __device__ __forceinline__ void load_matrices(const std::byte *row, std::uint32_t (&m)[4]) const {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(m[0]), "=r"(m[1]), "=r"(m[2]), "=r"(m[3])
                 : "r"(shared_address(row))
                 : "memory");
  }
  __device__ __forceinline__ std::uint32_t transpose_matrix(std::uint32_t matrix) const {
    std::uint32_t transposed;
    asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(transposed) : "r"(matrix));
    return transposed;
  }
  /// 16 bytes from global to shared memory, past the first-level cache.
  __device__ __forceinline__ void copy_async(std::byte *to, const std::byte *from) const {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"(shared_address(to)),
                 "l"(__cvta_generic_to_global(from))
                 : "memory");
  }
  __device__ __forceinline__ void commit_copies() const { asm volatile("cp.async.commit_group;" ::: "memory"); }
  /// Waits for this thread's copies but those of the last `pending` groups.
  template <int pending>
  __device__ __forceinline__ void wait_copies() const {
    asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
  }
  static __device__ __forceinline__ std::uint32_t pack_bf16(float low, float high) {
    std::uint32_t packed;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
    return packed;
  }

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
  static __device__ __forceinline__ float log1p(float a) { return ::log1pf(a); }
  static __device__ __forceinline__ double log1p(double a) { return ::log1p(a); }
  static __device__ __forceinline__ float ceil(float a) { return ::ceilf(a); }
  static __device__ __forceinline__ double ceil(double a) { return ::ceil(a); }
  static __device__ __forceinline__ float floor(float a) { return ::floorf(a); }
  static __device__ __forceinline__ double floor(double a) { return ::floor(a); }
  /// The special unit: 2 units in the last place; numbers below the smallest normal one are taken and given as 0.
  static __device__ __forceinline__ float exp2(float a) {
    float power;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(power) : "f"(a));
    return power;
  }

 private:
  static __device__ __forceinline__ std::uint32_t shared_address(const std::byte *p) {
    return static_cast<std::uint32_t>(__cvta_generic_to_shared(p));
  }
  std::byte *shared_;
};

/// For the tensor path, whose loops need all registers: what follows from the numbers of thread and block is computed
/// where it is asked for, since the compiler is not told that it is the same each time. It would otherwise keep that in
/// registers through the loop, or in memory where these do not suffice.
class TensorThread : public DeviceThread {
 public:
  using DeviceThread::DeviceThread;
  __device__ __forceinline__ int thread() const { return anew(DeviceThread::thread()); }
  __device__ __forceinline__ int lane() const { return thread() % 32; }
  __device__ __forceinline__ int warp() const { return thread() / 32; }
  __device__ __forceinline__ int block() const { return anew(DeviceThread::block()); }

 private:
  static __device__ __forceinline__ int anew(int x) {
    asm volatile("" : "+r"(x));
    return x;
  }
};

}  // namespace flashring::sm80

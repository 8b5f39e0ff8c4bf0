// The words of one thread on a device of compute capability 9.0: those of sm80 and what mbarriers, bulk copies and
// wgmma need. The only file here that names instructions; read by the CUDA compiler alone.
#pragma once

#include <cstddef>
#include <cstdint>

#include "sm80/primitives.hpp"
#include "sm90/tile_size.hpp"

namespace flashring::sm90 {

// The product of a warpgroup in terms of its 64 sums and two operands: they are added to what the sums hold where
// `compare` is "eq", and take its place where it is "ne", which the compiler is told by the constraint of the sums.
#define FLASHRING_WGMMA(compare)                                                      \
  "{\n"                                                                               \
  ".reg .pred add;\n"                                                                 \
  "setp." compare                                                                     \
  ".b32 add, 0, 0;\n"                                                                 \
  "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "                            \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "           \
  "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "  \
  "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "  \
  "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, " \
  "%64, %65, add, 1, 1, 0, 0;\n"                                                      \
  "}"
#define FLASHRING_SUMS_OF(c, n) c(d[n][0]), c(d[n][1]), c(d[n][2]), c(d[n][3])
#define FLASHRING_SUMS(c)                                                                                   \
  FLASHRING_SUMS_OF(c, 0), FLASHRING_SUMS_OF(c, 1), FLASHRING_SUMS_OF(c, 2), FLASHRING_SUMS_OF(c, 3),       \
      FLASHRING_SUMS_OF(c, 4), FLASHRING_SUMS_OF(c, 5), FLASHRING_SUMS_OF(c, 6), FLASHRING_SUMS_OF(c, 7),   \
      FLASHRING_SUMS_OF(c, 8), FLASHRING_SUMS_OF(c, 9), FLASHRING_SUMS_OF(c, 10), FLASHRING_SUMS_OF(c, 11), \
      FLASHRING_SUMS_OF(c, 12), FLASHRING_SUMS_OF(c, 13), FLASHRING_SUMS_OF(c, 14), FLASHRING_SUMS_OF(c, 15)

class DeviceThread : public sm80::DeviceThread {
 public:
  __device__ __forceinline__ explicit DeviceThread(std::byte *shared) : sm80::DeviceThread(shared) {}
  __device__ __forceinline__ int blocks() const { return static_cast<int>(gridDim.x); }

  /// Consumers alone meet at sync(), on a barrier of their own: the producer is elsewhere.
  __device__ __forceinline__ void sync() const { asm volatile("bar.sync 1, %0;" ::"n"(consumers) : "memory"); }
  __device__ __forceinline__ void sync_block() const { __syncthreads(); }

  static __device__ __forceinline__ std::uint32_t shared_address(const void *data) {
    return static_cast<std::uint32_t>(__cvta_generic_to_shared(data));
  }

  static __device__ __forceinline__ void init_barrier(std::uint64_t *barrier, int arrivals) {
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(shared_address(barrier)), "r"(arrivals) : "memory");
  }
  /// Barriers are set up for copies, too.
  static __device__ __forceinline__ void fence_barriers() {
    asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  }
  static __device__ __forceinline__ void arrive(std::uint64_t *barrier) {
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(barrier)) : "memory");
  }
  static __device__ __forceinline__ void arrive_expecting(std::uint64_t *barrier, std::uint32_t bytes) {
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(shared_address(barrier)), "r"(bytes)
                 : "memory");
  }
  /// Returns when the phase of this parity is complete.
  static __device__ __forceinline__ void wait_phase(std::uint64_t *barrier, std::uint32_t parity) {
    asm volatile(
        "{\n"
        ".reg .pred complete;\n"
        "WAIT:\n"
        "mbarrier.try_wait.parity.shared::cta.b64 complete, [%0], %1;\n"
        "@complete bra DONE;\n"
        "bra WAIT;\n"
        "DONE:\n"
        "}" ::"r"(shared_address(barrier)),
        "r"(parity)
        : "memory");
  }
  /// Its bytes are counted by `barrier` when they are there.
  static __device__ __forceinline__ void copy_bulk(void *to, const void *from, std::uint32_t bytes,
                                                   std::uint64_t *barrier) {
    asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];" ::"r"(
                     shared_address(to)),
                 "l"(__cvta_generic_to_global(from)), "r"(bytes), "r"(shared_address(barrier))
                 : "memory");
  }

  template <int registers>
  static __device__ __forceinline__ void release_registers() {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(registers));
  }
  template <int registers>
  static __device__ __forceinline__ void claim_registers() {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(registers));
  }

  /// Orders accesses to accumulators before the products that follow; in every branch and loop that has some, since the
  /// compiler would otherwise put it there and take the branch for one in which threads part.
  static __device__ __forceinline__ void order_products() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
  static __device__ __forceinline__ void commit_products() {
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
  }
  template <int left>
  static __device__ __forceinline__ void wait_products() {
    asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(left) : "memory");
  }
  static __device__ __forceinline__ void finish_products(float (&d)[16][4]) {
    wait_products<0>();
    hold(d);
  }
  /// d += a b^T of a warpgroup, 64 x 128, 16 columns. d[n][e]: see sm80/strip.hpp.
  template <class Operands>
  static __device__ __forceinline__ void multiply(float (&d)[16][4], const Operands &x) {
    asm volatile(FLASHRING_WGMMA("eq") : FLASHRING_SUMS("+f") : "l"(x.own), "l"(x.visiting));
  }
  /// d = a b^T, whatever d held.
  template <class Operands>
  static __device__ __forceinline__ void multiply_first(float (&d)[16][4], const Operands &x) {
    asm volatile(FLASHRING_WGMMA("ne") : FLASHRING_SUMS("=f") : "l"(x.own), "l"(x.visiting));
  }

 private:
  static __device__ __forceinline__ void hold(float (&d)[16][4]) {
#pragma unroll
    for (int n = 0; n < 16; ++n)
#pragma unroll
      for (int e = 0; e < 4; ++e) asm volatile("" : "+f"(d[n][e])::"memory");
  }
};

#undef FLASHRING_WGMMA
#undef FLASHRING_SUMS
#undef FLASHRING_SUMS_OF

}  // namespace flashring::sm90

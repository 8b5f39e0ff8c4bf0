// The rate of wgmma, compiled for compute capability 9.0 with its own instructions ("90a") alone.
//
// Four groups of four warps on a multiprocessor, each with one product of 64 x 128 after the other over 16 numbers,
// both sides in shared memory: 6 KB are read for 64 cycles of the unit, less than shared memory gives.
#include <cuda_runtime_api.h>

#include <cstdint>

#include "ceilings/ceilings.hpp"

namespace flashring::ceilings {
namespace {

constexpr int threads = 128;
constexpr int blocks_per_processor = 4;
constexpr int rounds = 1024;
constexpr int products = 8;  // of a round, queued together
constexpr double multiply_adds_of_product = 64.0 * 128 * 16;

/// Where shared memory holds an operand of 16 numbers a row: pieces of 8 rows by 16 bytes, 128 bytes between the two
/// pieces of a row, 256 between pieces of 8 rows, no swizzle.
__device__ std::uint64_t describe(const void *shared) {
  const auto address = static_cast<std::uint64_t>(__cvta_generic_to_shared(shared));
  return (address & 0x3ffffU) >> 4U | std::uint64_t{128 >> 4} << 16U | std::uint64_t{256 >> 4} << 32U;
}

/// sum += left * right, queued.
__device__ void multiply(float (&sum)[64], std::uint64_t left, std::uint64_t right) {
  asm volatile(
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 "
      "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
      "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
      "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
      "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
      "%64, %65, 1, 1, 1, 0, 0;"
      : "+f"(sum[0]), "+f"(sum[1]), "+f"(sum[2]), "+f"(sum[3]), "+f"(sum[4]), "+f"(sum[5]), "+f"(sum[6]), "+f"(sum[7]),
        "+f"(sum[8]), "+f"(sum[9]), "+f"(sum[10]), "+f"(sum[11]), "+f"(sum[12]), "+f"(sum[13]), "+f"(sum[14]),
        "+f"(sum[15]), "+f"(sum[16]), "+f"(sum[17]), "+f"(sum[18]), "+f"(sum[19]), "+f"(sum[20]), "+f"(sum[21]),
        "+f"(sum[22]), "+f"(sum[23]), "+f"(sum[24]), "+f"(sum[25]), "+f"(sum[26]), "+f"(sum[27]), "+f"(sum[28]),
        "+f"(sum[29]), "+f"(sum[30]), "+f"(sum[31]), "+f"(sum[32]), "+f"(sum[33]), "+f"(sum[34]), "+f"(sum[35]),
        "+f"(sum[36]), "+f"(sum[37]), "+f"(sum[38]), "+f"(sum[39]), "+f"(sum[40]), "+f"(sum[41]), "+f"(sum[42]),
        "+f"(sum[43]), "+f"(sum[44]), "+f"(sum[45]), "+f"(sum[46]), "+f"(sum[47]), "+f"(sum[48]), "+f"(sum[49]),
        "+f"(sum[50]), "+f"(sum[51]), "+f"(sum[52]), "+f"(sum[53]), "+f"(sum[54]), "+f"(sum[55]), "+f"(sum[56]),
        "+f"(sum[57]), "+f"(sum[58]), "+f"(sum[59]), "+f"(sum[60]), "+f"(sum[61]), "+f"(sum[62]), "+f"(sum[63])
      : "l"(left), "l"(right));
}

__global__ void __launch_bounds__(threads, blocks_per_processor) wgmma_kernel(float *never_written) {
  __shared__ __align__(128) std::uint32_t operands[(64 + 128) * 8];  // (rows of both sides, 16 bf16 numbers)
  for (int i = static_cast<int>(threadIdx.x); i < (64 + 128) * 8; i += threads)
    operands[i] = 0x3c003b80U + static_cast<unsigned>(i) * 0x00050003U % 0x00700070U;  // pairs of small numbers
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  __syncthreads();
  float sum[64];  // of a thread
  for (float &value : sum) value = 0;
  const std::uint64_t left = describe(operands);
  const std::uint64_t right = describe(operands + 64 * 8);
  for (int round = 0; round < rounds; ++round) {
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
    for (int p = 0; p < products; ++p) multiply(sum, left, right);
    asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
    asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
  }
  float total = 0;
  for (const float value : sum) total += value;
  if (total == -1) *never_written = total;
}

}  // namespace

double queue_wgmma(void *stream, int multiprocessors, float *never_written) {
  int device = 0;
  int major = 0;
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) != cudaSuccess || major != 9)
    return 0;
  const int blocks = multiprocessors * blocks_per_processor;
  wgmma_kernel<<<static_cast<unsigned>(blocks), threads, 0, static_cast<cudaStream_t>(stream)>>>(never_written);
  return multiply_adds_of_product * products * rounds * blocks;
}

}  // namespace flashring::ceilings

// Kernels that do one thing each, as often as the machine can.
//
//   copy        16 bytes a thread and step, once through the memory
//   multiply-adds, exponentials   8 independent chains in each thread, 2048 threads on a multiprocessor
//   mma.sync    8 independent sums of 16 x 8 in each warp, 16 warps on a multiprocessor
//
// What they compute is kept alive by a store that never happens. Cost: about 2 ms a launch, `runs` + 1 launches each.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstdint>

#include "ceilings/ceilings.hpp"

namespace flashring::ceilings {
namespace {

constexpr int threads = 256;
constexpr int chains = 8;
constexpr int runs = 5;
/// 2048 threads, all that a multiprocessor takes; 16 warps for mma.sync, which needs registers.
constexpr int blocks_of_chains = 8;
constexpr int blocks_of_products = 2;
/// Rounds that take 1 to 3 ms at 128, 64 and 16 operations per cycle and multiprocessor, and 2048 for products.
constexpr int rounds_fp32 = 16384;
constexpr int rounds_fp64 = 8192;
constexpr int rounds_ex2 = 2048;
constexpr int rounds_mma = 16384;
constexpr double multiply_adds_of_product = 16.0 * 8 * 16;

__global__ void __launch_bounds__(threads) copy_kernel(uint4 *to, const uint4 *from, std::size_t count) {
  const std::size_t step = static_cast<std::size_t>(gridDim.x) * threads;
  for (std::size_t i = static_cast<std::size_t>(blockIdx.x) * threads + threadIdx.x; i < count; i += step)
    to[i] = from[i];
}

template <class T>
__global__ void __launch_bounds__(threads) fma_kernel(int rounds, T factor, T offset, float *never_written) {
  T x[chains];  // of a thread
  for (int i = 0; i < chains; ++i) x[i] = static_cast<T>(threadIdx.x + i);
#pragma unroll 4
  for (int round = 0; round < rounds; ++round)
    for (T &value : x) value = value * factor + offset;
  T total = 0;
  for (const T value : x) total += value;
  if (total == T(-1)) *never_written = static_cast<float>(total);
}

__global__ void __launch_bounds__(threads) ex2_kernel(int rounds, float *never_written) {
  float x[chains];  // of a thread
  for (int i = 0; i < chains; ++i) x[i] = static_cast<float>(i) / chains;
#pragma unroll 4
  for (int round = 0; round < rounds; ++round)
    for (float &value : x) asm volatile("ex2.approx.ftz.f32 %0, %1;" : "=f"(value) : "f"(-value));
  float total = 0;
  for (const float value : x) total += value;
  if (total == -1) *never_written = total;
}

__global__ void __launch_bounds__(threads, blocks_of_products) mma_kernel(int rounds, float *never_written) {
  float sum[chains][4] = {};  // (products, of a thread)
  std::uint32_t left[4];      // pairs of small bf16 numbers
  std::uint32_t right[2];
  for (int i = 0; i < 4; ++i) left[i] = 0x3c003b80U + (threadIdx.x % 32 + static_cast<unsigned>(i)) * 0x00030005U;
  for (int i = 0; i < 2; ++i) right[i] = 0x3b803c00U + (threadIdx.x % 32 + static_cast<unsigned>(i)) * 0x00050003U;
  for (int round = 0; round < rounds; ++round)
    for (auto &s : sum)
      asm volatile(
          "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
          "{%0, %1, %2, %3};"
          : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3])
          : "r"(left[0]), "r"(left[1]), "r"(left[2]), "r"(left[3]), "r"(right[0]), "r"(right[1]));
  float total = 0;
  for (const auto &s : sum) total += s[0] + s[1] + s[2] + s[3];
  if (total == -1) *never_written = total;
}

/// A stream with two events that time what is queued between them, and the first thing that went wrong.
class Clock {
 public:
  explicit Clock(cudaStream_t stream) : stream_(stream) {
    note(cudaEventCreate(&begin_));
    note(cudaEventCreate(&end_));
  }
  ~Clock() {
    cudaEventDestroy(begin_);
    cudaEventDestroy(end_);
  }
  Clock(const Clock &) = delete;
  Clock &operator=(const Clock &) = delete;

  /// Operations per second at the fastest of some launches; `launch` says how many operations it queues.
  template <class Launch>
  double rate(Launch launch) {
    double best = 0;
    for (int run = 0; run <= runs && wrong_ == cudaSuccess; ++run) {
      note(cudaEventRecord(begin_, stream_));
      const double operations = launch();
      note(cudaGetLastError());
      note(cudaEventRecord(end_, stream_));
      note(cudaEventSynchronize(end_));
      float milliseconds = 0;
      note(cudaEventElapsedTime(&milliseconds, begin_, end_));
      if (run > 0 && milliseconds > 0) best = std::max(best, operations / milliseconds * 1000);
    }
    return best;
  }
  cudaError_t wrong() const { return wrong_; }

 private:
  void note(cudaError_t error) {
    if (wrong_ == cudaSuccess) wrong_ = error;
  }
  cudaStream_t stream_;
  cudaEvent_t begin_ = nullptr;
  cudaEvent_t end_ = nullptr;
  cudaError_t wrong_ = cudaSuccess;
};

}  // namespace

std::string measure(void *stream, std::byte *scratch, std::size_t bytes, GpuRates &rates) {
  const auto queue = static_cast<cudaStream_t>(stream);
  Clock clock(queue);
  int device = 0;
  int processors = 0;
  if (cudaGetDevice(&device) != cudaSuccess ||
      cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device) != cudaSuccess)
    return std::string("no GPU: ") + cudaGetErrorString(cudaGetLastError());
  auto *const never_written = reinterpret_cast<float *>(scratch);
  const auto many = static_cast<unsigned>(processors * blocks_of_chains);
  const auto few = static_cast<unsigned>(processors * blocks_of_products);
  const double of_chains = static_cast<double>(many) * threads * chains;
  const std::size_t half = bytes / 32;  // pieces of 16 bytes
  rates.copied_bytes = clock.rate([&] {
    auto *const pieces = reinterpret_cast<uint4 *>(scratch);
    copy_kernel<<<many, threads, 0, queue>>>(pieces + half, pieces, half);
    return 32.0 * static_cast<double>(half);
  });
  rates.fma_fp32 = clock.rate([&] {
    fma_kernel<float><<<many, threads, 0, queue>>>(rounds_fp32, 0.999F, 1e-3F, never_written);
    return of_chains * rounds_fp32;
  });
  rates.fma_fp64 = clock.rate([&] {
    fma_kernel<double><<<many, threads, 0, queue>>>(rounds_fp64, 0.999, 1e-3, never_written);
    return of_chains * rounds_fp64;
  });
  rates.ex2 = clock.rate([&] {
    ex2_kernel<<<many, threads, 0, queue>>>(rounds_ex2, never_written);
    return of_chains * rounds_ex2;
  });
  rates.mma = clock.rate([&] {
    mma_kernel<<<few, threads, 0, queue>>>(rounds_mma, never_written);
    return static_cast<double>(few) * threads / 32 * chains * multiply_adds_of_product * rounds_mma;
  });
  rates.wgmma = clock.rate([&] { return queue_wgmma(stream, processors, never_written); });
  return clock.wrong() == cudaSuccess ? "" : cudaGetErrorString(clock.wrong());
}

}  // namespace flashring::ceilings

// What a GPU does per second at most, measured by kernels that do one thing each: the numbers that a benchmark's limits
// are made of, on the same machine at the same clock. Part of no backend.
#pragma once

#include <cstddef>
#include <string>

namespace flashring::ceilings {

/// Operations of the whole GPU per second; 0: it has no such unit, or was not asked.
struct GpuRates {
  double copied_bytes = 0;  ///< of memory, read and written both counted
  double fma_fp32 = 0;      ///< multiply-adds
  double fma_fp64 = 0;
  double ex2 = 0;    ///< exponentials of the special function unit
  double mma = 0;    ///< multiply-adds of bf16 numbers by mma.sync, sums in fp32
  double wgmma = 0;  ///< the same by wgmma
};

/// Runs every kernel some times on `stream` (a cudaStream_t) of the current device and takes the fastest; about a tenth
/// of a second. `scratch`: memory of the device, aligned to 16, larger than its caches by far or the copy is too fast.
/// Says what went wrong, or nothing.
std::string measure(void *stream, std::byte *scratch, std::size_t bytes, GpuRates &rates);

/// Part of `measure` in a file of its own, since wgmma is compiled for 9.0 alone: queues one launch and says how many
/// multiply-adds it makes; 0 where device or build has no wgmma.
double queue_wgmma(void *stream, int multiprocessors, float *never_written);

}  // namespace flashring::ceilings

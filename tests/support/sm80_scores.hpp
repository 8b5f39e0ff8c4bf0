// Kernels for rows of scores of backend sm80 on a host: the bodies of its launches with threads of CudaBlock, and
// ordinary memory in the place of a device's.
#pragma once

#include "support/cuda_block.hpp"
#include "threshold_kernels.hpp"

namespace flashring::test {

/// Shared memory of the emulated device: rows of 5,000 fp32 scores fit, those of 5,000 fp64 scores do not.
inline constexpr std::size_t emulated_shared_bytes = std::size_t{24} << 10;

/// The table, whose threads take turns in that order. Memory that it allocates is full of NaN.
const ThresholdBackend &emulated_scores(CudaBlock::Order order = CudaBlock::Order::shuffled);

}  // namespace flashring::test

// Launches that the precisions' files offer: one kernel for each pair function and row rule. Row rules and pair
// functions are found by their enumerators; features, columns and sides are run-time numbers. Instances: pair functions
// x rules for each of fp64 and fp32.
#pragma once

#include <cuda_runtime_api.h>

#include "sm80/arguments.hpp"

namespace flashring::sm80 {

/// What went wrong, or cudaSuccess. Queued on `stream`.
cudaError_t launch_fold_fp64(PairKind kind, RowKind row, const WaveArguments &arguments, cudaStream_t stream);
cudaError_t launch_fold_fp32(PairKind kind, RowKind row, const WaveArguments &arguments, cudaStream_t stream);

}  // namespace flashring::sm80

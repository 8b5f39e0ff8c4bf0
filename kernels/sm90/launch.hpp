// Launches that the kernels' files offer: one for each way of folding. Pair functions, features and sides are run-time
// numbers; numbers of pieces are where columns are split into as many.
#pragma once

#include <cuda_runtime_api.h>

#include "sm90/arguments.hpp"

namespace flashring::sm90 {

/// What went wrong, or cudaSuccess. Queued on `stream`.
cudaError_t launch_sum(const SweepArguments &arguments, cudaStream_t stream);
cudaError_t launch_columns(const SweepArguments &arguments, cudaStream_t stream);
cudaError_t launch_logsumexp(const SweepArguments &arguments, cudaStream_t stream);
cudaError_t launch_logsumexp_columns(const SweepArguments &arguments, cudaStream_t stream);

}  // namespace flashring::sm90

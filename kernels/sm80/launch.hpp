// Launches that the files of kernels offer. Row rules and pair functions are found by their enumerators. Instances: of
// the plain form pair functions x rules for each of fp64 and fp32, with features, columns and sides as run-time
// numbers; of few features pair functions x rules x 8 padded numbers of features and values (path.hpp), with sides as
// run-time numbers.
#pragma once

#include <cuda_runtime_api.h>

#include "sm80/arguments.hpp"

namespace flashring::sm80 {

/// On the tensor path the pair function is a run-time number too; instances: roles (one column, columns, log-sum-exp,
/// gradient of softmax) x numbers of pieces.
cudaError_t launch_tensor_sum(const WaveArguments &arguments, cudaStream_t stream);
cudaError_t launch_tensor_columns(const WaveArguments &arguments, cudaStream_t stream);
cudaError_t launch_tensor_logsumexp(const WaveArguments &arguments, cudaStream_t stream);
cudaError_t launch_tensor_gradient(const WaveArguments &arguments, cudaStream_t stream);
/// Log-sum-exp with a visiting side and a causal mask: plain kernels on the same payload.
cudaError_t launch_pieces_logsumexp(const WaveArguments &arguments, cudaStream_t stream);

/// What went wrong, or cudaSuccess. Queued on `stream`.
cudaError_t launch_fold_fp64(PairKind kind, RowKind row, const WaveArguments &arguments, cudaStream_t stream);
cudaError_t launch_fold_fp32(PairKind kind, RowKind row, const WaveArguments &arguments, cudaStream_t stream);
/// fp32 where chosen_path says so.
cudaError_t launch_few_sum(PairKind kind, const WaveArguments &arguments, cudaStream_t stream);
cudaError_t launch_few_logsumexp(PairKind kind, const WaveArguments &arguments, cudaStream_t stream);
inline cudaError_t launch_fold_few(PairKind kind, RowKind row, const WaveArguments &arguments, cudaStream_t stream) {
  return row == RowKind::logsumexp ? launch_few_logsumexp(kind, arguments, stream)
                                   : launch_few_sum(kind, arguments, stream);
}

}  // namespace flashring::sm80

// The kernels of backend sm80 in precision fp32, which serves reduced as well.
#include "sm80/fold_kernels.hpp"

namespace flashring::sm80 {

cudaError_t launch_fold_fp32(PairKind kind, RowKind row, const WaveArguments &arguments, cudaStream_t stream) {
  return launch_fold<float>(kind, row, arguments, stream);
}

}  // namespace flashring::sm80

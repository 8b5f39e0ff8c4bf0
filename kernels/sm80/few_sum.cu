// The kernels for few features of sums.
#include "sm80/few_kernels.hpp"

namespace flashring::sm80 {

cudaError_t launch_few_sum(PairKind kind, const WaveArguments &arguments, cudaStream_t stream) {
  return launch_few<RowKind::sum>(kind, arguments, stream);
}

}  // namespace flashring::sm80

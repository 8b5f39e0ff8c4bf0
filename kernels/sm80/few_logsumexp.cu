// The kernels for few features of log-sum-exp.
#include "sm80/few_kernels.hpp"

namespace flashring::sm80 {

cudaError_t launch_few_logsumexp(PairKind kind, const WaveArguments &arguments, cudaStream_t stream) {
  return launch_few<RowKind::logsumexp>(kind, arguments, stream);
}

}  // namespace flashring::sm80

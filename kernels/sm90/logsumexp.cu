// The kernel of backend sm90 for log-sum-exp.
#include "sm90/fold_kernels.hpp"

namespace flashring::sm90 {

cudaError_t launch_logsumexp(const SweepArguments &arguments, cudaStream_t stream) {
  return launch_fold<LogSumExpFold<DeviceThread>>(arguments, stream);
}

}  // namespace flashring::sm90

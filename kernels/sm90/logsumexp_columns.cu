// The kernels of backend sm90 for log-sum-exp with more than one column.
#include "sm90/fold_kernels.hpp"

namespace flashring::sm90 {

cudaError_t launch_logsumexp_columns(const SweepArguments &arguments, cudaStream_t stream) {
  return arguments.wave.layout.pieces == 3 ? launch_fold<LogSumExpColumnsFold<DeviceThread, 3>>(arguments, stream)
                                           : launch_fold<LogSumExpColumnsFold<DeviceThread, 1>>(arguments, stream);
}

}  // namespace flashring::sm90

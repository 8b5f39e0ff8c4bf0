// The kernel of backend sm90 for sums with one column.
#include "sm90/fold_kernels.hpp"

namespace flashring::sm90 {

cudaError_t launch_sum(const SweepArguments &arguments, cudaStream_t stream) {
  return launch_fold<SumFold<DeviceThread>>(arguments, stream);
}

}  // namespace flashring::sm90

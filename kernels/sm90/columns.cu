// The kernels of backend sm90 for sums with more than one column.
#include "sm90/fold_kernels.hpp"

namespace flashring::sm90 {

cudaError_t launch_columns(const SweepArguments &arguments, cudaStream_t stream) {
  return arguments.wave.layout.pieces == 3 ? launch_fold<ColumnsFold<DeviceThread, 3>>(arguments, stream)
                                           : launch_fold<ColumnsFold<DeviceThread, 1>>(arguments, stream);
}

}  // namespace flashring::sm90

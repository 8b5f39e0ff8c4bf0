// The kernels of the tensor path for sums with more than one column.
#include "sm80/tensor_columns.hpp"

#include "sm80/tensor_kernels.hpp"

namespace flashring::sm80 {

cudaError_t launch_tensor_columns(const WaveArguments &arguments, cudaStream_t stream) {
  return arguments.layout.pieces == 3 ? launch_fold<TensorColumns<3>>(arguments, stream)
                                      : launch_fold<TensorColumns<1>>(arguments, stream);
}

}  // namespace flashring::sm80

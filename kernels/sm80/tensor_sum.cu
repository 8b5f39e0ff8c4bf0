// The kernels of the tensor path for sums with one column.
#include "sm80/tensor_sum.hpp"

#include "sm80/tensor_kernels.hpp"

namespace flashring::sm80 {

cudaError_t launch_tensor_sum(const WaveArguments &arguments, cudaStream_t stream) {
  return crossed_steps(arguments.layout) > 0 ? launch_fold<TensorSum<true>>(arguments, stream)
                                             : launch_fold<TensorSum<false>>(arguments, stream);
}

}  // namespace flashring::sm80

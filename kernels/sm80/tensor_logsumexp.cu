// The kernels of the tensor path for log-sum-exp.
#include "sm80/tensor_logsumexp.hpp"

#include "sm80/tensor_kernels.hpp"

namespace flashring::sm80 {

cudaError_t launch_tensor_logsumexp(const WaveArguments &arguments, cudaStream_t stream) {
  return arguments.layout.pieces == 3 ? launch_fold<TensorLogSumExp<3>>(arguments, stream)
                                      : launch_fold<TensorLogSumExp<1>>(arguments, stream);
}

}  // namespace flashring::sm80

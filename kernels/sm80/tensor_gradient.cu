// The kernels of the tensor path for the gradient of softmax attention.
#include "sm80/tensor_gradient.hpp"

#include "sm80/tensor_kernels.hpp"

namespace flashring::sm80 {

cudaError_t launch_tensor_gradient(const WaveArguments &arguments, cudaStream_t stream) {
  return arguments.layout.pieces == 3 ? launch_fold<TensorGradient<3>>(arguments, stream)
                                      : launch_fold<TensorGradient<1>>(arguments, stream);
}

}  // namespace flashring::sm80

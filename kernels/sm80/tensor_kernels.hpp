// The kernels of one role of the tensor path and their launch; each role's .cu file includes this, so that they compile
// side by side.
#pragma once

#include "sm80/launch.hpp"
#include "sm80/primitives.hpp"
#include "sm80/shared_memory.hpp"
#include "sm80/tensor.hpp"

namespace flashring::sm80 {
namespace {

template <class Fold>
__global__ void __launch_bounds__(tensor_threads, Fold::blocks) tensor_kernel(const WaveArguments arguments) {
  extern __shared__ __align__(16) std::byte shared[];
  TensorThread thread(shared);
  fold_tensor_wave<Fold>(thread, arguments);
}

template <class Fold>
cudaError_t launch_fold(const WaveArguments &arguments, cudaStream_t stream) {
  const cudaError_t error = give_shared_memory<tensor_kernel<Fold>>();
  if (error != cudaSuccess) return error;
  const int shared = arguments.shared.fold + Fold::shared_bytes;
  tensor_kernel<Fold>
      <<<static_cast<unsigned>(arguments.wave.own_count), tensor_threads, static_cast<std::size_t>(shared), stream>>>(
          arguments);
  return cudaGetLastError();
}

}  // namespace
}  // namespace flashring::sm80

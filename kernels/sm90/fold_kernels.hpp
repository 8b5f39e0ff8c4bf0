// The kernel of one way of folding and its launch; each way's .cu file includes this, so that they compile side by
// side.
#pragma once

#include "sm80/shared_memory.hpp"
#include "sm90/evaluate.hpp"
#include "sm90/launch.hpp"
#include "sm90/primitives.hpp"

namespace flashring::sm90 {
namespace {

template <class Fold>
__global__ void __launch_bounds__(block_threads, 1) fold_kernel(const __grid_constant__ SweepArguments arguments) {
  extern __shared__ __align__(1024) std::byte shared[];
  DeviceThread thread(shared);
  fold_wave<Fold>(thread, arguments);
}

/// One block for each multiprocessor, since a block takes all of its registers.
template <class Fold>
cudaError_t launch_fold(const SweepArguments &arguments, cudaStream_t stream) {
  int device = 0;
  int multiprocessors = 1;
  cudaError_t error = cudaGetDevice(&device);
  if (error == cudaSuccess) error = cudaDeviceGetAttribute(&multiprocessors, cudaDevAttrMultiProcessorCount, device);
  if (error == cudaSuccess) error = sm80::give_shared_memory<fold_kernel<Fold>>();
  if (error != cudaSuccess) return error;
  const int tiles = arguments.wave.wave.own_count;
  const auto blocks = static_cast<unsigned>(tiles < multiprocessors ? tiles : multiprocessors);
  fold_kernel<Fold><<<blocks, block_threads, arguments.plan.bytes, stream>>>(arguments);
  return cudaGetLastError();
}

}  // namespace
}  // namespace flashring::sm90

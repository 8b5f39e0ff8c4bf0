// Shared memory of a block beyond 48 KB, which a kernel has to be given before it is launched.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>

namespace flashring::sm80 {

/// What every kernel may ask for.
constexpr std::size_t free_shared_bytes = std::size_t{48} << 10;

/// Gives `kernel` all that a block of the device may have, and to shared memory all that the first-level cache would
/// share with it: what goes through asynchronous copies does not pass that cache. Done once, at the first call, since
/// the library has one device; returns what went wrong then.
template <auto kernel>
cudaError_t give_shared_memory() {
  static const cudaError_t given = [] {
    int device = 0;
    int bytes = 0;
    cudaError_t error = cudaGetDevice(&device);
    if (error == cudaSuccess) error = cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
    if (error == cudaSuccess) error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
    if (error == cudaSuccess)
      error =
          cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout, cudaSharedmemCarveoutMaxShared);
    return error;
  }();
  return given;
}

}  // namespace flashring::sm80

// The kernels of one precision and their launch; each precision's .cu file includes this, so that they compile side by
// side.
#pragma once

#include "sm80/evaluate.hpp"
#include "sm80/launch.hpp"
#include "sm80/primitives.hpp"

namespace flashring::sm80 {
namespace {

template <PairKind kind, RowKind row, class T, class Points>
__global__ void __launch_bounds__(tile_rows, blocks_per_processor<T>) fold_kernel(const WaveArguments arguments) {
  extern __shared__ __align__(16) std::byte shared[];
  DeviceThread thread(shared);
  fold_wave<kind, row, T, Points>(thread, arguments);
}

template <class T>
using Kernel = void (*)(const WaveArguments);

template <PairKind kind, class T>
Kernel<T> choose_row(RowKind row) {
  switch (row) {
#define FLASHRING_ROW(name) \
  case RowKind::name:       \
    return fold_kernel<kind, RowKind::name, T, PlainPoints<T>>;
#include "flashring/row_list.inc"
#undef FLASHRING_ROW
  }
  return nullptr;
}

template <class T>
Kernel<T> choose_kernel(PairKind kind, RowKind row) {
  switch (kind) {
#define FLASHRING_PAIR(name) \
  case PairKind::name:       \
    return choose_row<PairKind::name, T>(row);
#include "flashring/pair_list.inc"
#undef FLASHRING_PAIR
  }
  return nullptr;
}

/// More than 48 KB of shared memory are given when they are asked for, to each kernel on each device.
template <class T>
cudaError_t launch_kernel(Kernel<T> kernel, RowKind row, const WaveArguments &arguments, cudaStream_t stream) {
  const std::size_t shared = shared_values(arguments.sides, values_of(row, arguments.columns)) * sizeof(T);
  const cudaError_t error =
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared));
  if (error != cudaSuccess) return error;
  kernel<<<static_cast<unsigned>(arguments.wave.own_count), tile_rows, shared, stream>>>(arguments);
  return cudaGetLastError();
}

template <class T>
cudaError_t launch_fold(PairKind kind, RowKind row, const WaveArguments &arguments, cudaStream_t stream) {
  return launch_kernel<T>(choose_kernel<T>(kind, row), row, arguments, stream);
}

}  // namespace
}  // namespace flashring::sm80

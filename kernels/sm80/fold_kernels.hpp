// The kernels of one precision and their launch; each precision's .cu file includes this, so that they compile side by
// side.
#pragma once

#include "sm80/evaluate.hpp"
#include "sm80/launch.hpp"
#include "sm80/primitives.hpp"
#include "sm80/shared_memory.hpp"

namespace flashring::sm80 {
namespace {

template <PairKind kind, RowKind row, class T, class Points>
__global__ void __launch_bounds__(tile_rows, blocks_per_processor<T>) fold_kernel(const WaveArguments arguments) {
  extern __shared__ __align__(16) std::byte shared[];
  DeviceThread thread(shared);
  fold_wave<kind, row, T, Points>(thread, arguments);
}

template <PairKind kind, RowKind row, class T, class Points>
cudaError_t launch_kernel(const WaveArguments &arguments, cudaStream_t stream) {
  constexpr std::size_t most = shared_values(Sides::both, row, max_columns) * sizeof(T);
  static_assert(most <= least_shared_bytes, "any device can be asked for it");
  if constexpr (most > free_shared_bytes) {
    const cudaError_t error = give_shared_memory<fold_kernel<kind, row, T, Points>>();
    if (error != cudaSuccess) return error;
  }
  const std::size_t shared = shared_values(arguments.sides, row, arguments.columns) * sizeof(T);
  fold_kernel<kind, row, T, Points>
      <<<static_cast<unsigned>(arguments.wave.own_count), tile_rows, shared, stream>>>(arguments);
  return cudaGetLastError();
}

using Launch = cudaError_t (*)(const WaveArguments &arguments, cudaStream_t stream);

template <PairKind kind, RowKind row, class T>
Launch plain_launch() {
  if constexpr (folds(kind, row)) return launch_kernel<kind, row, T, PlainPoints<T>>;
  return nullptr;
}

template <PairKind kind, class T>
Launch choose_row(RowKind row) {
  switch (row) {
#define FLASHRING_DEVICE_ROW(name) \
  case RowKind::name:              \
    return plain_launch<kind, RowKind::name, T>();
#include "flashring/device_row_list.inc"
#undef FLASHRING_DEVICE_ROW
    default:
      break;
  }
  return nullptr;
}

template <class T>
Launch choose_launch(PairKind kind, RowKind row) {
  switch (kind) {
#define FLASHRING_PAIR(name) \
  case PairKind::name:       \
    return choose_row<PairKind::name, T>(row);
#include "flashring/pair_list.inc"
#undef FLASHRING_PAIR
  }
  return nullptr;
}

template <class T>
cudaError_t launch_fold(PairKind kind, RowKind row, const WaveArguments &arguments, cudaStream_t stream) {
  return choose_launch<T>(kind, row)(arguments, stream);
}

}  // namespace
}  // namespace flashring::sm80

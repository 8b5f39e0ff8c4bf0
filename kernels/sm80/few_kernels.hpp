// The kernels of backend sm80 for few features in fp32, which serves reduced as well, for the CUDA compiler. Each row
// rule has a file of its own, so that two processors compile them side by side.
#pragma once

#include "sm80/few_features.hpp"
#include "sm80/launch.hpp"
#include "sm80/path.hpp"
#include "sm80/primitives.hpp"

namespace flashring::sm80 {
namespace {

template <PairKind kind, RowKind row, int D, int NC>
__global__ void __launch_bounds__(tile_rows, few_blocks_per_processor(row == RowKind::logsumexp, D, NC))
    few_kernel(const WaveArguments arguments) {
  extern __shared__ __align__(16) std::byte shared[];
  DeviceThread thread(shared);
  fold_wave_few<kind, row, D, NC>(thread, arguments);
}

struct FewLaunch {
  void (*kernel)(const WaveArguments);
  std::size_t shared_bytes;
};

template <PairKind kind, RowKind row>
FewLaunch choose_numbers(const WaveArguments &a) {
  if constexpr (folds_few(kind, row))
    return with_padded_numbers(a.row_numbers, values_of(row, a.columns), [](auto padded_features, auto padded_values) {
      return FewLaunch{few_kernel<kind, row, padded_features.value, padded_values.value>,
                       few_shared_bytes<row, padded_features.value, padded_values.value>()};
    });
  return {};
}

template <RowKind row>
FewLaunch choose_few(PairKind kind, const WaveArguments &a) {
  switch (kind) {
#define FLASHRING_PAIR(name) \
  case PairKind::name:       \
    return choose_numbers<PairKind::name, row>(a);
#include "flashring/pair_list.inc"
#undef FLASHRING_PAIR
  }
  return {};
}

template <RowKind row>
cudaError_t launch_few(PairKind kind, const WaveArguments &arguments, cudaStream_t stream) {
  const FewLaunch launch = choose_few<row>(kind, arguments);
  launch.kernel<<<static_cast<unsigned>(arguments.wave.own_count), tile_rows, launch.shared_bytes, stream>>>(arguments);
  return cudaGetLastError();
}

}  // namespace
}  // namespace flashring::sm80

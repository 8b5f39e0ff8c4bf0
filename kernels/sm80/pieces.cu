// The plain kernels that read pieces of features: log-sum-exp with a visiting side, whose logarithms the tensor path
// would have to keep beside the weights of the own side.
#include "sm80/fold_kernels.hpp"

namespace flashring::sm80 {
namespace {

template <PairKind kind>
Kernel<float> logsumexp_kernel() {
  if constexpr (Formula<kind>::declaration.accumulate != Accumulate::difference)
    return fold_kernel<kind, RowKind::logsumexp, float, PiecePoints>;
  return nullptr;
}

Kernel<float> choose_logsumexp(PairKind kind) {
  switch (kind) {
#define FLASHRING_PAIR(name) \
  case PairKind::name:       \
    return logsumexp_kernel<PairKind::name>();
#include "flashring/pair_list.inc"
#undef FLASHRING_PAIR
  }
  return nullptr;
}

}  // namespace

cudaError_t launch_pieces_logsumexp(const WaveArguments &arguments, cudaStream_t stream) {
  return launch_kernel<float>(choose_logsumexp(arguments.kind), RowKind::logsumexp, arguments, stream);
}

}  // namespace flashring::sm80

// The plain kernels that read pieces of features: log-sum-exp with a visiting side and a causal mask, which has no
// other way on the tensor path (path.hpp).
#include "sm80/fold_kernels.hpp"

namespace flashring::sm80 {
namespace {

template <PairKind kind>
Launch logsumexp_launch() {
  if constexpr (!needs_differences(Formula<kind>::declaration.accumulate))
    return launch_kernel<kind, RowKind::logsumexp, float, PiecePoints>;
  return nullptr;
}

Launch choose_logsumexp(PairKind kind) {
  switch (kind) {
#define FLASHRING_PAIR(name) \
  case PairKind::name:       \
    return logsumexp_launch<PairKind::name>();
#include "flashring/pair_list.inc"
#undef FLASHRING_PAIR
  }
  return nullptr;
}

}  // namespace

cudaError_t launch_pieces_logsumexp(const WaveArguments &arguments, cudaStream_t stream) {
  return choose_logsumexp(arguments.kind)(arguments, stream);
}

}  // namespace flashring::sm80

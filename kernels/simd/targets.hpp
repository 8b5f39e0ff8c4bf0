// The instruction sets that were compiled and that this machine has. After highway.h.
#pragma once

#include <cstdint>

#include "hwy/highway.h"

namespace flashring::simd {

/// Runs `work` once for each, best first, with Highway dispatching to it: Highway dispatches on a set of allowed
/// targets, narrowed meanwhile.
template <class Work>
void for_each_target(const Work &work) {
  for (const std::int64_t target : hwy::SupportedAndGeneratedTargets()) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    work();
  }
  hwy::SetSupportedTargetsForTest(0);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

}  // namespace flashring::simd

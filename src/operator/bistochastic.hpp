// Bistochastic scaling: the weight w that makes diag(w) K diag(w o m) a Markov matrix.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "flashring/communicator.hpp"

namespace flashring {

/// Largest |w o K(w o m) - 1| that is left.
inline constexpr double bistochastic_tolerance = 1e-12;

struct BistochasticScaling {
  std::vector<double> weight;  // (local_rows) w
  std::vector<double> sums;    // (local_rows) w o K(w o m), 1 up to the tolerance
};

/// `density`: K m, positive; `sums`: w -> w o K(w o m), one pass. Collective. Throws Error where rows do not come to
/// the tolerance.
BistochasticScaling bistochastic_scaling(const Communicator &communicator, std::span<const double> density,
                                         const std::function<std::vector<double>(std::span<const double>)> &sums);

}  // namespace flashring

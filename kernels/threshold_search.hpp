// Newton's iteration for the threshold of a row. Written once for hosts and devices, as threshold.hpp is: included
// after flashring/threshold.hpp and threshold_kernels.hpp inside a namespace of whoever iterates, no include guard;
// <cmath> before.
#include <device_word.hpp>

/// The threshold of one row by Newton's method on S0^(1/e) - 1, S0 = sum p, from the left end t = 0 of the bracket: the
/// function is convex and decreasing for e >= 1, so t rises to the root and no step needs a safeguard. With softmax t
/// rises by ln S0, once.
struct ThresholdSearch {
  double t = 0;
  double sum = 1;   ///< S0 at t
  double step = 0;  ///< the last change of t, times e
  int iterations = 0;
  bool done = false;
  bool came_back = false;

  /// Sums of p and u at t. Ends where S0 is 1 within `rounding`, four units of the last place of working precision, or
  /// where t moves no more. Roundings may carry t beyond the root, from where one step leads back.
  FLASHRING_EVERYWHERE void take(const ThresholdSums &sums, const ThresholdFamily &family, double rounding) {
    sum = sums.first;
    ++iterations;
    const double change =
        family.power == ThresholdPower::exponential ? std::log(sum) : sums.first / sums.second * root_excess(family);
    // Half a unit of the last place of t and of 1 - t.
    const double seen = rounding / 8 * (t < 1 - t ? t : 1 - t);
    const bool still = t + change == t || (family.power != ThresholdPower::exponential && std::abs(change) <= seen);
    const bool beyond = sum < 1 - rounding;
    done = std::abs(sum - 1) <= rounding || still || (beyond && came_back) || iterations == most_iterations;
    came_back = came_back || beyond;
    if (done) return;
    step = std::abs(change) * family.e;
    t += change;
  }
  /// 1 - S0^(-1/e). Short rows spend more on a logarithm than on their entries; without one the error is a rounding of
  /// 1, which is small enough where t is of that size.
  FLASHRING_EVERYWHERE double root_excess(const ThresholdFamily &family) const {
    if (family.power == ThresholdPower::one) return 1 - 1 / sum;
    if (family.power == ThresholdPower::two) return 1 - 1 / std::sqrt(sum);
    return -std::expm1(-std::log(sum) / family.e);
  }
  /// 11 are known to suffice for rows of 4096; one more for each doubling is far more than enough.
  static constexpr int most_iterations = 64;
};

// One row while its threshold is looked for: the start from a histogram, and steps from sums of powers. Formulas: the
// head of threshold_attention.cpp.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "flashring/types.hpp"

namespace flashring {

constexpr double ln_of_2 = 0.69314718055994530942;
constexpr int most_steps = 60;  // of Newton: far above what convergence takes

/// Roundings of a precision as a threshold needs them.
struct ThresholdAccuracy {
  double rounding;  ///< u
  double sum;       ///< relative error of S0 and S1 at most, with room
  double wanted;    ///< |S0 - 1|
};
inline ThresholdAccuracy threshold_accuracy(Precision precision) {
  if (precision == Precision::fp64) return {0x1p-53, 0x1p-42, 0x1p-46};
  return {0x1p-24, 0x1p-14, 0x1p-20};
}

/// Power sums at some t.
struct PowerSums {
  double p = 0;
  double u = 0;
  /// Some scores of a histogram, which is rougher than fp32.
  void add(double y, double e_minus_1, double count) {
    if (!(y > 0)) return;
    const double power = e_minus_1 == 0   ? 1
                         : e_minus_1 == 1 ? y
                         : e_minus_1 < 1e4
                             ? static_cast<double>(std::pow(static_cast<float>(y), static_cast<float>(e_minus_1)))
                             : std::pow(y, e_minus_1);
    u += count * power;
    p += count * power * y;
  }
  /// Newton's, on g = p^(1/e) - 1.
  double step(double e) const { return p / u * -std::expm1(-std::log(p) / e); }
  double g(double e) const { return std::expm1(std::log(p) / e); }
  double slope(double e) const { return -p / u / (1 + g(e)); }  // dt/dg
  double error() const { return std::abs(p - 1); }
  /// |p - 1| that the rounding of t alone makes, with room: t or 1 - t is right to u, whichever a score needs.
  double noise(double e, double t, double rounding) const { return 4 * rounding * (1 + e * u * std::min(t, 1 - t)); }
};

/// One row while its threshold is looked for.
struct ThresholdRow {
  double s = 1;
  double e_minus_1 = 0;
  double maximum = -std::numeric_limits<double>::infinity();  ///< max x
  double t = 0;
  double left = 0;    ///< t is not below
  double before = 0;  ///< t of the sums before the last
  PowerSums sums;     ///< of the pass before the last, then of the last
  bool stepped = false;
  bool seen() const { return maximum > -std::numeric_limits<double>::infinity(); }
  double e() const { return e_minus_1 + 1; }

  /// The first t of a row from its histogram. Every score lies within half a bin of where it is taken to be, so the
  /// true threshold lies within half a bin of the solution; Newton's steps end left of that, so half a bin left of them
  /// is safe.
  void start(const double *answers, std::int64_t stride, int bins, double factor, const ThresholdAccuracy &accuracy) {
    const double top = factor * answers[0];  // v of the largest score
    const double k_max = answers[stride];
    maximum = answers[0] * ln_of_2;
    if (std::abs(k_max) * accuracy.rounding > 0.125) return;  // bins are narrower than the rounding of scores
    double count = 0;
    for (int b = 0; b <= bins; ++b) count += answers[(2 + b) * stride];
    const double right = -std::expm1(-std::log(count) / e());
    t = 0;
    for (int n = 0; n < most_steps; ++n) {
      PowerSums now;
      now.add(1 - t, e_minus_1, 1);  // the largest score itself
      now.add(1 - t + (k_max - top) / (2 * bins), e_minus_1, answers[2 * stride] - 1);
      for (int b = 1; b <= bins; ++b)
        if (answers[(2 + b) * stride] > 0)
          now.add(1 - t + (k_max - b + 0.5 - top) / bins, e_minus_1, answers[(2 + b) * stride]);
      const double step = now.step(e());
      t += step;
      if (!(step > 0.1 / bins)) break;
    }
    const double widen = 8 * accuracy.rounding * (std::abs(top / bins) + 2);
    left = std::max(0.0, t - 0.501 / bins - widen);
    t = std::clamp(t, left, std::max(left, right));
  }

  /// Where the cubic t(g) through (g, t) of two passes with their slopes has g = 0.
  double cubic(const PowerSums &now) const {
    const double from = sums.g(e());
    const double h = now.g(e()) - from;
    const double x = -from / h;
    const double rest = 1 - x;
    return (1 + 2 * x) * rest * rest * before + x * rest * rest * h * sums.slope(e()) + x * x * (3 - 2 * x) * t -
           x * x * rest * h * now.slope(e());
  }
  /// Takes the sums at t and makes a step; returns what |p - 1| will be, by experience, in units that make
  /// accuracy.wanted of what is wanted here.
  double advance(const PowerSums &now, const ThresholdAccuracy &accuracy) {
    const double wanted = accuracy.wanted + now.noise(e(), t, accuracy.rounding);
    if (now.error() == 0) return 0;
    const double move = now.step(e());
    const double doubt =
        accuracy.sum * (now.p / now.u / e() + std::abs(move)) + 8 * accuracy.rounding * (std::abs(s * maximum) + 2);
    const double newton = t + move;
    double next = newton;
    double expected = now.error() * now.error();
    if (stepped && e() >= 2 && now.error() < sums.error() / 2 && now.error() > 16 * wanted) {
      next = cubic(now);
      expected *= 4 * sums.error() * sums.error();
    }
    left = std::max(left, std::min(newton, 1.0) - doubt);
    before = t;
    sums = now;
    stepped = true;
    t = std::max(next, left);
    return expected * accuracy.wanted / wanted;
  }
};

}  // namespace flashring

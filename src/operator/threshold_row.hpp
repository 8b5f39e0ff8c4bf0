// One row while its threshold is looked for: the start from a histogram, and steps from sums of powers. Formulas: the
// head of threshold_attention.cpp.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>

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

/// Power sums S0, S1, S2 at some t.
struct PowerSums {
  double p = 0;
  double u = 0;
  double v = 0;  ///< has a meaning for e >= 2
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
  /// One score.
  void add(double y, double e_minus_1) {
    if (!(y > 0)) return;
    const double power = e_minus_1 == 0 ? 1 : e_minus_1 == 1 ? y : std::pow(y, e_minus_1);
    v += power / y;
    u += power;
    p += power * y;
  }
  /// Newton's, on g = p^(1/e) - 1.
  double newton(double e) const { return p / u * -std::expm1(-std::log(p) / e); }
  /// Halley's for e >= 2, where g has a second derivative everywhere; it is convex, so that from the left end his step
  /// is the longer one. Else Newton's.
  double step(double e, double e_minus_1) const {
    if (e < 2) return newton(e);
    const double first = newton(e);
    const double bend = first * e_minus_1 / 2 * (v / u - u / p);  // -g'' first / (2 g')
    return first / (1 - std::clamp(bend, -1.0, 0.5));
  }
  /// Of scores well above t + move, for t + move: to the second order in `move`.
  PowerSums moved(double e, double e_minus_1, double move) const {
    return {p - e * move * (u - e_minus_1 / 2 * move * v), u - e_minus_1 * move * v, v};
  }
  /// What S0 is off by then: at most this times |move|^3, over the smallest y.
  double third(double e, double e_minus_1) const { return e * e_minus_1 * std::abs(e - 2) / 6 * v; }
  double error() const { return std::abs(p - 1); }
  /// |p - 1| after such a step, by experience with rows of many kinds: of the next order of what t is off by, which is
  /// ln p / e or so. Below e = 3 the second derivative of g has corners.
  double error_after(double e) const {
    if (e < 2) return error() * error();
    const double off = std::abs(std::log(p)) / e;
    return (e < 3 ? 3 : 0.7) * off * off * off;
  }
  /// |p - 1| that the rounding of t alone makes, with room: t or 1 - t is right to u, whichever a score needs.
  double noise(double e, double t, double rounding) const { return 4 * rounding * (1 + e * u * std::min(t, 1 - t)); }
};

/// Of a row's scores z = s x those within this of the largest have a weight: 1, and less where e is so large that y^e
/// is less than the smallest number of the precision before y is.
inline double weighing_range(double e, Precision precision) {
  return -std::expm1((precision == Precision::fp64 ? -750 : -105) / e);
}

/// One row while its threshold is looked for.
struct ThresholdRow {
  double s = 1;
  double e_minus_1 = 0;
  double maximum = -std::numeric_limits<double>::infinity();  ///< max x
  double t = 0;
  double left = 0;      ///< t is not below
  double above = 0;     ///< scores that may be above `left`, by the histogram; infinite: unknown
  double density = 0;   ///< scores a unit of z near t, by the histogram, at most
  double expected = 1;  ///< |p - 1| of the next sums, in units of what is wanted for all rows
  double off = 1;       ///< by that t may be off after a step
  double window = 0;  ///< t is solved for with the scores so near to it; infinite: with all above `left`; 0: it is not
  bool seen() const { return maximum > -std::numeric_limits<double>::infinity(); }
  double e() const { return e_minus_1 + 1; }

  /// The first t of a row from its histogram of `columns` bins, `bins` of which make one unit of z. Every score lies
  /// within half a bin of where it is taken to be, so the true threshold lies within half a bin of the solution;
  /// Newton's steps end left of that, so half a bin left of them is safe.
  void start(const double *answers, std::int64_t stride, int columns, double bins, double factor,
             const ThresholdAccuracy &accuracy) {
    const double top = factor * answers[0];  // v of the largest score
    const double k_max = answers[stride];
    maximum = answers[0] * ln_of_2;
    above = std::numeric_limits<double>::infinity();
    if (std::abs(k_max) * accuracy.rounding > 0.125) return;  // bins are narrower than the rounding of scores
    double count = 0;
    for (int b = 0; b <= columns; ++b) count += answers[(2 + b) * stride];
    const double right = -std::expm1(-std::log(count) / e());
    t = 0;
    for (int n = 0; n < most_steps; ++n) {
      PowerSums now;
      now.add(1 - t, e_minus_1, 1);  // the largest score itself
      now.add(1 - t + (k_max - top) / (2 * bins), e_minus_1, answers[2 * stride] - 1);
      for (int b = 1; b <= columns; ++b)
        if (answers[(2 + b) * stride] > 0)
          now.add(1 - t + (k_max - b + 0.5 - top) / bins, e_minus_1, answers[(2 + b) * stride]);
      const double change = now.newton(e());
      t += change;
      if (!(change > 0.1 / bins)) break;
    }
    const double widen = 8 * accuracy.rounding * (std::abs(top / bins) + 2);
    left = std::max(0.0, t - 0.501 / bins - widen);
    t = std::clamp(t, left, std::max(left, right));
    const double edge = top - bins * (1 - left) - 0.001;  // v of the left end
    if (edge < k_max - columns - 0.002) return;           // below what was counted
    above = 0;
    for (int b = 0; b <= columns && k_max - b + 1 > edge; ++b) above += answers[(2 + b) * stride];
    const auto bin = static_cast<int>(k_max - std::floor(top - bins * (1 - t)));
    for (int b = std::max(0, bin - 1); b <= std::min(columns, bin + 1); ++b)
      density = std::max(density, bins * answers[(2 + b) * stride]);
  }

  /// What rounds a score moves t by, with room.
  double doubt(const ThresholdAccuracy &accuracy) const { return 8 * accuracy.rounding * (std::abs(s * maximum) + 2); }
  /// Takes the sums at t and makes a step.
  void advance(const PowerSums &now, const ThresholdAccuracy &accuracy) {
    const double wanted = accuracy.wanted + now.noise(e(), t, accuracy.rounding);
    const double error = now.error() == 0 ? 0 : now.error_after(e());
    // A NaN is infinite: a maximum over ranks may lose it, or differ between them, and with it the passes.
    expected = std::isnan(error) ? std::numeric_limits<double>::infinity() : error * accuracy.wanted / wanted;
    off = error / (e() * now.u);
    if (now.error() == 0) return;
    const double newton = now.newton(e());
    const double unsure = accuracy.sum * (now.p / now.u / e() + std::abs(newton)) + doubt(accuracy);
    left = std::max(left, std::min(t + newton, 1.0) - unsure);
    t = std::max(t + now.step(e(), e_minus_1), left);
  }

  /// A window that holds some scores by the histogram; 0 where t may be off by more than a quarter of it, or where one
  /// more step does as well.
  double narrow(double scores, double bin) const {
    const double width = density > 0 ? std::min(bin, scores / (2 * density)) : bin;
    return e() < 2 && 4 * off <= width ? width : 0;
  }
  /// Finds t from the scores l in the window, with z = factor l - s max x, and the sums of those above it, which are
  /// continued by their derivatives. Makes a step where that leads too far.
  void solve(const PowerSums &above_window, std::span<const double> scores, double factor,
             const ThresholdAccuracy &accuracy) {
    const double enough = std::max(0x1p-50, accuracy.rounding / 64);  // the next change is much smaller
    const auto sums_at = [&](double move) {
      PowerSums now = above_window.moved(e(), e_minus_1, move);
      for (const double l : scores) now.add(1 - t - move + factor * (l - maximum / ln_of_2), e_minus_1);
      return now;
    };
    double move = 0;
    for (int n = 0; n < most_steps; ++n) {
      const double change = sums_at(move).step(e(), e_minus_1);
      move += change;
      if (!(std::abs(change) > enough)) break;
    }
    if (!(std::abs(move) <= window / 2)) return advance(sums_at(0), accuracy);
    t += move;
    left = std::max(left, t - doubt(accuracy));
    expected = above_window.third(e(), e_minus_1) * std::abs(move * move * move) / window;
  }
};

}  // namespace flashring

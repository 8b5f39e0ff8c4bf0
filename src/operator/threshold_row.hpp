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
/// Of the places of a list those that a window is to fill: the numbers of scores in a range vary by their square roots.
constexpr double list_filling = 0.65;

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
  /// |p - 1| that the rounding of t alone makes, with room: t or 1 - t is right to u, whichever a score needs, and t is
  /// kept in fp64.
  double noise(double e, double t, double rounding) const {
    return 4 * rounding * (1 + e * u * std::min(t, 1 - t)) + 0x1p-53 * e * u * t;
  }
};

/// A row's histogram as row rule score_bins answers it: bin b of `columns` + 1 holds the scores with k_max - b <= v <
/// k_max - b + 1, of which there are `bins` in a unit of z; the first one ends at the largest score.
struct ScoreBins {
  const double *answers;
  std::int64_t stride;
  int columns;
  double bins;

  double maximum() const { return answers[0]; }
  double k_max() const { return answers[stride]; }
  double count(int b) const { return b >= 0 && b <= columns ? answers[(2 + b) * stride] : 0; }
  double total() const {
    double sum = 0;
    for (int b = 0; b <= columns; ++b) sum += count(b);
    return sum;
  }
  /// Of the scores above v, and some more.
  double above(double v) const {
    double sum = 0;
    for (int b = 0; b <= columns && k_max() - b + 1 > v; ++b) sum += count(b);
    return sum;
  }
  /// Scores in bin b lie as 1 + slope x, -1/2 < x < 1/2 from its lower to its upper edge, by the bins beside it.
  double slope(int b) const {
    if (b == 0) return 0;
    return count(b) > 0 ? std::clamp((count(b - 1) - count(b + 1)) / (2 * count(b)), -2.0, 2.0) : 0;
  }
  /// Scores between two v, as they lie.
  double between(double low, double high) const {
    double sum = 0;
    for (int b = 0; b <= columns; ++b) {
      const double from = std::max(low - (k_max() - b), 0.0);  // in the bin, 0 to 1
      const double to = std::min(high - (k_max() - b), 1.0);
      if (from < to) sum += count(b) * (to - from) * (1 + slope(b) * ((from + to) / 2 - 0.5));
    }
    return sum;
  }
  /// A distance from v within which so many scores lie at most, and no more than a bin.
  double near(double v, double scores) const {
    double distance = 1;
    for (int n = 0; n < 6; ++n) {
      const double found = between(v - distance, v + distance);
      if (found <= scores) break;
      distance *= std::max(scores / found, 0.25);
    }
    return distance;
  }
  /// Sums at t, the largest score's v being `top`: with scores in the middle of their bins, or as they lie.
  PowerSums sums(double t, double top, double e_minus_1, bool sloped) const {
    PowerSums now;
    now.add(1 - t, e_minus_1, 1);  // the largest score itself
    const double base = 1 - t - top / bins;
    now.add(base + (k_max() + top) / (2 * bins), e_minus_1, count(0) - 1);
    for (int b = 1; b <= columns; ++b) {
      if (!(count(b) > 0)) continue;
      const double y = base + (k_max() - b + 0.5) / bins;
      if (!sloped)
        now.add(y, e_minus_1, count(b));
      else if (y * bins > 3)
        now.add(y + slope(b) / (12 * bins), e_minus_1, count(b));
      else
        for (const double x : {-0.375, -0.125, 0.125, 0.375})
          now.add(y + x / bins, e_minus_1, count(b) / 4 * (1 + slope(b) * x));
    }
    return now;
  }
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
  double bins = 1;                                            ///< of the histogram that make one unit of z
  double t = 0;
  double left = 0;      ///< t is not below
  double above = 0;     ///< scores that may be above `left`, by the histogram; infinite: unknown
  double near = 0;      ///< of t: a list has place for the scores so near to it, by the histogram
  double expected = 1;  ///< |p - 1| of the next sums, in units of what is wanted for all rows
  double window = 0;  ///< t is solved for with the scores so near to it; infinite: with all above `left`; 0: it is not
  bool seen() const { return maximum > -std::numeric_limits<double>::infinity(); }
  double e() const { return e_minus_1 + 1; }

  /// The first t of a row from its histogram, `bins` of which make one unit of z. With every score in the middle of its
  /// bin none is off by more than half of one, nor is the solution, and Newton's steps end left of it: half a bin left
  /// of them is safe. Where scores are alike most of a bin's lie at its lower edge: t is solved for once more with
  /// those of a bin at their mean by the bins beside it, and in quarters where the slope of y^e is not that of a line.
  void start(const ScoreBins &counts, double factor, const ThresholdAccuracy &accuracy) {
    const double top = factor * counts.maximum();  // v of the largest score
    const double k_max = counts.k_max();
    maximum = counts.maximum() * ln_of_2;
    above = std::numeric_limits<double>::infinity();
    if (std::abs(k_max) * accuracy.rounding > 0.125) return;  // bins are narrower than the rounding of scores
    t = 0;
    for (bool on = true; on;) {
      const double change = counts.sums(t, top, e_minus_1, false).newton(e());
      t += change;
      on = change > 0.1 / bins;
    }
    const double widen = 8 * accuracy.rounding * (std::abs(top / bins) + 2);
    left = std::max(0.0, t - 0.501 / bins - widen);
    const double edge = top - bins * (1 - left) - 0.001;                             // v of the left end
    if (edge >= k_max - counts.columns - 0.002) above = counts.above(edge);          // else below what was counted
    if (above > most_listed) t += counts.sums(t, top, e_minus_1, true).newton(e());  // else lists do without
    t = std::clamp(t, left, std::max(left, -std::expm1(-std::log(counts.total()) / e())));
    near = counts.near(top - bins * (1 - t), list_filling * most_listed) / bins;
  }

  /// What rounds a score moves t by, with room.
  double doubt(const ThresholdAccuracy &accuracy) const { return 8 * accuracy.rounding * (std::abs(s * maximum) + 2); }
  /// Takes the sums at t, the first of which may be off by `missing`, and makes a step.
  void advance(const PowerSums &now, const ThresholdAccuracy &accuracy, double missing = 0) {
    const double wanted = accuracy.wanted + now.noise(e(), t, accuracy.rounding);
    const double error = now.error() == 0 ? 0 : now.error_after(e()) + missing;
    // A NaN is infinite: a maximum over ranks may lose it, or differ between them, and with it the passes.
    expected = std::isnan(error) ? std::numeric_limits<double>::infinity() : error * accuracy.wanted / wanted;
    if (now.error() == 0) return;
    const double newton = now.newton(e());
    const double unsure = (accuracy.sum + missing) * (now.p / now.u / e() + std::abs(newton)) + doubt(accuracy);
    left = std::max(left, std::min(t + newton, 1.0) - unsure);
    t = std::max(t + now.step(e(), e_minus_1), left);
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
    const double reached = std::clamp(move, -0.9 * window, 0.9 * window);
    const double least = window - std::max(reached, 0.0);  // y of those above the window
    const double missing = above_window.third(e(), e_minus_1) * std::abs(reached * reached * reached) / least;
    const PowerSums now = sums_at(reached);
    t += reached;
    if (reached != move) {
      near *= 0.5;  // scores are denser there than the histogram said, and fewer of them needed
      return advance(now, accuracy, missing);
    }
    left = std::max(left, t - doubt(accuracy) - 2 * missing / (e() * now.u));
    expected = missing;
  }
};

}  // namespace flashring

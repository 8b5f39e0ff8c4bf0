// The slope of the kernel sum over its bandwidth: intrinsic dimension, and the bandwidth of -beta slope and -beta auto.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "flashring/options.hpp"
#include "flashring/plan.hpp"
#include "flashring/points.hpp"
#include "flashring/ring.hpp"

namespace flashring {

/// A candidate for the gaussian's beta.
struct SlopePoint {
  double beta = 0;   ///< > 0, in 1/length^2
  double sum = 0;    ///< S = sum_ij exp(-beta |x_i - x_j|^2) over all N^2 pairs, i = j among them
  double slope = 0;  ///< -d ln S / d ln beta = beta sum_ij |x_i - x_j|^2 exp(-beta |x_i - x_j|^2) / S
};

/// Candidates beta = first times 1, 3/2, 2, 3, 4, 6, ...: each weight is a product of two others.
struct SlopeGrid {
  double first = 0;                 ///< > 0, in 1/length^2
  int candidates = 5;               ///< 3 to max_columns; up to 6 take one exponential a pair
  std::vector<SlopePoint> sampled;  ///< estimates over all scales, ascending, or empty
};

struct SlopeCurve {
  std::vector<SlopePoint> points;         ///< (candidates) ascending, exact over all pairs
  std::vector<SlopePoint> sampled;        ///< that of the grid
  double beta = 0;                        ///< where the slope is largest: parabola in ln beta through three candidates
  double maximum = 0;                     ///< the slope there
  bool at_edge = false;                   ///< the first or the last candidate is largest; beta and maximum are its own
  Precision precision = Precision::fp64;  ///< of the pass
  PassReport report;
  /// Estimate of the dimension of the set that the points lie on: S goes as beta^(-dimension/2) between the scale of
  /// neighbours and that of the set. Source: R. Coifman et al., IEEE Trans. Image Process. 17, 1891 (2008).
  double dimension() const { return 2 * maximum; }
};

/// Default grid: 5 candidates around the maximum of the slope of a sample (median_sample points, options.seed), which
/// is looked for over all scales from 1/(8 median squared distance) to 4/(smallest positive squared distance) in steps
/// of 2. The sample's pairs stand for those of all points, each point with itself counted once. Throws Error where all
/// sampled points coincide. Collective.
SlopeGrid slope_grid(const Communicator &communicator, const OperatorOptions &options, const PointBlock &points);

/// S and its slope for all candidates of the grid by one pass over all pairs, and the largest slope. Of the options
/// those count that name backend, transport, precision (reduced: fp32), threads and memory of points; the pair function
/// does not: the curve is that of the gaussian. Throws Error, on every rank: a grid out of range, a backend that does
/// not do it, points that all coincide. Cost: N^2/2 pairs of points, shared by the ranks, 3 operations for a candidate
/// and one exponential for 6. Memory: slope_phase. Collective.
SlopeCurve slope_curve(const Communicator &communicator, const OperatorOptions &options, const PointBlock &points,
                       const SlopeGrid &grid);

/// How an operator came to the length scale of its pair function.
struct Bandwidth {
  std::string rule;    ///< "given", "median" or "slope"
  std::string reason;  ///< in words, with numbers; empty: given
  SlopeCurve curve;    ///< without points where none was asked for
};

/// Sets the length scale of options.pair as -beta says: median as set_length_scale does; slope beta of the gaussian,
/// and ell = (2 beta)^(-1/2) of other pairs, so that both rules mean the same length; auto slope where its maximum lies
/// inside the grid, else median, also where the backend has no such pass. Nothing where a length scale was given.
/// `grid`: another one than slope_grid's. Throws Error. Collective.
Bandwidth choose_bandwidth(const Communicator &communicator, OperatorOptions &options, const PointBlock &points,
                           const std::optional<SlopeGrid> &grid = std::nullopt);

/// Whether -beta asks for a curve.
bool needs_slope(const OperatorOptions &options);

/// What that pass takes, the points beside it counted. Collective.
PlanPhase slope_phase(const Communicator &communicator, const OperatorOptions &options, PointShape shape);

/// Seconds of that pass, from some milliseconds of its tiles; 0 where auto takes the median without it. Collective.
double measure_slope(const Communicator &communicator, const OperatorOptions &options, PointShape shape);

}  // namespace flashring

// The kernel sum and its slope for all candidates of beta by one pass over all pairs.
//
//   S(beta) = sum_ij exp(-beta d_ij^2),  slope(beta) = beta sum_ij d_ij^2 exp(-beta d_ij^2) / S(beta)
//
//   1. Grid: the slope of a sample in steps of 2 over all scales, 5 candidates around its maximum. A sample of 2,048
//      points sees 2 million pairs, too few only where a point has less than one neighbour within the kernel; what it
//      has not is the weight of each point with itself, which is N and is put in. One grid over all scales would take
//      20 candidates and more, of 3 operations a pair each, for a coarser look at the maximum.
//   2. One pass of row rule slope with the first candidate's gaussian; the visiting side takes nothing.
//   3. Sums over rows and ranks; a parabola in ln beta through the largest slope and its neighbours.
//
// Cost: N^2/2 pairs of points of 2d operations, an exponential and 3 operations for each of 5 candidates; 2 sums for
// each row and candidate come home.
#include "flashring/slope.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "base/threads.hpp"
#include "flashring/check.hpp"
#include "flashring/median.hpp"
#include "operator/common_tiles.hpp"
#include "points/distance_sample.hpp"
#include "tile/calibrate.hpp"

namespace flashring {
namespace {

constexpr double ln_of_2 = 0.69314718055994530942;
/// Most sampled scales: 2^60 in squared distances is more than fp64 tells apart.
constexpr int most_octaves = 60;
/// Place of the sampled maximum in the grid: from a half of it to twice that, where its neighbours in the sample are.
constexpr double middle_of_grid = 2;

TileShape slope_shape(const OperatorOptions &options, int features, const SlopeGrid &grid) {
  const Precision precision = options.precision == Precision::reduced ? Precision::fp32 : options.precision;
  return {
      {PairKind::gaussian, {grid.first / slope_power(0)}}, RowKind::slope, 0, precision, features, grid.candidates, {}};
}

/// Estimates of S and slope at beta = first 2^l, from the weights of the first by squares; `itself` is the number of
/// pairs at distance 0, `times` what a pair of the sample stands for.
std::vector<SlopePoint> sampled_curve(const DistanceSample &sample, double first, int octaves, double itself,
                                      double times) {
  std::vector<SlopePoint> curve(static_cast<std::size_t>(octaves));
  for (const double squared : sample.squared) {
    double weight = std::exp(-first * squared);
    for (std::size_t l = 0; l < curve.size() && weight > 1e-30; ++l) {
      curve[l].sum += weight;
      curve[l].slope += weight * squared;
      weight *= weight;
    }
  }
  double beta = first;
  for (SlopePoint &point : curve) {
    point.beta = beta;
    point.sum = itself + times * point.sum;
    point.slope *= beta * times / point.sum;
    beta *= 2;
  }
  return curve;
}

std::size_t largest_of(const std::vector<SlopePoint> &curve) {
  const auto less = [](const SlopePoint &a, const SlopePoint &b) { return a.slope < b.slope; };
  return static_cast<std::size_t>(std::max_element(curve.begin(), curve.end(), less) - curve.begin());
}

/// (beta, slope) where the parabola through three points, the middle one largest, is largest.
SlopePoint top_of_parabola(const SlopePoint &a, const SlopePoint &b, const SlopePoint &c) {
  const double left = std::log(a.beta / b.beta);
  const double right = std::log(c.beta / b.beta);
  const double to_left = (a.slope - b.slope) / left;
  const double to_right = (c.slope - b.slope) / right;
  const double bend = (to_right - to_left) / (right - left);  // of slope = b.slope + tilt x + bend x^2
  if (!(bend < 0)) return b;                                  // three equal numbers
  const double tilt = to_left - bend * left;
  const double x = -tilt / (2 * bend);
  return {b.beta * std::exp(x), 0, b.slope + 0.5 * tilt * x};
}

void set_maximum(SlopeCurve &curve) {
  const std::size_t largest = largest_of(curve.points);
  curve.at_edge = largest == 0 || largest + 1 == curve.points.size();
  const SlopePoint top =
      curve.at_edge ? curve.points[largest]
                    : top_of_parabola(curve.points[largest - 1], curve.points[largest], curve.points[largest + 1]);
  curve.beta = top.beta;
  curve.maximum = top.slope;
}

void check_request(const Backend &backend, const TileShape &shape, const SlopeGrid &grid) {
  FLASHRING_CHECK(grid.candidates >= 3 && grid.candidates <= max_columns, "slope: ", grid.candidates,
                  " candidates for beta; 3 to ", max_columns, " fit one pass");
  const double last = grid.first / slope_power(0) * slope_power(grid.candidates - 1);
  FLASHRING_CHECK(grid.first > 0 && std::isfinite(last), "slope: the candidates for beta reach from ", grid.first,
                  " to ", last, "; give positive finite numbers");
  FLASHRING_CHECK(
      backend.supports(shape), "-backend ", backend.name,
      " does not sum powers of weights (-beta slope); -backend simd does, or give -beta median or a number");
}

/// Why the backend of the options makes no such pass, or nothing.
std::string inability(const Communicator &communicator, const OperatorOptions &options, int features) {
  const Backend &backend = common_backend(communicator, options.backend);
  if (backend.supports(slope_shape(options, features, {1, SlopeGrid().candidates, {}}))) return {};
  return detail::concatenate("-backend ", backend.name, " does not sum powers of weights; ");
}

/// Sums over all rows of all ranks: (2 candidates).
std::vector<double> totals(const Communicator &communicator, const TileShape &shape, TileBlock &block) {
  const auto rows = static_cast<std::size_t>(block.local_rows());
  std::vector<double> sums(2 * static_cast<std::size_t>(shape.columns), 0.0);
  communicator.agree([&] {
    std::vector<double> of_rows(rows * sums.size());  // (rows, 2 candidates) column-major
    block.finish(RowKind::slope, shape.columns, {of_rows.data(), block.local_rows(), static_cast<int>(sums.size())});
    for (std::size_t c = 0; c < sums.size(); ++c)
      for (std::size_t i = 0; i < rows; ++i) sums[c] += of_rows[c * rows + i];
  });
  communicator.sum(std::span<double>(sums));
  return sums;
}

/// What the curve says, the remedy with it where its bandwidth is taken all the same.
std::string words_of(const SlopeCurve &curve, bool taken) {
  std::array<char, 300> text{};
  const int written =
      std::snprintf(text.data(), text.size(), "largest slope %.6g at beta %.6g, of candidates from %.6g to %.6g",
                    curve.maximum, curve.beta, curve.points.front().beta, curve.points.back().beta);
  const std::size_t used = static_cast<std::size_t>(std::max(0, written));
  if (!curve.at_edge)
    std::snprintf(text.data() + used, text.size() - used, ": the points look like a set of dimension %.4g",
                  curve.dimension());
  std::string words = text.data();
  if (curve.at_edge) words += " at the edge of the grid; ";
  if (curve.at_edge && taken) words += "it says no dimension: give -beta a number, or -beta median";
  return words;
}

}  // namespace

SlopeGrid slope_grid(const Communicator &communicator, const OperatorOptions &options, const PointBlock &points) {
  const DistanceSample sample = sample_distances(communicator, points, options.seed);
  communicator.agree([&] {
    FLASHRING_CHECK(!sample.squared.empty(), "-beta slope: all ", sample.points,
                    " sampled points coincide, so there is no scale of lengths; give -beta a number");
  });
  const double first = 1 / (8 * median_of(sample.squared));
  const double last = 4 / *std::min_element(sample.squared.begin(), sample.squared.end());
  // Clamped before it is a whole number: `last` is infinite where two points are nearer than 1e-154.
  const int octaves = static_cast<int>(std::clamp(std::ceil(std::log2(last / first)) + 1, 3.0, double{most_octaves}));
  const auto n = static_cast<double>(points.partition().rows());
  const auto s = static_cast<double>(sample.points);
  const double times = n * (n - 1) / (s * (s - 1) / 2);
  const double apart = static_cast<double>(sample.squared.size());
  SlopeGrid grid;
  grid.sampled = sampled_curve(sample, first, octaves, n + times * (s * (s - 1) / 2 - apart), times);
  grid.first = grid.sampled[largest_of(grid.sampled)].beta / middle_of_grid;
  return grid;
}

SlopeCurve slope_curve(const Communicator &communicator, const OperatorOptions &options, const PointBlock &points,
                       const SlopeGrid &grid) {
  TilesOptions how = tiles_options(options);
  how.ring.threads = choose_threads(options.threads, communicator);
  const Backend &backend = checked_backend(communicator, how);
  const TileShape shape = slope_shape(options, points.features(), grid);
  communicator.agree([&] { check_request(backend, shape, grid); });
  const std::unique_ptr<Transport> transport = common_transport(communicator, how, backend.device);
  const std::vector<double> mean = global_mean(communicator, points);
  SlopeCurve curve;
  curve.sampled = grid.sampled;
  curve.precision = shape.precision;
  TileBlock block;
  communicator.agree([&] { block = TileBlock(backend, shape, points, mean, how.points); });  // room on all ranks
  curve.report = Ring(communicator, *transport, backend, how.ring).run(shape, Sides::both, block, block);
  const std::vector<double> sums = totals(communicator, shape, block);
  const auto candidates = static_cast<std::size_t>(grid.candidates);
  for (std::size_t l = 0; l < candidates; ++l) {
    const double power = slope_power(static_cast<int>(l));
    curve.points.push_back(
        {grid.first / slope_power(0) * power, sums[l], power * ln_of_2 * sums[candidates + l] / sums[l]});
  }
  set_maximum(curve);
  communicator.agree([&] {
    FLASHRING_CHECK(curve.maximum > 0, "-beta slope: all points coincide, so there is no scale of lengths; give -beta ",
                    "a number");
  });
  return curve;
}

bool needs_slope(const OperatorOptions &options) { return options.median && options.bandwidth != "median"; }

Bandwidth choose_bandwidth(const Communicator &communicator, OperatorOptions &options, const PointBlock &points,
                           const std::optional<SlopeGrid> &grid) {
  if (!options.median) return {"given", {}, {}};
  communicator.agree([&] { check_length_scale(options.pair); });
  Bandwidth found;
  if (options.bandwidth == "auto") found.reason = inability(communicator, options, points.features());
  if (needs_slope(options) && found.reason.empty()) {
    found.curve = slope_curve(communicator, options, points, grid ? *grid : slope_grid(communicator, options, points));
    found.reason = words_of(found.curve, options.bandwidth == "slope");
    if (options.bandwidth == "slope" || !found.curve.at_edge) {
      found.rule = "slope";
      set_length_scale(options.pair, 1 / (2 * found.curve.beta));
      return found;
    }
  }
  const MedianBandwidth median = median_bandwidth(communicator, points, options.seed);
  found.rule = "median";
  found.reason +=
      detail::concatenate("median squared distance ", median.median_squared_distance, " of ", median.sample, " points");
  set_length_scale(options.pair, median.median_squared_distance);
  return found;
}

PlanPhase slope_phase(const Communicator &communicator, const OperatorOptions &options, PointShape shape) {
  OperatorOptions searching = options;
  searching.pair = {PairKind::gaussian, {1}};
  const int ranks = communicator.size();
  // States of two words a row and candidate, which is what neighbours take a row and place.
  PlanPhase phase{"choosing the bandwidth", neighbour_memory(searching, shape, 0, ranks, SlopeGrid().candidates)};
  for (MemoryPart &part : phase.memory) {
    if (part.name == "lists of neighbours") part.name = "sums of the candidates";
    if (part.name == "lists on their way") part.name = "sums on their way";
  }
  for (MemoryPart &part : input_memory(options, shape, ranks)) phase.memory.push_back(std::move(part));
  const double rows = std::ceil(static_cast<double>(shape.rows) / ranks);
  phase.memory.push_back({"sums as the states give them", 16.0 * SlopeGrid().candidates * rows});
  return phase;
}

double measure_slope(const Communicator &communicator, const OperatorOptions &options, PointShape shape) {
  if (options.bandwidth == "auto" && !inability(communicator, options, shape.features).empty()) return 0;
  const Backend &backend = common_backend(communicator, options.backend);
  const SlopeGrid grid{1, SlopeGrid().candidates, {}};
  const TileShape tile = slope_shape(options, shape.features, grid);
  communicator.agree([&] { check_request(backend, tile, grid); });
  const double tiles = std::ceil(static_cast<double>(shape.rows) / backend.tile_rows);
  return seconds_per_pass(communicator, backend, tile, choose_threads(options.threads, communicator), tiles);
}

}  // namespace flashring

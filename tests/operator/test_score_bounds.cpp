// What is known of scores before any is computed, against all scores.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "flashring/check.hpp"
#include "operator/score_bounds.hpp"
#include "support/scatter.hpp"
#include "support/tiles.hpp"
#include "support/world.hpp"

namespace flashring::test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr double width = 1 + 1.0 / 16;

/// Queries and keys in clusters that lie further and further apart, so that some bounds are close; whole on every rank.
struct Problem {
  std::string backend = "simd";
  Precision precision = Precision::fp32;
  double scale = 1;
  bool causal = false;
  int threads = 1;
  PointSet queries = random_points(1000, 6, 81);
  PointSet keys = random_points(1000, 6, 82);
  std::vector<double> log_weights = std::vector<double>(1000, 0.0);
  std::vector<double> s = random_numbers(1000, 83);

  explicit Problem(double step) {
    for (std::size_t i = 0; i < 1000; ++i) {
      queries.rows[i * 6 + i / 256] += step * (2.0 + static_cast<double>(i / 256));
      keys.rows[i * 6 + i / 256] += step * (2.0 + static_cast<double>(i / 256));
      s[i] = 1.5 + s[i];
    }
    // The sources of the second 256 but the last are hidden, and one of the others, the longest.
    std::fill_n(log_weights.begin() + 256, 255, -infinity);
    log_weights[40] = -infinity;
    keys.rows[40 * 6] = 1000;
  }
  TileShape shape() const {
    return {{PairKind::inner_exp, {scale, 0}}, RowKind::power_sums, 0, precision, 6, 1, {causal, false}};
  }
  Real score(std::size_t i, std::size_t j) const {
    if (log_weights[j] == -infinity || (causal && j > i)) return -infinity;
    Real sum = 0;
    for (std::size_t k = 0; k < 6; ++k) sum += static_cast<Real>(queries.rows[i * 6 + k]) * keys.rows[j * 6 + k];
    return scale * sum;
  }
};

struct Outcome {
  TileBits bits;
  std::vector<ScoreRange> ranges;  // (local rows)
  double cleared = 0;              ///< bits that are 0, of pairs that no mask hides
  std::string wrong;               ///< a pair that was left out and holds a near score
};

std::vector<Real> row_tops(const Problem &p, std::span<const TileInfo> tiles) {
  std::vector<Real> tops(p.queries.count(), -infinity);
  for (const TileInfo &tile : tiles)
    for (auto i = static_cast<std::size_t>(tile.first.value);
         i < tile.first.value + static_cast<std::size_t>(tile.rows); ++i)
      for (std::size_t j = 0; j < p.keys.count(); ++j) tops[i] = std::max(tops[i], p.score(i, j));
  return tops;
}

/// The largest s x of two tiles, less that of the row: above -width is near.
Real nearest(const Problem &p, const std::vector<Real> &tops, const TileInfo &own, const TileInfo &visiting) {
  Real nearest = -infinity;
  for (std::int64_t i = own.first.value; i < own.first.value + own.rows; ++i)
    for (std::int64_t j = visiting.first.value; j < visiting.first.value + visiting.rows; ++j) {
      const auto row = static_cast<std::size_t>(i);
      const Real x = p.score(row, static_cast<std::size_t>(j));
      if (x > -infinity) nearest = std::max(nearest, p.s[row] * (x - tops[row]));
    }
  return nearest;
}

Outcome run(const Problem &p) {
  const int rank = world().rank();
  const int ranks = world().size();
  const RowPartition rows = RowPartition::contiguous(1000, ranks);
  const Backend &backend = find_backend(p.backend);
  TileBlock own(backend, p.shape(), local_block(p.queries, rows, rank), {});
  TileBlock sources(backend, p.shape(), local_block(p.keys, rows, rank), {});
  sources.set_pass_scalars(local_columns(p.log_weights, 1, rows, rank), -infinity);
  const std::vector<double> s = local_columns(p.s, 1, rows, rank);
  const ScoreBounds bounds(world(), p.shape(), own, sources, p.threads);
  Outcome out{bounds.near_pairs(s, width), bounds.ranges(), 0, ""};
  const std::vector<Real> tops = row_tops(p, own.tiles());
  for (std::size_t step = 0; step < out.bits.steps.size(); ++step) {
    const auto visiting = make_tiles(rows, (rank + static_cast<int>(step)) % ranks, backend.tile_rows);
    for (std::size_t i = 0; i < own.tiles().size(); ++i)
      for (std::size_t j = 0; j < visiting.size(); ++j) {
        if (visibility(p.shape().mask, own.tiles()[i], visiting[j]) == Visibility::none) continue;
        if (is_kept(out.bits.steps[step].data(), std::ssize(visiting), static_cast<std::int64_t>(i),
                    static_cast<std::int64_t>(j)))
          continue;
        ++out.cleared;
        if (const Real near = nearest(p, tops, own.tiles()[i], visiting[j]); near > -width)
          out.wrong = detail::concatenate("tiles ", i, " and ", j, " of step ", step, ": ", static_cast<double>(near));
      }
  }
  return out;
}

TEST(ScoreBounds, LeaveOutNothingNear) {
  for (const double step : {0.5, 1.0, 2.0})
    for (const double scale : {1.0, -1.0, 0.05})
      for (const Precision precision : {Precision::fp64, Precision::fp32})
        for (const bool causal : {false, true}) {
          Problem p(step);
          p.scale = scale;
          p.precision = precision;
          p.causal = causal;
          const Outcome outcome = run(p);
          EXPECT_EQ(outcome.wrong, "") << step << " " << scale << " " << causal;
          const double found = world().sum(outcome.cleared);
          EXPECT_TRUE(found > 0 || scale != 1 || step < 2 || causal) << "far pairs";
        }
}

/// Tiles of keys that are alike have a score each, half a unit apart: what is left out is known.
TEST(ScoreBounds, AreExactForTilesOfOneScore) {
  for (const double scale : {0.1, 1.0, 10.0}) {
    Problem p(0);
    p.scale = scale;
    p.log_weights.assign(1000, 0.0);
    p.s.assign(1000, 1.0);
    p.queries.rows.assign(6000, 0.0);
    p.keys.rows.assign(6000, 0.0);
    for (std::size_t i = 0; i < 1000; ++i) p.queries.rows[i * 6] = 1;
    const RowPartition rows = RowPartition::contiguous(1000, world().size());
    std::int64_t tiles = 0;
    for (int rank = 0; rank < world().size(); ++rank)
      for (const TileInfo &tile : make_tiles(rows, rank, find_backend(p.backend).tile_rows)) {
        for (std::int64_t j = tile.first.value; j < tile.first.value + tile.rows; ++j)
          p.keys.rows[static_cast<std::size_t>(j) * 6] = 0.5 / scale * static_cast<double>(tiles);
        ++tiles;
      }
    const Outcome outcome = run(p);
    EXPECT_EQ(outcome.wrong, "") << scale;
    EXPECT_EQ(world().sum(outcome.cleared), static_cast<double>(tiles * (tiles - 3)))
        << scale << ": 1.0 is near, 1.5 far";
  }
}

TEST(ScoreBounds, AreThoseOfEveryBackendAndThreadNumber) {
  Problem p(2);
  const Outcome one = run(p);
  p.threads = 3;
  EXPECT_EQ(run(p).bits.steps, one.bits.steps);
  p.backend = "ref";
  p.precision = Precision::fp64;
  const Outcome ref = run(p);
  EXPECT_EQ(ref.wrong, "");
  EXPECT_GT(world().sum(ref.cleared), 0);
}

/// What the scores of row i are, with log weights other than 0.
ScoreRange range_of(const Problem &p, std::size_t i) {
  double least = infinity;
  double most = -infinity;
  double size = 0;
  for (std::size_t j = 0; j < p.keys.count(); ++j) {
    const auto x = static_cast<double>(p.score(i, j)) + p.log_weights[j];
    if (x == -infinity) continue;
    least = std::min(least, x);
    most = std::max(most, x);
    size = std::max(size, std::abs(x));
  }
  return {most - least, size};
}

TEST(ScoreBounds, RangesHoldAllScores) {
  for (const double scale : {1.0, -0.1}) {
    Problem p(1);
    p.scale = scale;
    p.log_weights[7] = -0.5;
    const std::vector<ScoreRange> bounds = run(p).ranges;
    const RowPartition rows = RowPartition::contiguous(1000, world().size());
    for (std::size_t i = 0; i < bounds.size(); ++i) {
      const GlobalRow row = rows.global_row(world().rank(), LocalRow{static_cast<std::int64_t>(i)});
      const ScoreRange scores = range_of(p, static_cast<std::size_t>(row.value));
      EXPECT_LE(scores.apart, bounds[i].apart) << i;
      EXPECT_LE(scores.size, bounds[i].size) << i;
    }
  }
}

/// Keys at two opposite points: bounds are the numbers themselves, but for the mean of a tile with one more of either
/// sort and the room for rounding.
TEST(ScoreBounds, RangesOfTwoPointsAreTheirDistance) {
  Problem p(0);
  p.log_weights.assign(1000, 0.0);
  p.keys.rows.assign(6000, 0.0);
  for (std::size_t j = 0; j < 1000; ++j) p.keys.rows[j * 6] = j % 2 == 0 ? 1 : -1;
  p.queries.rows.assign(6000, 0.0);
  for (std::size_t i = 0; i < 1000; ++i) p.queries.rows[i * 6] = 3;
  for (const ScoreRange &bound : run(p).ranges) {
    EXPECT_GE(bound.apart, 6);
    EXPECT_LE(bound.apart, 6 * 1.05);
    EXPECT_GE(bound.size, 3);
    EXPECT_LE(bound.size, 3 * 1.05);
  }
}

TEST(ScoreBounds, DistancesHaveNone) {
  const RowPartition rows = RowPartition::contiguous(1000, world().size());
  const Problem p(2);
  TileShape shape = p.shape();
  shape.pair = {PairKind::gaussian, {1, 0}};
  TileBlock own(find_backend("simd"), shape, local_block(p.queries, rows, world().rank()), {});
  TileBlock sources(find_backend("simd"), shape, local_block(p.keys, rows, world().rank()), {});
  EXPECT_FALSE(ScoreBounds(world(), shape, own, sources, 1).known());
}

}  // namespace
}  // namespace flashring::test

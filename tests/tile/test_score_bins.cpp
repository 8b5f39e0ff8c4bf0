// Row rule score_bins: histograms of scores that every backend and precision has exactly, against counts made one by
// one; states merged in any order and grouping have the same bits.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "flashring/row.hpp"
#include "support/scatter.hpp"
#include "support/tiles.hpp"

namespace flashring::test {
namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();
constexpr int bins = 16;
constexpr int features = 3;
constexpr int pieces = 5;

using State = std::vector<std::byte>;

/// Whole numbers: with s = ln 2 a score, log2 k, is their inner product, without a rounding.
PointSet whole_points(std::size_t count, std::uint64_t seed) {
  PointSet points = random_points(count, features, seed);
  for (double &x : points.rows) x = std::round(3 * x);
  return points;
}

class Histogram {
 public:
  Histogram(const std::string &backend, Precision precision, Mask mask)
      : backend_(find_backend(backend)),
        shape_{parse_pair("inner_exp:s=0.69314718055994531"), RowKind::score_bins, 0, precision, features, bins, mask},
        own_points_(whole_points(static_cast<std::size_t>(backend_.tile_rows) - 3, 81)),
        visiting_points_(whole_points(pieces * 13, 82)),
        own_(backend_, shape_, own_points_, make_tile_list(0, {backend_.tile_rows - 3})),
        visiting_(backend_, shape_, visiting_points_, make_tile_list(20, std::vector<int>(pieces, 13))),
        factors_(own_points_.count()),
        hidden_(visiting_points_.count(), 0.0) {
    for (std::size_t i = 0; i < factors_.size(); ++i) factors_[i] = 0.75 * static_cast<double>(1 + i % 4);
    for (std::size_t j = 0; j < hidden_.size(); j += 6) hidden_[j] = -infinity;
    own_.set_log_weights(factors_);  // its one number
    visiting_.set_log_weights(hidden_);
  }

  State fold(const std::vector<int> &tiles) {
    own_.reset_state();
    std::vector<TilePair> pairs;
    for (const int tile : tiles) pairs.push_back({0, tile, Sides::own, shape_.mask.active()});
    evaluate(backend_, shape_, own_, visiting_, pairs);
    return own_.state().copy();
  }
  State merge(State into, const State &from) const {
    row_rule(RowKind::score_bins).merge(0, bins, tile_rows(), into.data(), from.data());
    return into;
  }
  /// (rows) of words, as the state has them; the padding is left out.
  std::vector<double> words(const State &state, std::size_t i) const {
    std::vector<double> of_row;
    for (std::size_t w = 0; w < 3 + bins; ++w)
      of_row.push_back(reinterpret_cast<const double *>(state.data())[w * tile_rows() + i]);
    return of_row;
  }
  std::vector<double> expected(std::size_t i) const {
    std::vector<double> of_row(3 + bins, 0.0);
    of_row[0] = of_row[1] = -1e300;
    const auto score = [&](std::size_t j) {
      const bool seen =
          hidden_[j] == 0 && visible(shape_.mask, static_cast<std::int64_t>(i), 20 + static_cast<std::int64_t>(j));
      double sum = 0;
      for (std::size_t k = 0; k < features; ++k)
        sum += own_points_.rows[i * features + k] * visiting_points_.rows[j * features + k];
      return seen ? sum : -infinity;
    };
    for (std::size_t j = 0; j < hidden_.size(); ++j) of_row[0] = std::max(of_row[0], score(j));
    if (of_row[0] == -1e300) return of_row;
    of_row[1] = std::floor(of_row[0] * factors_[i]);
    for (std::size_t j = 0; j < hidden_.size(); ++j) {
      if (score(j) == -infinity) continue;
      const double below = of_row[1] - std::floor(score(j) * factors_[i]);
      if (below <= bins) of_row[2 + static_cast<std::size_t>(below)] += 1;
    }
    return of_row;
  }
  std::size_t rows() const { return own_points_.count(); }
  std::size_t tile_rows() const { return static_cast<std::size_t>(backend_.tile_rows); }

 private:
  const Backend &backend_;
  TileShape shape_;
  PointSet own_points_, visiting_points_;
  TileArrays own_, visiting_;
  std::vector<double> factors_, hidden_;
};

TEST(ScoreBins, CountsAreExact) {
  for (const std::string &backend : vector_backends())
    for (const Precision precision : {Precision::fp64, Precision::fp32})
      for (const bool causal : {false, true}) {
        Histogram histogram(backend, precision, {causal, false});
        const State state = histogram.fold({0, 1, 2, 3, 4});
        for (std::size_t i = 0; i < histogram.rows(); ++i)
          ASSERT_EQ(histogram.words(state, i), histogram.expected(i))
              << backend << " row " << i << " causal " << causal;
      }
}

TEST(ScoreBins, AnyOrderGivesTheSameBits) {
  Histogram histogram("ref", Precision::fp64, {});
  const State whole = histogram.fold({0, 1, 2, 3, 4});
  std::vector<State> parts;
  for (int piece = 0; piece < pieces; ++piece) parts.push_back(histogram.fold({piece}));
  std::vector<std::size_t> order(pieces);
  std::iota(order.begin(), order.end(), std::size_t{0});
  do {
    State left = parts[order[0]];
    for (std::size_t n = 1; n < pieces; ++n) left = histogram.merge(left, parts[order[n]]);
    const State pair = histogram.merge(parts[order[0]], parts[order[1]]);
    const State rest = histogram.merge(histogram.merge(parts[order[2]], parts[order[3]]), parts[order[4]]);
    ASSERT_EQ(left, whole);
    ASSERT_EQ(histogram.merge(pair, rest), whole);
  } while (std::next_permutation(order.begin(), order.end()));
}

}  // namespace
}  // namespace flashring::test

// Row rules score_bins and score_list: histograms and lists of scores that every backend and precision has exactly,
// against those made one by one; states merged in any order and grouping have the same bits, or the same list.
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

  State fold(const std::vector<int> &tiles) { return fold_state(backend_, shape_, own_, visiting_, tiles); }
  State merge(State into, const State &from) const { return merge_states(backend_, shape_, std::move(into), from); }
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

/// Own rows in turn: listed, summed with e = 2, and with e = 3.5 summed above y = 1/2 and listed below. Scores are
/// whole numbers, and so is m; f is 1/16.
class Lists {
 public:
  static constexpr double factor = 1.0 / 16;
  static constexpr double room = 1.125;  // of lists; y begins 1/8 above

  Lists(const std::string &backend, Precision precision, int places)
      : backend_(find_backend(backend)),
        shape_{parse_pair("inner_exp:s=0.69314718055994531"), RowKind::score_list, 0, precision, features, places, {}},
        own_points_(whole_points(40, 83)),
        visiting_points_(whole_points(pieces * 13, 84)),
        own_(backend_, shape_, own_points_, make_tile_list(0, {40})),
        visiting_(backend_, shape_, visiting_points_, make_tile_list(20, std::vector<int>(pieces, 13))),
        hidden_(visiting_points_.count(), 0.0) {
    const std::size_t n = own_points_.count();
    std::vector<double> numbers(8 * n);
    for (std::size_t i = 0; i < n; ++i) {
      const double of_row[] = {factor, largest(i), 0, 1, room, exponent(i) - 2, low(i), high(i)};
      for (std::size_t k = 0; k < 8; ++k) numbers[k * n + i] = of_row[k];
    }
    for (std::size_t j = 0; j < hidden_.size(); j += 6) hidden_[j] = -infinity;
    own_.set_pass_scalars(numbers, 8, 0);
    visiting_.set_log_weights(hidden_);
  }

  static double low(std::size_t i) { return i % 3 == 1 ? -1 : room; }
  static double high(std::size_t i) { return i % 3 == 0 ? -1 : i % 3 == 1 ? 1 : 0.5; }
  static double exponent(std::size_t i) { return i % 3 == 1 ? 2 : 3.5; }
  std::size_t rows() const { return own_points_.count(); }
  double score(std::size_t i, std::size_t j) const {
    double sum = 0;
    for (std::size_t k = 0; k < features; ++k)
      sum += own_points_.rows[i * features + k] * visiting_points_.rows[j * features + k];
    return sum;
  }
  /// Of all, the hidden ones too: one of those that are listed need not be there.
  double largest(std::size_t i) const {
    double top = -infinity;
    for (std::size_t j = 0; j < visiting_points_.count(); ++j) top = std::max(top, score(i, j));
    return top;
  }
  double z(std::size_t i, std::size_t j) const { return factor * (score(i, j) - largest(i)); }
  /// The seen scores to be listed.
  std::vector<double> within(std::size_t i) const {
    std::vector<double> scores;
    for (std::size_t j = 0; j < hidden_.size(); ++j)
      if (hidden_[j] == 0 && z(i, j) + low(i) > 0 && z(i, j) + high(i) <= 0) scores.push_back(score(i, j));
    std::sort(scores.begin(), scores.end());
    return scores;
  }
  double power_sum(std::size_t i, double power) const {
    double sum = 0;
    for (std::size_t j = 0; j < hidden_.size(); ++j)
      if (hidden_[j] == 0 && z(i, j) + high(i) > 0) sum += std::pow(z(i, j) + 1, power);
    return sum;
  }
  State fold(const std::vector<int> &tiles) { return fold_state(backend_, shape_, own_, visiting_, tiles); }
  State merge(State into, const State &from) const { return merge_states(backend_, shape_, std::move(into), from); }
  double word(const State &state, std::size_t w, std::size_t i) const {
    return reinterpret_cast<const double *>(state.data())[w * static_cast<std::size_t>(backend_.tile_rows) + i];
  }
  std::vector<double> list(const State &state, std::size_t i) const {
    std::vector<double> scores;
    for (std::size_t k = 0; k < static_cast<std::size_t>(word(state, 3, i)); ++k)
      scores.push_back(word(state, 4 + k, i));
    std::sort(scores.begin(), scores.end());
    return scores;
  }

 private:
  const Backend &backend_;
  TileShape shape_;
  PointSet own_points_, visiting_points_;
  TileArrays own_, visiting_;
  std::vector<double> hidden_;
};

/// Powers of the last kind are off by 16 roundings of a power of 3.5, y being exact; sums of up to 65 terms by as many.
TEST(ScoreList, ListsAndSums) {
  for (const std::string &backend : vector_backends())
    for (const Precision precision : {Precision::fp64, Precision::fp32}) {
      Lists lists(backend, precision, pieces * 13);
      const State state = lists.fold({0, 1, 2, 3, 4});
      const double unit = precision == Precision::fp64 ? 0x1p-53 : 0x1p-24;
      for (std::size_t i = 0; i < lists.rows(); ++i) {
        SCOPED_TRACE(backend + " row " + std::to_string(i));
        ASSERT_EQ(lists.list(state, i), lists.within(i));
        for (std::size_t w = 0; w < 3; ++w) {
          const double e = Lists::exponent(i);
          const double sum = lists.power_sum(i, e - static_cast<double>(w));
          ASSERT_NEAR(lists.word(state, w, i), sum, e == 2 ? 0 : (16 * 3.5 + 65) * unit * sum);
        }
      }
    }
}

TEST(ScoreList, MergesInAnyOrder) {
  Lists lists("ref", Precision::fp64, pieces * 13);
  const State left = lists.merge(lists.fold({4, 1}), lists.merge(lists.fold({0}), lists.fold({3, 2})));
  for (std::size_t i = 0; i < lists.rows(); ++i) EXPECT_EQ(lists.list(left, i), lists.within(i));
}

TEST(ScoreList, CountsWhatItHasNoPlaceFor) {
  for (const std::string &backend : vector_backends()) {
    Lists lists(backend, Precision::fp64, 2);
    const State state = lists.merge(lists.fold({0, 1, 2}), lists.fold({3, 4}));
    bool more = false;
    for (std::size_t i = 0; i < lists.rows(); i += 3) {
      const std::vector<double> within = lists.within(i);
      EXPECT_EQ(lists.word(state, 3, i), static_cast<double>(within.size()));
      more = more || within.size() > 2;
      for (std::size_t k = 0; k < std::min<std::size_t>(2, within.size()); ++k)
        EXPECT_GT(std::count(within.begin(), within.end(), lists.word(state, 4 + k, i)), 0);
    }
    EXPECT_TRUE(more);
  }
}

}  // namespace
}  // namespace flashring::test

// Every path of the vector kernels against the long double oracle: numbers of features, columns and rows on both sides
// of each width that a kernel works in, for one pair function of each kind (distances with and without a root, inner
// products). test_conformance has all pair functions.
//
// random_numbers() of fewer numbers are the first of more, and columns lie one after the other: what fewer columns must
// answer is the beginning of what the most columns must, so the oracle is asked once.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "flashring/options.hpp"
#include "support/pair_text.hpp"
#include "support/scatter.hpp"
#include "support/stated.hpp"
#include "support/tiles.hpp"
#include "support/tolerance.hpp"

namespace flashring::test {
namespace {

constexpr std::size_t most_rows = 70;

/// What both sides must hold.
struct Answers {
  Bounded own, visiting;
};

/// Points of two sides in one or two tiles, and what a shape must answer.
struct Problem {
  Problem(const std::string &name, int d, std::size_t own_rows, std::size_t visiting_rows)
      : text(spread_pair(name, d)),
        pair(oracle_pair(text)),
        own(random_points(own_rows, d, 51)),
        visiting(random_points(visiting_rows, d, 52)),
        table(make_table(pair, own, visiting)) {}

  /// Tiles of at most `most` rows: with fewer rows than the backend's tile there are two, both ragged.
  static std::vector<TileInfo> tiles(const Backend &backend, const PointSet &points, std::int64_t first) {
    return cut(first, points.count(), std::min(backend.tile_rows, 41));
  }

  static std::vector<double> values_of(const PointSet &points, int columns, std::uint64_t seed) {
    return random_numbers(points.count() * static_cast<std::size_t>(columns), seed);
  }

  Answers answers(const Backend &backend, const TileShape &shape) const {
    const PairTable bounded = shape.precision == Precision::reduced
                                  ? with_stated_errors(table, pair, tile_norms(own, tiles(backend, own, 0)),
                                                       tile_norms(visiting, tiles(backend, visiting, 1000)),
                                                       backend.error(shape), unit_roundoff(shape.precision))
                                  : table;
    const Arithmetic a = arithmetic(shape.precision, backend.tile_rows);
    const auto expected = [&](const PairTable &t, const std::vector<double> &values, const std::vector<double> &g) {
      return shape.row == RowKind::sum ? oracle_sum(t, values, shape.columns, a)
                                       : oracle_log_sum_exp(t, g, values, shape.columns, a);
    };
    return {expected(bounded, values_of(visiting, shape.columns, 54), random_numbers(visiting.count(), 56)),
            expected(transposed(bounded), values_of(own, shape.columns, 53), random_numbers(own.count(), 55))};
  }

  /// The beginning of `bounded` that fewer columns answer.
  static Bounded first(const Bounded &bounded, std::size_t count) {
    const auto end = static_cast<std::ptrdiff_t>(count);
    return {{bounded.value.begin(), bounded.value.begin() + end}, {bounded.bound.begin(), bounded.bound.begin() + end}};
  }

  void check(const Backend &backend, RowKind row, Precision precision, const std::vector<int> &columns) const {
    const int most = *std::max_element(columns.begin(), columns.end());
    TileShape shape{parse_pair(text), row, 0, precision, own.features, most, {}};
    const Answers all = answers(backend, shape);
    for (const int c : columns) {
      shape.columns = c;
      const auto outputs = static_cast<std::size_t>(row_rule(row).outputs(c));
      check(backend, shape, {first(all.own, outputs * own.count()), first(all.visiting, outputs * visiting.count())});
    }
  }

  void check(const Backend &backend, const TileShape &shape, const Answers &expected) const {
    SCOPED_TRACE(std::string(backend.name) + ":" + backend.target + " " + text + " " + row_rule(shape.row).name + " " +
                 to_string(shape.precision) + " d=" + std::to_string(own.features) +
                 " columns=" + std::to_string(shape.columns) + " rows " + std::to_string(own.count()) + " x " +
                 std::to_string(visiting.count()));
    for (const Sides sides : {Sides::own, Sides::both}) {
      TileArrays mine(backend, shape, own, tiles(backend, own, 0));
      TileArrays theirs(backend, shape, visiting, tiles(backend, visiting, 1000));
      mine.set_columns(values_of(own, shape.columns, 53));
      theirs.set_columns(values_of(visiting, shape.columns, 54));
      if (row_rule(shape.row).scalars > 0) {
        mine.set_log_weights(random_numbers(own.count(), 55));
        theirs.set_log_weights(random_numbers(visiting.count(), 56));
      }
      evaluate(backend, shape, mine, theirs, all_pairs(mine, theirs, sides, false));
      EXPECT_EQ(outside(mine.finish(), expected.own), "") << "own rows, sides " << static_cast<int>(sides);
      if (has_visiting(sides)) {
        EXPECT_EQ(outside(theirs.finish(), expected.visiting), "") << "visiting rows";
      }
    }
  }

  std::string text;
  OraclePair pair;
  PointSet own, visiting;
  PairTable table;
};

class Shapes : public ::testing::TestWithParam<std::tuple<std::string, Precision>> {
 protected:
  const Backend &backend() const { return find_backend(std::get<0>(GetParam())); }
  Precision precision() const { return std::get<1>(GetParam()); }
  void check(const Problem &problem, RowKind row, const std::vector<int> &columns) const {
    problem.check(backend(), row, precision(), columns);
  }
};

std::vector<int> counted(int from, int to) {
  std::vector<int> numbers(static_cast<std::size_t>(to - from + 1));
  std::iota(numbers.begin(), numbers.end(), from);
  return numbers;
}

TEST_P(Shapes, EveryNumberOfColumns) {
  for (const char *name : {"gaussian", "laplacian", "inner_exp"})
    for (const int d : {3, 17}) check(Problem(name, d, 67, 45), RowKind::sum, counted(1, 64));
}

TEST_P(Shapes, LogSumExpOfEveryNumberOfColumns) {
  for (const int d : {3, 17}) check(Problem("gaussian", d, 67, 45), RowKind::logsumexp, counted(0, 64));
}

// What the sanitizers see: one shape of each path, few enough for them.
TEST_P(Shapes, AFewOfEachPath) {
  for (const char *name : {"gaussian", "laplacian", "inner_exp"})
    for (const int d : {3, 17}) {
      const Problem problem(name, d, 67, 45);
      check(problem, RowKind::sum, {1, 9, 33});
      check(problem, RowKind::logsumexp, {0, 1, 9});
    }
}

TEST_P(Shapes, NumbersOfFeatures) {
  const std::vector<int> all = {1,  2,  3,  4,  5,  6,  7,  8,   9,   10,  11,  12,  13,  15,  16,  17,
                                31, 32, 33, 63, 64, 65, 95, 127, 128, 129, 255, 256, 257, 511, 512, 513};
  for (const char *name : {"gaussian", "matern32", "laplacian", "inner_exp"})
    for (const int d : all) {
      const Problem problem(name, d, 37, 21);
      check(problem, RowKind::sum, {1, 2, 9});
      check(problem, RowKind::logsumexp, {1});
    }
}

TEST_P(Shapes, NumbersOfRows) {
  for (const int d : {3, 17})
    for (std::size_t own = 1; own <= most_rows; ++own) {
      const Problem problem("gaussian", d, own, 1 + (own * 29) % most_rows);
      check(problem, RowKind::sum, {1, 8, 33});
      check(problem, RowKind::logsumexp, {2});
    }
}

std::string param_name(const ::testing::TestParamInfo<std::tuple<std::string, Precision>> &info) {
  return test_name(std::get<0>(info.param) + "_" + to_string(std::get<1>(info.param)));
}

INSTANTIATE_TEST_SUITE_P(Every, Shapes,
                         ::testing::Combine(::testing::ValuesIn(vector_backends()),
                                            ::testing::Values(Precision::fp64, Precision::fp32, Precision::reduced)),
                         param_name);

}  // namespace
}  // namespace flashring::test

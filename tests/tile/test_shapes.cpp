// Every path of the vector kernels against the long double oracle: numbers of features, columns and rows on both sides
// of each width that a kernel works in, for one pair function of each kind (distances with and without a root, inner
// products). test_conformance has all pair functions.
#include <gtest/gtest.h>

#include <algorithm>

#include "flashring/options.hpp"
#include "support/pair_text.hpp"
#include "support/scatter.hpp"
#include "support/stated.hpp"
#include "support/tiles.hpp"
#include "support/tolerance.hpp"

namespace flashring::test {
namespace {

constexpr std::size_t most_rows = 70;

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

  void check(const Backend &backend, RowKind row, Precision precision, int columns) const {
    SCOPED_TRACE(std::string(backend.name) + ":" + backend.target + " " + text + " " + row_rule(row).name + " " +
                 to_string(precision) + " d=" + std::to_string(own.features) + " columns=" + std::to_string(columns) +
                 " rows " + std::to_string(own.count()) + " x " + std::to_string(visiting.count()));
    const TileShape shape{parse_pair(text), row, 0, precision, own.features, columns, {}};
    const std::vector<TileInfo> own_tiles = tiles(backend, own, 0);
    const std::vector<TileInfo> visiting_tiles = tiles(backend, visiting, 1000);
    const PairTable bounded =
        precision == Precision::reduced
            ? with_stated_errors(table, pair, tile_norms(own, own_tiles), tile_norms(visiting, visiting_tiles),
                                 backend.error(shape), unit_roundoff(precision))
            : table;
    const std::vector<double> own_values = random_numbers(own.count() * static_cast<std::size_t>(columns), 53);
    const std::vector<double> visiting_values =
        random_numbers(visiting.count() * static_cast<std::size_t>(columns), 54);
    const std::vector<double> own_weights = random_numbers(own.count(), 55);
    const std::vector<double> visiting_weights = random_numbers(visiting.count(), 56);
    const Arithmetic a = arithmetic(precision, backend.tile_rows);
    const auto expected = [&](const PairTable &t, const std::vector<double> &values, const std::vector<double> &g) {
      return row == RowKind::sum ? oracle_sum(t, values, columns, a) : oracle_log_sum_exp(t, g, values, columns, a);
    };
    const Bounded of_own = expected(bounded, visiting_values, visiting_weights);
    const Bounded of_visiting = expected(transposed(bounded), own_values, own_weights);
    for (const Sides sides : {Sides::own, Sides::both}) {
      TileArrays mine(backend, shape, own, own_tiles);
      TileArrays theirs(backend, shape, visiting, visiting_tiles);
      mine.set_columns(own_values);
      theirs.set_columns(visiting_values);
      if (row_rule(row).scalars > 0) {
        mine.set_log_weights(own_weights);
        theirs.set_log_weights(visiting_weights);
      }
      evaluate(backend, shape, mine, theirs, all_pairs(mine, theirs, sides, false));
      EXPECT_EQ(outside(mine.finish(), of_own), "") << "own rows, sides " << static_cast<int>(sides);
      if (has_visiting(sides)) {
        EXPECT_EQ(outside(theirs.finish(), of_visiting), "") << "visiting rows";
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
  void check(const Problem &problem, RowKind row, int columns) const {
    problem.check(backend(), row, precision(), columns);
  }
};

TEST_P(Shapes, EveryNumberOfColumns) {
  for (const char *name : {"gaussian", "laplacian", "inner_exp"})
    for (const int d : {3, 17}) {
      const Problem problem(name, d, 67, 45);
      for (int columns = 1; columns <= 64; ++columns) check(problem, RowKind::sum, columns);
    }
}

TEST_P(Shapes, LogSumExpOfEveryNumberOfColumns) {
  for (const int d : {3, 17}) {
    const Problem problem("gaussian", d, 67, 45);
    for (int columns = 0; columns <= 64; ++columns) check(problem, RowKind::logsumexp, columns);
  }
}

TEST_P(Shapes, NumbersOfFeatures) {
  const std::vector<int> all = {1,  2,  3,  4,  5,  6,  7,  8,   9,   10,  11,  12,  13,  15,  16,  17,
                                31, 32, 33, 63, 64, 65, 95, 127, 128, 129, 255, 256, 257, 511, 512, 513};
  for (const char *name : {"gaussian", "matern32", "laplacian", "inner_exp"})
    for (const int d : all) {
      const Problem problem(name, d, 37, 21);
      for (const int columns : {1, 2, 9}) check(problem, RowKind::sum, columns);
      check(problem, RowKind::logsumexp, 1);
    }
}

TEST_P(Shapes, NumbersOfRows) {
  for (const int d : {3, 17})
    for (std::size_t own = 1; own <= most_rows; ++own) {
      const Problem problem("gaussian", d, own, 1 + (own * 29) % most_rows);
      for (const int columns : {1, 8, 33}) check(problem, RowKind::sum, columns);
      check(problem, RowKind::logsumexp, 2);
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

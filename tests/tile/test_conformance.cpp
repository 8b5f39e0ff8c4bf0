// Conformance of every backend with the tile contract, against the long double oracle: pair functions x row rules x
// precisions x sides x columns x numbers of features. Only the backend's table is used. FLASHRING_TEST_RATIOS=1 prints
// the largest error in units of its bound.
//
// random_numbers() of fewer numbers are the first of more, and columns lie one after the other: what fewer columns must
// answer is the beginning of what the most columns must, so the oracle is asked once.
#include <gtest/gtest.h>

#include <cstdio>

#include "support/pair_text.hpp"
#include "support/scatter.hpp"
#include "support/tiles.hpp"
#include "support/tolerance.hpp"

namespace flashring::test {
namespace {

constexpr std::size_t own_rows = 293;       // a full tile of the largest backend and a ragged one
constexpr std::size_t visiting_rows = 257;  // a full tile and a tile of one row

int largest_tile() {
  int largest = 1;
  for (const std::string &name : backends_to_test()) largest = std::max(largest, find_backend(name).tile_rows);
  return largest;
}

struct Expected {
  Bounded own, visiting;
  /// What fewer columns have to answer: that many numbers of every row.
  Expected first(int outputs) const {
    const auto cut = [outputs](const Bounded &all, std::size_t rows) -> Bounded {
      const auto end = static_cast<std::ptrdiff_t>(rows) * outputs;
      return {{all.value.begin(), all.value.begin() + end}, {all.bound.begin(), all.bound.begin() + end}};
    };
    return {cut(own, own_rows), cut(visiting, visiting_rows)};
  }
};

class Conformance : public ::testing::TestWithParam<std::tuple<std::string, int>> {
 protected:
  void SetUp() override {
    d_ = std::get<1>(GetParam());
    text_ = spread_pair(std::get<0>(GetParam()), d_);
    own_ = random_points(own_rows, d_, 11);
    visiting_ = random_points(visiting_rows, d_, 12);
    // Some points coincide: distances of exactly 0 must stay harmless.
    std::copy_n(own_.row(3), d_, visiting_.rows.begin() + 7 * d_);
    own_weights_ = random_numbers(own_rows, 13);
    visiting_weights_ = random_numbers(visiting_rows, 14);
    table_ = make_table(oracle_pair(text_), own_, visiting_);
    transposed_ = transposed(table_);
  }

  /// What both sides must hold for a rule, precision and number of columns.
  Expected expect(const TileShape &shape) const {
    const Arithmetic a = arithmetic(shape.precision, largest_tile());
    if (shape.row == RowKind::sum)
      return {oracle_sum(table_, give(visiting_rows, shape.columns), shape.columns, a),
              oracle_sum(transposed_, give(own_rows, shape.columns), shape.columns, a)};
    return {oracle_log_sum_exp(table_, visiting_weights_, give(visiting_rows, shape.columns), shape.columns, a),
            oracle_log_sum_exp(transposed_, own_weights_, give(own_rows, shape.columns), shape.columns, a)};
  }

  static std::vector<double> give(std::size_t rows, int columns) {
    return random_numbers(rows * static_cast<std::size_t>(columns), rows);
  }

  TileArrays arrays(const Backend &backend, const TileShape &shape, bool own) const {
    const std::size_t rows = own ? own_rows : visiting_rows;
    TileArrays side(backend, shape, own ? own_ : visiting_, cut(own ? 0 : 1000, rows, backend.tile_rows));
    if (shape.columns > 0) side.set_columns(give(rows, shape.columns));
    if (row_rule(shape.row).scalars > 0) side.set_log_weights(own ? own_weights_ : visiting_weights_);
    return side;
  }

  void check(const std::string &name, const TileShape &shape, Sides sides, const Expected &expected) {
    const Backend &backend = find_backend(name);
    ASSERT_TRUE(backend.supports(shape));
    TileArrays own = arrays(backend, shape, true);
    TileArrays visiting = arrays(backend, shape, false);
    const auto own_before = own.state().copy();
    const auto visiting_before = visiting.state().copy();
    evaluate(backend, shape, own, visiting, all_pairs(own, visiting, sides, false));
    if (has_own(sides))
      compare(own, expected.own);
    else
      EXPECT_EQ(own.state().copy(), own_before) << "the own state was touched";
    if (has_visiting(sides))
      compare(visiting, expected.visiting);
    else
      EXPECT_EQ(visiting.state().copy(), visiting_before) << "the visiting state was touched";
  }

  void compare(const TileArrays &arrays, const Bounded &expected) {
    const std::vector<double> value = arrays.finish();
    EXPECT_EQ(outside(value, expected), "");
    worst_ = std::max(worst_, worst_ratio(value, expected));
  }

  /// `columns`: the largest last.
  void check_all(RowKind row, const std::vector<int> &columns) {
    for (const Precision precision : {Precision::fp64, Precision::fp32}) {
      TileShape shape{parse_pair(text_), row, 0, precision, d_, columns.back(), {}};
      const Expected most = expect(shape);
      for (const int c : columns) {
        shape.columns = c;
        const Expected expected = most.first(row_rule(row).outputs(c));
        for (const std::string &name : backends_to_test()) check_sides(name, shape, expected);
      }
    }
  }

  void check_sides(const std::string &name, const TileShape &shape, const Expected &expected) {
    worst_ = 0;
    for (const Sides sides : {Sides::own, Sides::visiting, Sides::both}) {
      SCOPED_TRACE(name + " " + text_ + " d=" + std::to_string(d_) + " columns=" + std::to_string(shape.columns) +
                   (shape.precision == Precision::fp64 ? " fp64" : " fp32") +
                   " sides=" + std::to_string(static_cast<int>(sides)));
      check(name, shape, sides, expected);
    }
    if (std::getenv("FLASHRING_TEST_RATIOS") != nullptr)
      std::printf("ratio %.3f  %s %s %s c=%d %s\n", worst_, name.c_str(), text_.c_str(),
                  shape.row == RowKind::sum ? "sum" : "logsumexp", shape.columns,
                  shape.precision == Precision::fp64 ? "fp64" : "fp32");
  }

  int d_ = 1;
  double worst_ = 0;
  std::string text_;
  PointSet own_, visiting_;
  std::vector<double> own_weights_, visiting_weights_;
  PairTable table_, transposed_;
};

TEST_P(Conformance, Sum) { check_all(RowKind::sum, {1, 5, 32}); }
TEST_P(Conformance, LogSumExp) { check_all(RowKind::logsumexp, {0, 1, 5}); }

std::string param_name(const ::testing::TestParamInfo<std::tuple<std::string, int>> &param) {
  return std::get<0>(param.param) + "_d" + std::to_string(std::get<1>(param.param));
}

INSTANTIATE_TEST_SUITE_P(Every, Conformance,
                         ::testing::Combine(::testing::ValuesIn(all_pair_names()),
                                            ::testing::Values(1, 3, 17, 64, 193)),
                         param_name);
INSTANTIATE_TEST_SUITE_P(Covariances, Conformance,
                         ::testing::Combine(::testing::Values("local_mahalanobis"), ::testing::Values(1, 3, 9)),
                         param_name);

}  // namespace
}  // namespace flashring::test

// Row rules are monoids: states may be folded in any split and order, and merged in any order and grouping, and give
// the same answer up to rounding. States are made by the backend ref, so nothing here knows their layout.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "flashring/row.hpp"
#include "support/scatter.hpp"
#include "support/tiles.hpp"
#include "support/tolerance.hpp"

namespace flashring::test {
namespace {

constexpr int columns = 3;
constexpr int pieces = 5;

using State = std::vector<std::byte>;

class Rows : public ::testing::TestWithParam<RowKind> {
 protected:
  Rows()
      : rule_(row_rule(GetParam())),
        backend_(find_backend("ref")),
        shape_{parse_pair("gaussian:beta=2"), GetParam(), 0, Precision::fp64, 4, columns, {}},
        own_points_(random_points(static_cast<std::size_t>(backend_.tile_rows), 4, 1)),
        visiting_points_(random_points(pieces * 7, 4, 2)),
        values_(random_numbers(visiting_points_.count() * columns, 3)),
        weights_(random_numbers(visiting_points_.count(), 4)),
        own_(backend_, shape_, own_points_, make_tile_list(0, {backend_.tile_rows})),
        visiting_(backend_, shape_, visiting_points_, make_tile_list(500, std::vector<int>(pieces, 7))) {
    for (double &weight : weights_) weight *= 20;
    visiting_.set_columns(values_);
    if (rule_.scalars > 0) visiting_.set_log_weights(weights_);
    const std::vector<double> own_values = random_numbers(own_points_.count() * columns, 5);
    own_.set_columns(own_values);
    const Arithmetic fp64 = arithmetic(Precision::fp64, pieces * 7);
    if (GetParam() == RowKind::sum) expected_ = oracle_sum(table(), values_, columns, fp64);
    if (GetParam() == RowKind::logsumexp) expected_ = oracle_log_sum_exp(table(), weights_, values_, columns, fp64);
    if (GetParam() == RowKind::difference_product)
      expected_ = oracle_differences(table(), weights_, values_, own_values, columns, fp64);
  }

  PairTable table() const { return make_table(oracle_pair("gaussian:beta=2"), own_points_, visiting_points_); }

  /// State after the given visiting tiles, in that order.
  State fold(const std::vector<int> &tiles) { return fold_state(backend_, shape_, own_, visiting_, tiles); }

  State merge(State into, const State &from) const { return merge_states(backend_, shape_, std::move(into), from); }

  std::vector<double> finish(const State &state) const {
    std::vector<double> out(static_cast<std::size_t>(rule_.outputs(columns) * backend_.tile_rows));
    rule_.finish(columns, static_cast<std::size_t>(backend_.tile_rows), state.data(), out.data());
    return out;
  }

  void expect_answer(const State &state, const char *what) const {
    EXPECT_EQ(outside(finish(state), expected_), "") << what;
  }

  const RowRule &rule_;
  const Backend &backend_;
  TileShape shape_;
  PointSet own_points_, visiting_points_;
  std::vector<double> values_, weights_;
  TileArrays own_, visiting_;
  Bounded expected_;
};

TEST_P(Rows, IdentityIsNeutral) {
  const State identity = fold({});
  const State some = fold({0, 3});
  EXPECT_EQ(finish(merge(identity, some)), finish(some));
  EXPECT_EQ(finish(merge(some, identity)), finish(some));
  EXPECT_EQ(finish(merge(identity, identity)), finish(identity));
}

TEST_P(Rows, IdentityFinishesToTheEmptyAnswer) {
  const std::vector<double> out = finish(fold({}));
  const auto rows = static_cast<std::size_t>(backend_.tile_rows);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const bool is_lse = GetParam() == RowKind::logsumexp && i < rows;
    EXPECT_EQ(out[i], is_lse ? -std::numeric_limits<double>::infinity() : 0.0);
  }
}

TEST_P(Rows, MergeIsAssociativeAndCommutative) {
  const State a = fold({0, 1});
  const State b = fold({2});
  const State c = fold({3, 4});
  expect_answer(merge(merge(a, b), c), "(ab)c");
  expect_answer(merge(a, merge(b, c)), "a(bc)");
  expect_answer(merge(merge(c, a), b), "(ca)b");
  EXPECT_EQ(finish(merge(a, b)), finish(merge(b, a))) << "two states in either order";
}

TEST_P(Rows, AnySplitAndOrderGivesTheAnswer) {
  std::vector<int> order(pieces);
  std::iota(order.begin(), order.end(), 0);
  do {
    for (std::size_t cut = 0; cut <= order.size(); ++cut) {
      const auto middle = order.begin() + static_cast<std::ptrdiff_t>(cut);
      const State first = fold({order.begin(), middle});
      const State second = fold({middle, order.end()});
      ASSERT_NO_FATAL_FAILURE(expect_answer(merge(first, second), "split"));
    }
  } while (std::next_permutation(order.begin(), order.end()) && order.front() < 3);
}

TEST_P(Rows, DeclarationIsConsistent) {
  EXPECT_EQ(rule_.passes, 1);
  EXPECT_EQ(rule_.advance == nullptr, rule_.passes == 1);
  EXPECT_GE(rule_.state_words(0, columns), 1);
  EXPECT_GE(rule_.outputs(columns), columns);
  const auto names = row_names();
  EXPECT_NE(std::find(names.begin(), names.end(), rule_.name), names.end());
}

std::string rule_name(const ::testing::TestParamInfo<RowKind> &param) { return row_rule(param.param).name; }

INSTANTIATE_TEST_SUITE_P(Every, Rows, ::testing::Values(RowKind::sum, RowKind::logsumexp, RowKind::difference_product),
                         rule_name);

}  // namespace
}  // namespace flashring::test

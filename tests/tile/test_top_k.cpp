// Row rule top_k in every backend against a sort of all distances, to the last bit: sides, masks, ragged tiles, ties,
// duplicates, more places than rows. Merges in any order.
#include <gtest/gtest.h>

#include <numeric>

#include "support/lattice.hpp"
#include "support/tiles.hpp"

namespace flashring::test {
namespace {

constexpr std::int64_t visiting_first = 100;  // own rows are counted from 0: the two meet

struct Case {
  Precision precision;
  int features, k;
  Mask mask;
};

TileShape shape_of(const Case &c) {
  return {parse_pair("laplacian:ell=1.4426950408889634"), RowKind::top_k, 0, c.precision, c.features, c.k, c.mask};
}

class TopK : public ::testing::TestWithParam<std::string> {
 protected:
  TopK() : backend_(find_backend(GetParam())) {}

  void check(const Case &c, std::size_t own_rows, std::size_t visiting_rows) const {
    const TileShape shape = shape_of(c);
    ASSERT_TRUE(backend_.supports(shape));
    const std::vector<double> x = lattice_points(own_rows, c.features, 1);
    const std::vector<double> y = lattice_points(visiting_rows, c.features, 2);
    const auto counts = [&](std::size_t i, std::size_t j) {
      return visible(c.mask, static_cast<std::int64_t>(i), visiting_first + static_cast<std::int64_t>(j));
    };
    const std::vector<double> of_own = nearest_by_sorting(x, y, c.features, visiting_first, c.k, counts);
    const std::vector<double> of_visiting =
        nearest_by_sorting(y, x, c.features, 0, c.k, [&](std::size_t j, std::size_t i) { return counts(i, j); });
    for (const Sides sides : {Sides::own, Sides::visiting, Sides::both}) {
      TileArrays own(backend_, shape, {c.features, x}, cut(0, own_rows, backend_.tile_rows));
      TileArrays visiting(backend_, shape, {c.features, y}, cut(visiting_first, visiting_rows, backend_.tile_rows));
      const auto own_before = own.state().copy();
      const auto visiting_before = visiting.state().copy();
      evaluate(backend_, shape, own, visiting, all_pairs(own, visiting, sides, c.mask.active()));
      SCOPED_TRACE(testing::Message() << "d=" << c.features << " k=" << c.k << " sides " << static_cast<int>(sides));
      EXPECT_TRUE(has_own(sides) ? own.finish() == of_own : own.state().copy() == own_before);
      EXPECT_TRUE(has_visiting(sides) ? visiting.finish() == of_visiting : visiting.state().copy() == visiting_before);
    }
  }

  const Backend &backend_;
};

TEST_P(TopK, IsTheSortToTheLastBit) {
  for (const Precision precision : {Precision::fp64, Precision::fp32})
    for (const int d : {1, 3, 17})
      for (const int k : {1, 2, 7, max_columns}) check({precision, d, k, {}}, 293, 257);
}

TEST_P(TopK, MasksAndFewRows) {
  check({Precision::fp64, 2, 5, {false, true}}, 293, 257);
  check({Precision::fp32, 2, 5, {true, false}}, 293, 257);
  check({Precision::fp64, 2, 9, {false, false}}, 3, 5);  // places stay free
  check({Precision::fp64, 1, 3, {false, false}}, 1, 1);
}

/// In any order of tiles, in one state or in two that are merged.
TEST_P(TopK, AnyOrderGivesTheSameBits) {
  const TileShape shape = shape_of({Precision::fp64, 2, 6, {}});
  const std::vector<double> x = lattice_points(40, 2, 3);
  const std::vector<double> y = lattice_points(35, 2, 4);
  const std::vector<double> expected =
      nearest_by_sorting(x, y, 2, visiting_first, 6, [](std::size_t, std::size_t) { return true; });
  TileArrays visiting(backend_, shape, {2, y}, make_tile_list(visiting_first, {7, 7, 7, 7, 7}));
  const auto fold = [&](const std::vector<int> &tiles) {
    TileArrays own(backend_, shape, {2, x}, make_tile_list(0, {40}));
    std::vector<TilePair> pairs;
    for (const int tile : tiles) pairs.push_back({0, tile, Sides::own, false});
    evaluate(backend_, shape, own, visiting, pairs);
    return own;
  };
  std::vector<int> order(5);
  std::iota(order.begin(), order.end(), 0);
  do {
    const auto middle = order.begin() + order.front() + 1;
    // Where the first number is 4 one of the two is the identity.
    for (const bool turned : {false, true}) {
      TileArrays one = fold(turned ? std::vector<int>(middle, order.end()) : std::vector<int>(order.begin(), middle));
      TileArrays other = fold(turned ? std::vector<int>(order.begin(), middle) : std::vector<int>(middle, order.end()));
      row_rule(RowKind::top_k)
          .merge(0, 6, static_cast<std::size_t>(backend_.tile_rows), one.state().data(), other.state().data());
      ASSERT_EQ(one.finish(), expected);
    }
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_P(TopK, RefusesWhatItCannotDo) {
  TileShape shape = shape_of({Precision::fp64, 2, 3, {}});
  shape.pair = parse_pair("inner_exp:s=1");
  EXPECT_FALSE(backend_.supports(shape));
}

INSTANTIATE_TEST_SUITE_P(Every, TopK, ::testing::ValuesIn(backends_to_test()),
                         [](const auto &param) { return test_name(param.param); });

}  // namespace
}  // namespace flashring::test

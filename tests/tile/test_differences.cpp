// Products of differences against the oracle: every backend that has them, pair functions, precisions, sides, numbers
// of functions around the blocks of the kernels, masks, ragged tiles. What fewer functions must answer is the beginning
// of what more of them must, so the oracle is asked once.
#include <gtest/gtest.h>

#include <cmath>

#include "flashring/options.hpp"
#include "support/pair_text.hpp"
#include "support/scatter.hpp"
#include "support/tiles.hpp"
#include "support/tolerance.hpp"

namespace flashring::test {
namespace {

constexpr std::size_t own_rows = 293;       // a full tile of the largest backend and a ragged one
constexpr std::size_t visiting_rows = 257;  // a full tile and a tile of one row
constexpr int tile_rows = 256;              // of the largest backend

std::vector<double> functions(std::size_t rows, int columns) {
  return random_numbers(rows * static_cast<std::size_t>(columns), rows);
}

/// Two sides with functions and weights, and what the oracle says of them.
struct Differences {
  Differences(const std::string &pair, int features, Precision precision, int columns, Mask mask = {},
              std::int64_t first_visiting = 1000)
      : shape{parse_pair(pair), RowKind::difference_product, 0, precision, features, columns, mask},
        first(first_visiting),
        own_points(random_points(own_rows, features, 11)),
        visiting_points(random_points(visiting_rows, features, 12)),
        own_weights(random_numbers(own_rows, 13)),
        visiting_weights(random_numbers(visiting_rows, 14)),
        table(make_table(oracle_pair(pair), own_points, visiting_points)) {}

  TileArrays arrays(const Backend &backend, bool own) const {
    const std::size_t rows = own ? own_rows : visiting_rows;
    TileArrays side(backend, shape, own ? own_points : visiting_points, cut(own ? 0 : first, rows, backend.tile_rows));
    side.set_columns(functions(rows, shape.columns));
    side.set_log_weights(own ? own_weights : visiting_weights);  // minus infinity in the padding
    return side;
  }
  Bounded expected(bool own) const {
    const auto f = functions(own_rows, shape.columns);
    const auto g = functions(visiting_rows, shape.columns);
    const Arithmetic a = arithmetic(shape.precision, tile_rows);
    return own ? oracle_differences(table, visiting_weights, g, f, shape.columns, a)
               : oracle_differences(transposed(table), own_weights, f, g, shape.columns, a);
  }

  TileShape shape;
  std::int64_t first;
  PointSet own_points, visiting_points;
  std::vector<double> own_weights, visiting_weights;
  PairTable table;
};

/// All sides of all backends that have the rule.
void check(const Differences &of, const Bounded &expected_own, const Bounded &expected_visiting) {
  for (const std::string &name : vector_backends())
    for (const Sides sides : {Sides::own, Sides::visiting, Sides::both}) {
      SCOPED_TRACE(name + " sides=" + std::to_string(static_cast<int>(sides)));
      const Backend &backend = find_backend(name);
      ASSERT_TRUE(backend.supports(of.shape));
      TileArrays own = of.arrays(backend, true);
      TileArrays visiting = of.arrays(backend, false);
      const auto own_before = own.state().copy();
      const auto visiting_before = visiting.state().copy();
      evaluate(backend, of.shape, own, visiting, all_pairs(own, visiting, sides, of.shape.mask.active()));
      EXPECT_EQ(has_own(sides) ? outside(own.finish(), expected_own) : "", "");
      EXPECT_EQ(has_visiting(sides) ? outside(visiting.finish(), expected_visiting) : "", "");
      EXPECT_EQ(has_own(sides) || own.state().copy() == own_before, true) << "the own state was touched";
      EXPECT_EQ(has_visiting(sides) || visiting.state().copy() == visiting_before, true)
          << "the visiting state was touched";
    }
}

TEST(DifferenceProducts, EveryPairFunction) {
  for (const int d : {3, 17})
    for (const std::string &name : host_pair_names(d))
      for (const Precision precision : {Precision::fp64, Precision::fp32}) {
        SCOPED_TRACE(name + " d=" + std::to_string(d) + " " + to_string(precision));
        const Differences of(spread_pair(name, d), d, precision, 2);
        check(of, of.expected(true), of.expected(false));
      }
}

TEST(DifferenceProducts, AnyNumberOfFunctions) {
  for (const Precision precision : {Precision::fp64, Precision::fp32}) {
    const Differences most("gaussian:beta=0.7", 3, precision, 20);
    const Bounded own = most.expected(true);
    const Bounded visiting = most.expected(false);
    for (const int columns : {1, 3, 4, 5, 6, 10, 11, 20}) {
      SCOPED_TRACE(std::to_string(columns) + " functions " + to_string(precision));
      Differences of = most;
      of.shape.columns = columns;
      const auto pairs = static_cast<std::size_t>(columns * (columns + 1) / 2);
      check(of, first_columns(own, own_rows * pairs), first_columns(visiting, visiting_rows * pairs));
    }
  }
}

TEST(DifferenceProducts, Masks) {
  for (const Mask &mask : {Mask{true, false}, Mask{false, true}, Mask{true, true}}) {
    SCOPED_TRACE("causal " + std::to_string(mask.causal) + " exclude_self " + std::to_string(mask.exclude_self));
    Differences of("gaussian:beta=0.7", 3, Precision::fp64, 3, mask, 10);
    std::vector<std::int64_t> own, visiting;
    for (std::int64_t i = 0; i < static_cast<std::int64_t>(own_rows); ++i) own.push_back(i);
    for (std::int64_t j = 0; j < static_cast<std::int64_t>(visiting_rows); ++j) visiting.push_back(10 + j);
    hide(of.table, own, visiting, mask.causal, mask.exclude_self);
    check(of, of.expected(true), of.expected(false));
  }
}

TEST(DifferenceProducts, StatesAreAddedToAndPaddingDoesNotMatter) {
  const Differences of("gaussian:beta=0.7", 3, Precision::fp64, 6);
  for (const std::string &name : vector_backends()) {
    SCOPED_TRACE(name);
    const Backend &backend = find_backend(name);
    TileArrays own = of.arrays(backend, true);
    TileArrays visiting = of.arrays(backend, false);
    const std::vector<TilePair> pairs = all_pairs(own, visiting, Sides::both, false);
    evaluate(backend, of.shape, own, visiting, pairs);
    const std::vector<double> once = own.finish();
    const std::vector<double> visiting_once = visiting.finish();
    own.reset_state();
    visiting.reset_state();
    own.fill_state_padding(std::nan(""));
    visiting.fill_state_padding(std::nan(""));
    evaluate(backend, of.shape, own, visiting, {pairs.begin(), pairs.begin() + 1});
    evaluate(backend, of.shape, own, visiting, {pairs.begin() + 1, pairs.end()});
    EXPECT_EQ(own.finish(), once);
    EXPECT_EQ(visiting.finish(), visiting_once);
  }
}

/// A tile with itself: what is alike gives nothing, whatever its weight, and no rounding is left of it.
TEST(DifferenceProducts, EqualValuesGiveExactlyZero) {
  for (const std::string &name : vector_backends())
    for (const Precision precision : {Precision::fp64, Precision::fp32}) {
      const Backend &backend = find_backend(name);
      const TileShape shape{parse_pair("gaussian:beta=1"), RowKind::difference_product, 0, precision, 3, 2, {}};
      TileArrays own(backend, shape, random_points(own_rows, 3, 21), cut(0, own_rows, backend.tile_rows));
      std::vector<double> values = functions(own_rows, 2);
      std::fill_n(values.begin(), own_rows, 1 / 3.0);  // the first function is constant
      own.set_columns(values);
      own.set_log_weights(std::vector<double>(own_rows, 1.0));
      std::vector<TilePair> pairs;
      for (std::int32_t t = 0; t < static_cast<std::int32_t>(own.tiles().size()); ++t)
        pairs.push_back({t, t, Sides::own, false});
      evaluate(backend, shape, own, own, pairs);
      const std::vector<double> found = own.finish();
      for (std::size_t i = 0; i < 2 * own_rows; ++i) EXPECT_EQ(found[i], 0) << name << " number " << i;
      for (std::size_t i = 2 * own_rows; i < found.size(); ++i) EXPECT_GT(found[i], 0);
    }
}

/// The matrix unit has no such sums and says so; what it leaves to simd it has.
TEST(DifferenceProducts, BackendsSayWhatTheyHave) {
  for (const std::string &name : backends_to_test()) {
    const bool unit = name.rfind("amx", 0) == 0;
    const auto shape = [](Precision precision, int d) {
      return TileShape{parse_pair("gaussian:beta=1"), RowKind::difference_product, 0, precision, d, 10, {}};
    };
    EXPECT_TRUE(find_backend(name).supports(shape(Precision::fp64, 40))) << name;
    EXPECT_EQ(find_backend(name).supports(shape(Precision::fp32, 40)), !unit) << name;
  }
}

}  // namespace
}  // namespace flashring::test

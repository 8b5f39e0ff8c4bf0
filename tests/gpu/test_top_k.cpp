// Row rule top_k on backends with a device against a sort of all distances, to the last bit: sides, patterns, skipped
// tiles, the point itself left out.
#include <gtest/gtest.h>

#include "gpu/blocks.hpp"
#include "support/fake_device.hpp"
#include "support/lattice.hpp"

namespace flashring::test {
namespace {

constexpr std::int64_t visiting_first = 100;
constexpr auto every = [](std::size_t /*i*/, std::size_t /*j*/) { return true; };
constexpr auto others = [](std::size_t i, std::size_t j) { return i != j; };

class GpuTopK : public ::testing::TestWithParam<std::string> {
 protected:
  GpuTopK() : backend_(backend_named(GetParam())) {}
  static TileShape shape_of(Precision precision, int d, int k, bool exclude_self) {
    return {parse_pair("laplacian:ell=1.4426950408889634"), RowKind::top_k, 0, precision, d, k, {false, exclude_self}};
  }
  const Backend &backend_;
};

TEST_P(GpuTopK, IsTheSortToTheLastBit) {
  const int T = backend_.tile_rows;
  const std::vector<int> own_counts = {T, 33, T};
  const std::vector<int> visiting_counts = {std::min(T, 65), 1};
  for (const Precision precision : {Precision::fp64, Precision::fp32})
    for (const int d : {1, 3, 20})
      for (const int k : {1, 7, max_columns})
        for (const Sides sides : all_sides) {
          const TileShape shape = shape_of(precision, d, k, false);
          ASSERT_TRUE(backend_.supports(shape));
          const std::vector<double> x = lattice_points(total_rows(own_counts), d, 1);
          const std::vector<double> y = lattice_points(total_rows(visiting_counts), d, 2);
          TileArrays own(backend_, shape, {d, x}, make_tile_list(0, own_counts));
          TileArrays visiting(backend_, shape, {d, y}, make_tile_list(visiting_first, visiting_counts));
          BlockWork work;
          work.sides = sides;
          evaluate_block(backend_, shape, work, own, visiting);
          EXPECT_TRUE(!has_own(sides) || own.finish() == nearest_by_sorting(x, y, d, visiting_first, k, every));
          EXPECT_TRUE(!has_visiting(sides) || visiting.finish() == nearest_by_sorting(y, x, d, 0, k, every));
        }
}

TEST_P(GpuTopK, SquareLeavesOutThePointItself) {
  const int T = backend_.tile_rows;
  const std::vector<int> counts = {T, 40, T, 7};
  const TileShape shape = shape_of(Precision::fp32, 3, 5, true);
  const std::vector<double> x = lattice_points(total_rows(counts), 3, 3);
  TileArrays square(backend_, shape, {3, x}, make_tile_list(0, counts));
  BlockWork work;
  work.sides = Sides::both;
  work.pattern = PairPattern::square;
  evaluate_block(backend_, shape, work, square, square);
  EXPECT_TRUE(square.finish() == nearest_by_sorting(x, x, 3, 0, 5, others));
}

INSTANTIATE_TEST_SUITE_P(Small, GpuTopK, ::testing::ValuesIn(device_names()),
                         [](const auto &param) { return test_name(param.param); });

}  // namespace
}  // namespace flashring::test

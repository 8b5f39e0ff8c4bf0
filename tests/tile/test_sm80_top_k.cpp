// Row rule top_k on backend sm80 without a GPU, against a sort of all distances, to the last bit: both precisions,
// sides, patterns, masks, skipped tiles, and merges.
#include <gtest/gtest.h>

#include "support/lattice.hpp"
#include "support/sm80_blocks.hpp"

namespace flashring::test {
namespace {

constexpr int T = sm80::tile_rows;
constexpr std::int64_t visiting_first = 100;
const Emulation chosen{sm80::Variant::chosen, {}, CudaBlock::Order::forward};

TileShape shape_of(Precision precision, int d, int k, bool exclude_self = false) {
  return {parse_pair("laplacian:ell=1.4426950408889634"), RowKind::top_k, 0, precision, d, k, {false, exclude_self}};
}

constexpr auto every = [](std::size_t /*i*/, std::size_t /*j*/) { return true; };

TEST(Sm80TopK, IsTheSortToTheLastBit) {
  for (const Precision precision : precisions)
    for (const int d : {1, 3, 20})
      for (const int k : {1, 7, max_columns}) {
        if (k == max_columns && d != 3) continue;  // no other code
        const TileShape shape = shape_of(precision, d, k);
        EXPECT_EQ(sm80::chosen_path(sm80::Variant::chosen, shape), sm80::Path::plain);
        const std::vector<double> x = lattice_points(T + 33, d, 1);
        const std::vector<double> y = lattice_points(T + 1, d, 2);
        for (const Sides sides : all_sides) {
          TileArrays own(sm80_table(), shape, {d, x}, make_tile_list(0, {T, 33}));
          TileArrays visiting(sm80_table(), shape, {d, y}, make_tile_list(visiting_first, {T, 1}));
          const auto own_before = own.state().copy();
          const auto visiting_before = visiting.state().copy();
          emulate(make_call(shape, own, visiting, PairPattern::rectangle, sides), chosen);
          EXPECT_TRUE(has_own(sides) ? own.finish() == nearest_by_sorting(x, y, d, visiting_first, k, every)
                                     : own.state().copy() == own_before);
          EXPECT_TRUE(has_visiting(sides) ? visiting.finish() == nearest_by_sorting(y, x, d, 0, k, every)
                                          : visiting.state().copy() == visiting_before);
        }
      }
}

TEST(Sm80TopK, SquareLeavesOutThePointItself) {
  const std::vector<int> counts = {T, 40, T, 7};
  const TileShape shape = shape_of(Precision::fp32, 3, 5, true);
  const std::vector<double> x = lattice_points(total_rows(counts), 3, 3);
  TileArrays square(sm80_table(), shape, {3, x}, make_tile_list(0, counts));
  emulate(make_call(shape, square, square, PairPattern::square, Sides::both), chosen);
  const auto others = [](std::size_t i, std::size_t j) { return i != j; };
  EXPECT_TRUE(square.finish() == nearest_by_sorting(x, x, 3, 0, 5, others));
}

TEST(Sm80TopK, HalvesAndSkippedTiles) {
  const std::vector<int> own_counts = {T, 40, 7};
  const std::vector<int> visiting_counts = {33, T};
  const std::vector<std::uint64_t> kept = {0b10, 0b01, 0b11};
  const TileShape shape = shape_of(Precision::fp64, 2, 4);
  const std::vector<double> x = lattice_points(total_rows(own_counts), 2, 4);
  const std::vector<double> y = lattice_points(total_rows(visiting_counts), 2, 5);
  const auto tile_of = [](const std::vector<int> &tiles, std::size_t row) {
    std::int64_t tile = 0;
    for (auto left = static_cast<int>(row); left >= tiles[static_cast<std::size_t>(tile)]; ++tile)
      left -= tiles[static_cast<std::size_t>(tile)];
    return tile;
  };
  for (const PairPattern pattern : {PairPattern::even_half, PairPattern::odd_half}) {
    const auto counts = [&](std::size_t i, std::size_t j) {
      const std::int64_t own = tile_of(own_counts, i);
      const std::int64_t visiting = tile_of(visiting_counts, j);
      return is_due(pattern, own, visiting) && is_kept(kept.data(), 2, own, visiting);
    };
    TileArrays own(sm80_table(), shape, {2, x}, make_tile_list(0, own_counts));
    TileArrays visiting(sm80_table(), shape, {2, y}, make_tile_list(visiting_first, visiting_counts));
    BlockCall call = make_call(shape, own, visiting, pattern, Sides::both);
    call.kept = kept.data();
    emulate(call, chosen);
    EXPECT_TRUE(own.finish() == nearest_by_sorting(x, y, 2, visiting_first, 4, counts));
    EXPECT_TRUE(visiting.finish() ==
                nearest_by_sorting(y, x, 2, 0, 4, [&](std::size_t j, std::size_t i) { return counts(i, j); }));
  }
}

TEST(Sm80TopK, ResetAndMergeAreTheRules) {
  const TileShape shape = shape_of(Precision::fp64, 2, 6);
  const std::vector<double> x = lattice_points(T, 2, 6);
  const std::vector<double> y = lattice_points(2 * T, 2, 7);
  TileArrays parts[2] = {{sm80_table(), shape, {2, x}, make_tile_list(0, {T})},
                         {sm80_table(), shape, {2, x}, make_tile_list(0, {T})}};
  for (const std::size_t part : {0, 1}) {
    const auto begin = y.begin() + static_cast<std::ptrdiff_t>(part) * 2 * T;
    TileArrays visiting(sm80_table(), shape, {2, {begin, begin + 2 * T}},
                        make_tile_list(visiting_first + static_cast<std::int64_t>(part) * T, {T}));
    const auto identity = parts[part].state().copy();
    std::fill_n(parts[part].state().data(), parts[part].state().size(), std::byte{1});
    emulate_reset(shape, 1, parts[part].state().data());
    EXPECT_TRUE(parts[part].state().copy() == identity);
    emulate(make_call(shape, parts[part], visiting, PairPattern::rectangle, Sides::own), chosen);
  }
  emulate_merge(shape, 1, parts[0].state().data(), parts[1].state().data());
  EXPECT_TRUE(parts[0].finish() == nearest_by_sorting(x, y, 2, visiting_first, 6, every));
}

}  // namespace
}  // namespace flashring::test

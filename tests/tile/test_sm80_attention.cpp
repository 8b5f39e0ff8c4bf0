// Row rules of attention on backend sm80 without a GPU, against backend ref in fp64: both precisions, sides, ragged
// tiles, masks, hidden keys, rows that see nothing, wide heads, noted pairs of tiles, and the same bits in any order of
// threads.
#include <gtest/gtest.h>

#include <algorithm>

#include "support/attention_blocks.hpp"
#include "support/sm80_blocks.hpp"

namespace flashring::test {
namespace {

constexpr int T = sm80::tile_rows;
constexpr sm80::Variant variant = sm80::Variant::chosen;
using Order = CudaBlock::Order;

const AttentionCut tiles = {{T, 33}, {65, 30, 1}};
const AttentionCut late_keys = {{T, 33}, {65, 30, 1}, 20};

/// What a call leaves: answers, states and noted pairs of tiles.
struct Outcome {
  std::vector<double> own, visiting;
  std::vector<std::byte> own_state, visiting_state;
  std::vector<std::uint64_t> touched;
};

Outcome run(const AttentionBlocks &blocks, Precision precision, Sides sides, Order order,
            const std::vector<std::uint64_t> &kept = {}) {
  const TileShape shape = blocks.shape(precision);
  EXPECT_TRUE(sm80::has_kernels(variant, shape));
  TileArrays own = blocks.arrays(sm80_table(variant), precision, true);
  TileArrays visiting = blocks.arrays(sm80_table(variant), precision, false);
  std::vector<std::uint64_t> touched(own.tiles().size(), 0);
  BlockCall call = make_call(shape, own, visiting, PairPattern::rectangle, sides);
  call.touched = touched.data();
  call.kept = kept.empty() ? nullptr : kept.data();
  emulate(call, {variant, {}, order});
  return {own.finish(), visiting.finish(), own.state().copy(), visiting.state().copy(), touched};
}

void check(const AttentionBlocks &blocks, Precision precision, Sides sides) {
  SCOPED_TRACE("precision " + std::to_string(static_cast<int>(precision)) + " sides " +
               std::to_string(static_cast<int>(sides)));
  const Outcome found = run(blocks, precision, sides, Order::shuffled);
  if (has_own(sides)) {
    EXPECT_EQ(outside(found.own, blocks.expected(precision, true)), "");
  }
  if (has_visiting(sides)) {
    EXPECT_EQ(outside(found.visiting, blocks.expected(precision, false)), "");
  }
}

class Sm80Gradients : public ::testing::TestWithParam<RowKind> {};

TEST_P(Sm80Gradients, AgreeWithRef) {
  for (const bool causal : {false, true})
    for (const Precision precision : precisions) {
      const AttentionBlocks blocks(GetParam(), 3, 4, causal ? late_keys : tiles, causal);
      for (const Sides sides : all_sides) check(blocks, precision, sides);
    }
}

TEST_P(Sm80Gradients, WideHeads) {
  check(AttentionBlocks(GetParam(), 20, 70, {{40}, {33}}), Precision::fp64, Sides::both);
  check(AttentionBlocks(GetParam(), 20, 9, {{40}, {33}}), Precision::reduced, Sides::both);
}

TEST_P(Sm80Gradients, BitsDoNotDependOnTheOrderOfThreads) {
  const AttentionBlocks blocks(GetParam(), 3, 4, tiles);
  const Outcome first = run(blocks, Precision::fp32, Sides::both, Order::forward);
  for (const Order order : {Order::backward, Order::warps}) {
    const Outcome again = run(blocks, Precision::fp32, Sides::both, order);
    EXPECT_EQ(again.own_state, first.own_state);
    EXPECT_EQ(again.visiting_state, first.visiting_state);
  }
}

INSTANTIATE_TEST_SUITE_P(Both, Sm80Gradients, ::testing::Values(RowKind::softmax_gradient, RowKind::threshold_gradient),
                         [](const auto &param) { return row_rule(param.param).name; });

class Sm80Thresholds : public ::testing::TestWithParam<RowKind> {};

TEST_P(Sm80Thresholds, AgreeWithRef) {
  for (const bool causal : {false, true})
    for (const Precision precision : precisions)
      check(AttentionBlocks(GetParam(), 3, 9, causal ? late_keys : tiles, causal), precision, Sides::own);
  check(AttentionBlocks(GetParam(), 17, 0, tiles), Precision::fp64, Sides::own);
}

/// What is noted holds all weights, so that leaving out the rest leaves the bits; far tiles are not noted. A bit that
/// is set stays.
TEST_P(Sm80Thresholds, NotedTilesHoldAllWeights) {
  const AttentionBlocks blocks(GetParam(), 3, 5, tiles);
  for (const Precision precision : precisions) {
    const Outcome all = run(blocks, precision, Sides::own, Order::warps);
    const std::vector<std::uint64_t> needed = blocks.touched();
    for (std::size_t tile = 0; tile < needed.size(); ++tile) {
      EXPECT_EQ(all.touched[tile] & needed[tile], needed[tile]);
      EXPECT_EQ(all.touched[tile] & 0b010U, 0U);
      EXPECT_NE(needed[tile], 0U);
    }
    const Outcome kept = run(blocks, precision, Sides::own, Order::forward, all.touched);
    EXPECT_EQ(kept.own_state, all.own_state);
    EXPECT_EQ(kept.touched, all.touched);
  }
}

INSTANTIATE_TEST_SUITE_P(All, Sm80Thresholds,
                         ::testing::Values(RowKind::score_bins, RowKind::power_sums, RowKind::threshold_sum,
                                           RowKind::score_list),
                         [](const auto &param) { return row_rule(param.param).name; });

TEST(Sm80Attention, HistogramsMergeAsTheRuleDoes) {
  const AttentionBlocks blocks(RowKind::score_bins, 3, 0, tiles);
  const TileShape shape = blocks.shape(Precision::fp64);
  std::vector<std::byte> merged = run(blocks, Precision::fp64, Sides::own, Order::forward, {0b001, 0b100}).own_state;
  const std::vector<std::byte> other =
      run(blocks, Precision::fp64, Sides::own, Order::forward, {0b110, 0b011}).own_state;
  emulate_merge(shape, 2, merged.data(), other.data());
  EXPECT_EQ(merged, run(blocks, Precision::fp64, Sides::own, Order::forward).own_state);
}

/// Lists, some longer than there are places, one behind the other.
TEST(Sm80Attention, ListsMergeAsTheRuleDoes) {
  const AttentionBlocks blocks(RowKind::score_list, 3, 0, {{T}, {65, 30, 64}});
  const TileShape shape = blocks.shape(Precision::fp32);
  std::vector<std::byte> merged = run(blocks, Precision::fp32, Sides::own, Order::forward, {0b001}).own_state;
  const std::vector<std::byte> other = run(blocks, Precision::fp32, Sides::own, Order::forward, {0b100}).own_state;
  std::vector<std::byte> expected = merged;
  row_rule(shape.row).merge(0, shape.columns, T, expected.data(), other.data());
  EXPECT_NE(expected, merged);
  emulate_merge(shape, 1, merged.data(), other.data());
  EXPECT_EQ(merged, expected);
}

/// An identity goes to the device as some words; those of wide heads, which are sums, go on with zeros.
TEST(Sm80Attention, StatesOfAnyWidthAreReset) {
  for (const RowKind row :
       {RowKind::score_bins, RowKind::threshold_sum, RowKind::threshold_gradient, RowKind::score_list}) {
    TileShape shape = AttentionBlocks(row, 3, 150, {{T}, {1}}).shape(Precision::fp64);
    if (row == RowKind::score_list) shape.columns = 150;
    const auto words = static_cast<std::size_t>(row_rule(row).state_words(0, shape.columns));
    std::vector<double> found(words * T, 7);
    std::vector<double> expected(words * T, 8);
    emulate_reset(shape, 1, reinterpret_cast<std::byte *>(found.data()));
    row_rule(row).identity(0, shape.columns, T, reinterpret_cast<std::byte *>(expected.data()));
    EXPECT_EQ(found, expected);
  }
}

TEST(Sm80Attention, WhatThereAreKernelsFor) {
  const auto has = [](RowKind row, const char *pair, int features, int columns) {
    return sm80::has_kernels(variant, {parse_pair(pair), row, 0, Precision::fp32, features, columns, {}});
  };
  const char *inner = "inner_exp:s=1";
  for (const RowKind row : {RowKind::softmax_gradient, RowKind::threshold_gradient}) {
    EXPECT_TRUE(has(row, inner, 256, 512));
    EXPECT_TRUE(has(row, inner, 1024, 1025));
    EXPECT_FALSE(has(row, inner, 64, 64)) << "no columns of v";
    EXPECT_FALSE(has(row, "gaussian:beta=1", 3, 6));
  }
  for (const RowKind row : {RowKind::power_sums, RowKind::threshold_sum}) {
    EXPECT_TRUE(has(row, inner, 300, 0));
    EXPECT_TRUE(has(row, inner, 300, 700));
    EXPECT_FALSE(has(row, "gaussian:beta=1", 3, 6));
  }
  EXPECT_TRUE(has(RowKind::score_bins, inner, 300, 64));
  EXPECT_FALSE(has(RowKind::score_bins, inner, 3, 65));
  EXPECT_FALSE(has(RowKind::score_bins, inner, 3, 0));
  EXPECT_TRUE(has(RowKind::score_list, inner, 300, 128));
  EXPECT_FALSE(has(RowKind::score_list, inner, 3, 0));
}

}  // namespace
}  // namespace flashring::test

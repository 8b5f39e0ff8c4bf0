// Row rules of attention on backends with a device against ref in fp64: precisions, sides, masks, wide heads, noted
// pairs of tiles, the same bits in every run; and class Attention, forward and backward, against itself on ref.
#include <gtest/gtest.h>

#include <cmath>

#include "gpu/blocks.hpp"
#include "support/attention_blocks.hpp"
#include "support/attention_case.hpp"
#include "support/fake_device.hpp"
#include "support/scatter.hpp"

namespace flashring::test {
namespace {

constexpr RowKind gradients[] = {RowKind::softmax_gradient, RowKind::threshold_gradient};
constexpr RowKind thresholds[] = {RowKind::score_bins, RowKind::power_sums, RowKind::threshold_sum,
                                  RowKind::score_list};

class GpuAttention : public ::testing::TestWithParam<std::string> {
 protected:
  GpuAttention() : backend_(backend_named(GetParam())) {}

  AttentionCut cut(std::int64_t first_key = 0) const {
    return {{backend_.tile_rows, 33}, {std::min(backend_.tile_rows, 65), 30, 1}, first_key};
  }

  struct Outcome {
    std::vector<double> own, visiting;
    std::vector<std::byte> own_state, visiting_state;
    Kept touched;
  };
  Outcome run(const AttentionBlocks &blocks, Precision precision, Sides sides, const Kept &kept = {}) const {
    const TileShape shape = blocks.shape(precision);
    EXPECT_TRUE(backend_.supports(shape));
    TileArrays own = blocks.arrays(backend_, precision, true);
    TileArrays visiting = blocks.arrays(backend_, precision, false);
    Kept touched;
    BlockWork work;
    work.sides = sides;
    work.kept = kept;
    work.touched = &touched;
    evaluate_block(backend_, shape, work, own, visiting);
    return {own.finish(), visiting.finish(), own.state().copy(), visiting.state().copy(), touched};
  }

  /// Twice, for the bits.
  void check(const AttentionBlocks &blocks, Precision precision, Sides sides) const {
    SCOPED_TRACE(name_of(blocks.shape(precision)) + " sides " + std::to_string(static_cast<int>(sides)));
    const Outcome found = run(blocks, precision, sides);
    EXPECT_EQ(has_own(sides) ? outside(found.own, blocks.expected(precision, true)) : "", "");
    EXPECT_EQ(has_visiting(sides) ? outside(found.visiting, blocks.expected(precision, false)) : "", "");
    const Outcome again = run(blocks, precision, sides);
    EXPECT_EQ(again.own_state, found.own_state);
    EXPECT_EQ(again.visiting_state, found.visiting_state);
    EXPECT_EQ(again.touched, found.touched);
  }

  const Backend &backend_;
};

TEST_P(GpuAttention, Gradients) {
  for (const RowKind row : gradients)
    for (const Precision precision : {Precision::fp64, Precision::fp32})
      for (const bool causal : {false, true})
        for (const Sides sides : all_sides)
          check(AttentionBlocks(row, 3, 4, cut(causal ? 20 : 0), causal), precision, sides);
}

TEST_P(GpuAttention, GradientsOfWideHeads) {
  for (const RowKind row : gradients) {
    check(AttentionBlocks(row, 80, 90, {{40}, {33}}), Precision::fp64, Sides::both);
    check(AttentionBlocks(row, 64, 64, {{40}, {33}}), Precision::fp32, Sides::both);
    check(AttentionBlocks(row, 16, 9, cut(20), true), Precision::fp32, Sides::both);
  }
}

TEST_P(GpuAttention, Thresholds) {
  for (const RowKind row : thresholds)
    for (const Precision precision : {Precision::fp64, Precision::fp32})
      for (const bool causal : {false, true})
        check(AttentionBlocks(row, 3, 9, cut(causal ? 20 : 0), causal), precision, Sides::own);
}

TEST_P(GpuAttention, NotedTilesHoldAllWeights) {
  for (const RowKind row : thresholds)
    for (const Precision precision : {Precision::fp64, Precision::fp32}) {
      const AttentionBlocks blocks(row, 3, 5, cut());
      const Outcome all = run(blocks, precision, Sides::own);
      const Kept needed = blocks.touched();
      for (std::size_t tile = 0; tile < needed.size(); ++tile) {
        EXPECT_EQ(all.touched[tile] & needed[tile], needed[tile]);
        EXPECT_EQ(all.touched[tile] & 0b010U, 0U);
      }
      EXPECT_EQ(run(blocks, precision, Sides::own, all.touched).own_state, all.own_state);
    }
}

INSTANTIATE_TEST_SUITE_P(Small, GpuAttention, ::testing::ValuesIn(device_names()),
                         [](const auto &param) { return test_name(param.param); });

/// Outputs and gradients are numbers below 10, sums of 60 terms at most. Sums of a threshold's powers are 1 to 2^-46
/// or, in fp32, 2^-20, which moves u by some hundred times as much where it is steepest.
template <class T>
void agree(const std::vector<T> &found, const std::vector<T> &expected, const char *what) {
  constexpr double tolerance = sizeof(T) == 8 ? 100 * 60 * 0x1p-46 : 20 * 60 * 0x1p-20;
  ASSERT_EQ(found.size(), expected.size());
  double worst = 0;
  for (std::size_t n = 0; n < found.size(); ++n) {
    const double error = std::abs(static_cast<double>(found[n]) - static_cast<double>(expected[n]));
    worst = error <= worst ? worst : error;
  }
  EXPECT_LE(worst, tolerance) << what;
}

/// `backend` twice, for the bits, and ref.
template <class T>
void check_attention(const AttentionProblem &p, AttentionOptions options, const std::string &backend) {
  options.backend = "ref";
  const Computed<T> expected = compute<T>(p, options);
  options.backend = backend;
  const Computed<T> found = compute<T>(p, options);
  agree(found.o, expected.o, "o");
  agree(found.d_q, expected.d_q, "dq");
  agree(found.d_k, expected.d_k, "dk");
  agree(found.d_v, expected.d_v, "dv");
  EXPECT_EQ(found.d_alpha.size(), expected.d_alpha.size());
  const Computed<T> again = compute<T>(p, options);
  EXPECT_EQ(again.o, found.o);
  EXPECT_EQ(again.d_q, found.d_q);
  EXPECT_EQ(again.d_k, found.d_k);
  EXPECT_EQ(again.d_v, found.d_v);
  EXPECT_EQ(again.d_alpha, found.d_alpha);
}

/// A device that is none has no name that an option could give: ref stands for it.
class GpuAttentionStack : public ::testing::TestWithParam<std::string> {};

TEST_P(GpuAttentionStack, ForwardAndBackwardAgreeWithTheProcessor) {
  const std::string backend = GetParam() == "device" ? "ref" : GetParam();
  for (const char *op : {"softmax", "sparsemax", "entmax", "diffmax"})
    for (const bool causal : {false, true}) {
      SCOPED_TRACE(std::string(op) + (causal ? " causal" : ""));
      AttentionProblem p = random_attention({1, 2, 1, 50, 60, 20, 70}, 41);
      p.causal = causal;
      p.causal_offset = causal ? 10 : 0;
      p.key_padding.assign(60, 1);
      p.key_padding[3] = p.key_padding[58] = 0;
      AttentionOptions options = options_for(p);
      options.op = op;
      options.threads = 1;
      if (std::string(op) == "diffmax") options.alpha = {0.5};
      check_attention<double>(p, options, backend);
      check_attention<float>(p, options, backend);
    }
}

INSTANTIATE_TEST_SUITE_P(Every, GpuAttentionStack, ::testing::ValuesIn(device_names()),
                         [](const auto &param) { return test_name(param.param); });

}  // namespace
}  // namespace flashring::test

// Attention of the threshold families against the rows of all their scores, and its gradients against differences.
#include <gtest/gtest.h>

#include <limits>

#include "flashring/threshold_rows.hpp"
#include "support/attention_case.hpp"

namespace flashring::test {
namespace {

/// Attention of a family by the rows of all scores, given to ThresholdRows.
std::vector<double> dense_threshold(const AttentionProblem &p, const AttentionOptions &options) {
  const AttentionShape &s = p.shape;
  const double hidden = -std::numeric_limits<double>::infinity();
  std::vector<double> scores;  // (B, H_q, N_q, N_k)
  for (std::int64_t sequence = 0; sequence < s.batch * s.heads; ++sequence)
    for (std::int64_t i = 0; i < s.queries; ++i)
      for (std::int64_t j = 0; j < s.keys; ++j) {
        const std::int64_t keys = sequence / s.heads * s.key_heads + sequence % s.heads * s.key_heads / s.heads;
        const double *q = p.q.data() + (sequence * s.queries + i) * s.width;
        const double *k = p.k.data() + (keys * s.keys + j) * s.width;
        const bool token =
            p.key_padding.empty() || p.key_padding[static_cast<std::size_t>(sequence / s.heads * s.keys + j)] != 0;
        const bool seen = token && !(p.causal && j > i + p.causal_offset);
        scores.push_back(seen ? p.scale * std::inner_product(q, q + s.width, k, 0.0) : hidden);
      }
  ThresholdRowsOptions rows;
  rows.op = options.op;
  rows.family_scale = options.family_scale;
  rows.parameters = options.alpha;
  rows.rows_per_group = s.queries;
  ThresholdRows family({s.batch * s.heads * s.queries, s.keys, 1}, rows);
  family.forward(scores.data(), Storage::fp64, scores.data());
  std::vector<double> o(static_cast<std::size_t>(s.batch * s.heads * s.queries * s.value_width));
  for (std::int64_t row = 0; row < s.batch * s.heads * s.queries; ++row)
    for (std::int64_t j = 0; j < s.keys; ++j) {
      const std::int64_t sequence = row / s.queries;
      const std::int64_t keys = sequence / s.heads * s.key_heads + sequence % s.heads * s.key_heads / s.heads;
      for (int c = 0; c < s.value_width; ++c)
        o[static_cast<std::size_t>(row * s.value_width + c)] +=
            scores[static_cast<std::size_t>(row * s.keys + j)] *
            p.v[static_cast<std::size_t>((keys * s.keys + j) * s.value_width + c)];
    }
  return o;
}

TEST(Attention, ThresholdsAreThoseOfTheirRows) {
  AttentionProblem p = random_attention({2, 4, 2, 70, 70, 6, 5}, 40);
  p.causal = true;
  p.scale = 4;  // sparse rows among dense ones
  p.key_padding.assign(140, 1);
  for (std::size_t j = 0; j < 140; j += 3) p.key_padding[j] = 0;  // the first query of a sequence sees nothing
  AttentionOptions options = options_for(p);
  const auto check_family = [&](const char *op, std::vector<double> alpha, const char *scale) {
    SCOPED_TRACE(op);
    options.op = op;
    options.alpha = std::move(alpha);
    options.family_scale = scale;
    const RowPartition rows = Attention(world(), p.shape, options).query_partition();
    const std::vector<double> wanted = local_part<double>(dense_threshold(p, options), p.shape.value_width, rows);
    for (const bool gradient : {true, false}) {
      options.gradient = gradient;
      Attention attention(world(), p.shape, options);
      const Local<double> local(p, attention);
      std::vector<double> o(local.d_o.size());
      attention.forward(local.input(), {o.data(), Storage::fp64});
      // Sums of p are 1 to 2^-46 on either side, and thresholds as good.
      for (std::size_t n = 0; n < o.size(); ++n) ASSERT_NEAR(o[n], wanted[n], 1e-12) << n;
      EXPECT_LT(attention.report().sum_error, 1e-13);
    }
  };
  check_family("diffmax", {0.2, 0.5, 0.9, 0.999}, "tsallis");
  check_family("diffmax", {0.4}, "porous");
  check_family("entmax", {1.1, 1.5, 2, 1.25}, "tsallis");
  check_family("sparsemax", {}, "tsallis");
}

TEST(Attention, ThresholdGradientsAreThoseOfDifferences) {
  AttentionProblem p = random_attention({1, 2, 1, 30, 30, 5, 3}, 50);
  p.causal = true;
  AttentionOptions options = options_for(p);
  options.op = "diffmax";
  options.alpha = {0.8, 0.9};  // smooth at the edge of the support
  check_differences(p, options, 1e-7);
  options.op = "entmax";
  options.alpha = {1.2};
  check_differences(p, options, 1e-7);
}

}  // namespace
}  // namespace flashring::test

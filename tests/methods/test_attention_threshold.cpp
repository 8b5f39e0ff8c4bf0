// Attention of the threshold families against the rows of all their scores, and its gradients against differences.
#include <gtest/gtest.h>

#include <limits>

#include "flashring/threshold_rows.hpp"
#include "support/attention_case.hpp"
#include "support/error_of.hpp"

namespace flashring::test {
namespace {

/// Attention of families by the rows of all scores, given to ThresholdRows. Whole arrays.
class Dense {
 public:
  Dense(const AttentionProblem &p, const AttentionOptions &options)
      : o(p.d_o.size()), d_q(p.q.size()), d_k(p.k.size()), d_v(p.v.size()), p_(p), s_(p.shape) {
    ThresholdRowsOptions rows;
    rows.op = options.op;
    rows.family_scale = options.family_scale;
    rows.parameters = options.alpha;
    rows.rows_per_group = s_.queries;
    rows.threads = 1;
    ThresholdRows family({s_.batch * s_.heads * s_.queries, s_.keys, 1}, rows);
    const std::vector<double> scores = this->scores();
    std::vector<double> weights(scores.size());
    const ThresholdSaved saved = family.forward(scores.data(), Storage::fp64, weights.data());
    std::vector<double> d_weights(scores.size());  // of weights, then of scores
    for_each_pair([&](std::size_t n, std::int64_t i, std::int64_t j) {
      add(o, i, weights[n], p.v, j, s_.value_width);
      add(d_v, j, weights[n], p.d_o, i, s_.value_width);
      d_weights[n] = dot(p.d_o, i, p.v, j, s_.value_width);
    });
    d_alpha = family.backward(scores.data(), saved, d_weights.data(), Storage::fp64, d_weights.data());
    for_each_pair([&](std::size_t n, std::int64_t i, std::int64_t j) {
      add(d_q, i, p.scale * d_weights[n], p.k, j, s_.width);
      add(d_k, j, p.scale * d_weights[n], p.q, i, s_.width);
    });
  }
  std::vector<double> o, d_q, d_k, d_v, d_alpha;

 private:
  /// Row i of `to` += factor times row j of `from`.
  static void add(std::vector<double> &to, std::int64_t i, double factor, const std::vector<double> &from,
                  std::int64_t j, int width) {
    for (int c = 0; c < width; ++c) to.data()[i * width + c] += factor * from.data()[j * width + c];
  }
  static double dot(const std::vector<double> &a, std::int64_t i, const std::vector<double> &b, std::int64_t j,
                    int width) {
    return std::inner_product(a.data() + i * width, a.data() + (i + 1) * width, b.data() + j * width, 0.0);
  }
  /// Of every pair its place in (B, H_q, N_q, N_k), and the rows of the arrays of queries and keys.
  template <class Body>
  void for_each_pair(const Body &body) const {
    std::size_t n = 0;
    for (std::int64_t i = 0; i < s_.batch * s_.heads * s_.queries; ++i) {
      const std::int64_t sequence = i / s_.queries;
      const std::int64_t keys = sequence / s_.heads * s_.key_heads + sequence % s_.heads * s_.key_heads / s_.heads;
      for (std::int64_t j = keys * s_.keys; j < (keys + 1) * s_.keys; ++j) body(n++, i, j);
    }
  }
  std::vector<double> scores() const {
    std::vector<double> scores;
    for_each_pair([&](std::size_t, std::int64_t i, std::int64_t j) {
      const std::int64_t token = i / (s_.heads * s_.queries) * s_.keys + j % s_.keys;
      const bool padded = !p_.key_padding.empty() && p_.key_padding[static_cast<std::size_t>(token)] == 0;
      const bool later = p_.causal && j % s_.keys > i % s_.queries + p_.causal_offset;
      scores.push_back(padded || later ? -std::numeric_limits<double>::infinity()
                                       : p_.scale * dot(p_.q, i, p_.k, j, s_.width));
    });
    return scores;
  }

  const AttentionProblem &p_;
  const AttentionShape &s_;
};

/// The largest difference, on this rank; infinite where a number is NaN.
template <class T>
double distance(const std::vector<T> &found, const std::vector<double> &whole, int width, const RowPartition &rows) {
  const std::vector<double> wanted = local_part<double>(whole, width, rows);
  EXPECT_EQ(found.size(), wanted.size());
  double largest = 0;
  for (std::size_t n = 0; n < wanted.size(); ++n) {
    const double error = std::abs(found[n] - wanted[n]);
    largest = error <= largest ? largest : std::isnan(error) ? std::numeric_limits<double>::infinity() : error;
  }
  return largest;
}

/// Sums of p are 1 to 16 u, scores of size 20 err by some ten roundings of that, 200 u, and gradients have sums of
/// terms that err by as much, of size 10 in all: 2^11 u, twice.
template <class T>
void check_dense(const AttentionProblem &p, const AttentionOptions &options, const Dense &dense) {
  SCOPED_TRACE(options.op + " " + options.backend + (sizeof(T) == 8 ? " fp64" : " fp32"));
  const double tolerance = 0x1p12 * (sizeof(T) == 8 ? 0x1p-53 : 0x1p-24);
  const Attention attention(world(), p.shape, options);
  const RowPartition &queries = attention.query_partition();
  const RowPartition &keys = attention.key_partition();
  const Computed<T> found = compute<T>(p, options);
  EXPECT_LT(distance(found.o, dense.o, p.shape.value_width, queries), tolerance);
  EXPECT_LT(distance(found.d_q, dense.d_q, p.shape.width, queries), tolerance);
  EXPECT_LT(distance(found.d_k, dense.d_k, p.shape.width, keys), tolerance);
  EXPECT_LT(distance(found.d_v, dense.d_v, p.shape.value_width, keys), tolerance);
  for (std::size_t n = 0; n < found.d_alpha.size(); ++n)
    EXPECT_NEAR(found.d_alpha[n], dense.d_alpha[n], tolerance * std::max(1.0, std::abs(dense.d_alpha[n]))) << n;
  EXPECT_LE(found.forward.sum_error, tolerance / 256);
}

TEST(Attention, ThresholdsAreThoseOfTheirRows) {
  AttentionProblem p = random_attention({2, 4, 2, 70, 70, 6, 5}, 40);
  p.causal = true;
  p.scale = 4;  // sparse rows among dense ones
  p.key_padding.assign(140, 1);
  for (std::size_t j = 0; j < 140; j += 3) p.key_padding[j] = 0;  // the first query of a sequence sees nothing
  AttentionOptions options = options_for(p);
  const auto check_family = [&](const char *op, std::vector<double> alpha, const char *scale) {
    options.op = op;
    options.alpha = std::move(alpha);
    options.family_scale = scale;
    options.gradient = true;
    const Dense dense(p, options);
    check_dense<double>(p, options, dense);
    options.gradient = false;
    Attention attention(world(), p.shape, options);
    const Local<double> local(p, attention);
    std::vector<double> o(local.d_o.size());
    attention.forward(local.input(), {o.data(), Storage::fp64});
    EXPECT_LT(distance(o, dense.o, p.shape.value_width, attention.query_partition()), 1e-12) << op;
  };
  check_family("diffmax", {0.2, 0.5, 0.999, 1 - 1e-8}, "tsallis");
  check_family("diffmax", {0.4}, "porous");
  check_family("diffmax", {0.6}, "none");
  check_family("entmax", {1.1, 1.5, 2, 1.25}, "tsallis");
  check_family("sparsemax", {}, "tsallis");
}

/// alpha = 1 - w: the same bits where 1 - w is exact, and for any w down to 0, where alpha itself has no digits left,
/// softmax and what follows of its derivative by alpha.
TEST(Attention, ComplementsReachSoftmax) {
  AttentionProblem p = random_attention({1, 2, 1, 40, 40, 6, 5}, 60);
  AttentionOptions options = options_for(p);
  options.op = "diffmax";
  options.alpha = {0.75, 1 - 0x1p-30};
  const Computed<double> direct = compute<double>(p, options);
  options.complements = true;
  options.alpha = {0.25, 0x1p-30};
  const Computed<double> near = compute<double>(p, options);
  EXPECT_EQ(near.o, direct.o);
  EXPECT_EQ(near.d_alpha, direct.d_alpha);
  const Computed<double> softmax = compute<double>(p, options_for(p));
  for (const char *op : {"diffmax", "entmax"}) {
    options.op = op;
    for (const double w : {0x1p-44, 0.0}) {
      options.alpha = {w, w};
      const Computed<double> found = compute<double>(p, options);
      // |p - softmax| <= 0.28 w of each of 40 keys, and sums of p to 2^-46.
      const double tolerance = 40 * 0.28 * w + 1e-12;
      for (std::size_t n = 0; n < found.o.size(); ++n) ASSERT_NEAR(found.o[n], softmax.o[n], tolerance) << op << w;
      for (std::size_t n = 0; n < found.d_q.size(); ++n)
        ASSERT_NEAR(found.d_q[n], softmax.d_q[n], tolerance) << op << w;
      // r moves by a share of w |ln p|, p is above e^-12.
      ASSERT_NEAR(std::abs(found.d_alpha[1]), std::abs(near.d_alpha[1]), 1e-7 * (1 + std::abs(near.d_alpha[1])));
      const Computed<float> in_float = compute<float>(p, options);
      for (std::size_t n = 0; n < found.o.size(); ++n) ASSERT_NEAR(in_float.o[n], softmax.o[n], 2e-5) << op << w;
    }
  }
  options.op = "diffmax";
  options.family_scale = "none";
  EXPECT_NE(error_of([&] { compute<double>(p, options); }).find("with scale none"), std::string::npos);
}

/// With ones for V the output is the sum of p.
TEST(Attention, SumsOfWeightsAreOneOnlyWhereAsked) {
  AttentionProblem p = random_attention({1, 2, 1, 200, 200, 6, 1}, 61);
  std::fill(p.v.begin(), p.v.end(), 1.0);
  AttentionOptions options = options_for(p);
  options.op = "diffmax";
  options.alpha = {0.5, 0.9};
  for (const bool asked : {true, false})
    for (const bool gradient : {true, false}) {
      options.ensure_sum_one = asked;
      options.gradient = gradient;
      Attention attention(world(), p.shape, options);
      const Local<float> local(p, attention);
      std::vector<float> o(local.d_o.size());
      attention.forward(local.input(), {o.data()});
      double off = 0;
      for (const float sum : o) off = std::max(off, std::abs(static_cast<double>(sum) - 1));
      // Output and sum are 200 terms in fp32 each, in tiles of 256 and in their own order: 8 roundings of 2^-24. The
      // error of the sum is 1.0e-6 here, on one rank.
      EXPECT_NEAR(world().max(off), asked ? 0 : attention.report().sum_error, 8 * 0x1p-24) << gradient;
    }
}

/// More features and values than a tile of other rules has columns; queries and keys of unlike number, an offset and
/// padding.
TEST(Attention, WideThresholdsOfUnlikeLengths) {
  AttentionProblem p = random_attention({2, 2, 1, 24, 31, 130, 150}, 60);
  p.causal = true;
  p.causal_offset = -3;  // the first queries see nothing
  p.scale = 1;
  p.key_padding.assign(62, 1);
  for (std::size_t j = 0; j < 62; j += 5) p.key_padding[j] = 0;
  AttentionOptions options = options_for(p);
  options.op = "diffmax";
  options.alpha = {0.5, 0.9};
  const Dense dense(p, options);
  for (const std::string &backend : instruction_sets()) {
    options.backend = backend;
    check_dense<double>(p, options, dense);
    if (backend != "ref") check_dense<float>(p, options, dense);
  }
}

/// O of unit vectors is P itself. Its rows are on the simplex and have the order of their scores; lower alpha leaves no
/// more of them (LowerAlphaIsSparser of test_threshold_rows.cpp).
TEST(Attention, WeightsAreOrderedAndSparserAtLowerAlpha) {
  AttentionProblem p = random_attention({1, 2, 1, 20, 40, 4, 40}, 70);
  p.scale = 4;
  std::fill(p.v.begin(), p.v.end(), 0.0);
  for (std::size_t j = 0; j < 40; ++j) p.v[j * 41] = 1;
  AttentionOptions options = options_for(p);
  options.op = "diffmax";
  std::vector<std::size_t> supports;  // (rows)
  for (const double alpha : {0.95, 0.8, 0.5, 0.3, 0.1}) {
    options.alpha = {alpha};
    Attention attention(world(), p.shape, options);
    const Local<double> local(p, attention);
    std::vector<double> o(local.d_o.size());
    attention.forward(local.input(), {o.data(), Storage::fp64});
    supports.resize(o.size() / 40, 40);
    for (std::size_t row = 0; row < supports.size(); ++row) {
      const double *weights = o.data() + row * 40;
      EXPECT_NEAR(std::accumulate(weights, weights + 40, 0.0), 1, 1e-13);
      std::vector<std::pair<double, double>> entries;  // score, weight
      for (std::size_t j = 0; j < 40; ++j)
        entries.emplace_back(std::inner_product(&local.q[row * 4], &local.q[row * 4] + 4, &p.k[j * 4], 0.0),
                             weights[j]);
      std::sort(entries.begin(), entries.end());
      // Weights are those of scores that are off by a rounding.
      for (std::size_t j = 1; j < 40; ++j) EXPECT_GE(entries[j].second, entries[j - 1].second - 1e-14);
      EXPECT_GE(entries[0].second, 0);
      const auto support =
          static_cast<std::size_t>(std::count_if(weights, weights + 40, [](double w) { return w > 0; }));
      EXPECT_LE(support, supports[row]) << alpha;
      supports[row] = support;
    }
  }
}

TEST(Attention, ThresholdGradientsAreThoseOfDifferences) {
  AttentionProblem p = random_attention({1, 2, 1, 30, 30, 5, 3}, 50);
  p.causal = true;
  AttentionOptions options = options_for(p);
  options.op = "diffmax";
  options.alpha = {0.8, 0.9};  // smooth at the edge of the support
  check_differences(p, options, 1e-8);
}

}  // namespace
}  // namespace flashring::test

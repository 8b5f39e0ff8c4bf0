// Softmax attention against its definition in long double: shapes, masks, grouped heads, partitions over ranks,
// storage; the same bits for any number of threads; bad input.
#include "flashring/attention.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "flashring/check.hpp"
#include "flashring/threshold_rows.hpp"
#include "flashring/tile.hpp"
#include "support/dense_attention.hpp"
#include "support/error_of.hpp"
#include "support/golden.hpp"
#include "support/scatter.hpp"
#include "support/tiles.hpp"
#include "support/tolerance.hpp"
#include "support/world.hpp"

namespace flashring::test {
namespace {

/// Rows of this rank of an array (sequences, N, width), stored as T.
template <class T>
std::vector<T> local_part(const std::vector<double> &whole, std::int64_t width, const RowPartition &partition) {
  std::vector<T> part;
  const std::int64_t rows = partition.rows();
  const auto sequences = static_cast<std::int64_t>(whole.size()) / (rows * width);
  for (std::int64_t s = 0; s < sequences; ++s)
    for (const RowRange &range : partition.ranges(world().rank()))
      for (std::int64_t n = 0; n < range.count * width; ++n)
        part.push_back(static_cast<T>(whole[static_cast<std::size_t>((s * rows + range.begin.value) * width + n)]));
  return part;
}

Bounded local_part(const Bounded &whole, std::int64_t width, const RowPartition &partition) {
  Bounded part;
  const std::int64_t rows = partition.rows();
  const auto sequences = static_cast<std::int64_t>(whole.value.size()) / (rows * width);
  for (std::int64_t s = 0; s < sequences; ++s)
    for (const RowRange &range : partition.ranges(world().rank()))
      for (std::int64_t n = 0; n < range.count * width; ++n) {
        const auto at = static_cast<std::size_t>((s * rows + range.begin.value) * width + n);
        part.value.push_back(whole.value[at]);
        part.bound.push_back(whole.bound[at]);
      }
  return part;
}

/// What this rank computed.
template <class T>
struct Computed {
  AttentionSaved saved;
  std::vector<T> o, d_q, d_k, d_v;
  std::vector<double> d_alpha;
  AttentionReport forward;
};

template <class T>
struct Local {
  Local(const AttentionProblem &p, const Attention &attention)
      : q(local_part<T>(p.q, p.shape.width, attention.query_partition())),
        k(local_part<T>(p.k, p.shape.width, attention.key_partition())),
        v(local_part<T>(p.v, p.shape.value_width, attention.key_partition())),
        d_o(local_part<T>(p.d_o, p.shape.value_width, attention.query_partition())) {
    const std::vector<double> padding(p.key_padding.begin(), p.key_padding.end());
    key_padding = local_part<std::uint8_t>(padding, 1, attention.key_partition());
  }
  static constexpr Storage storage = sizeof(T) == 8 ? Storage::fp64 : Storage::fp32;
  AttentionInput input() const { return {{q.data(), storage}, {k.data(), storage}, {v.data(), storage}, key_padding}; }
  std::vector<T> q, k, v, d_o;
  std::vector<std::uint8_t> key_padding;
};

AttentionOptions options_for(const AttentionProblem &p) {
  AttentionOptions options;
  options.scale = p.scale;
  options.causal = p.causal;
  if (p.causal) options.causal_offset = p.causal_offset;
  return options;
}

template <class T>
Computed<T> compute(const AttentionProblem &p, const AttentionOptions &options) {
  Attention attention(world(), p.shape, options);
  const Local<T> local(p, attention);
  constexpr Storage storage = Local<T>::storage;
  Computed<T> c;
  c.o.resize(local.d_o.size());
  c.d_q.resize(local.q.size());
  c.d_k.resize(local.k.size());
  c.d_v.resize(local.v.size());
  c.saved = attention.forward(local.input(), {c.o.data(), storage});
  c.forward = attention.report();
  c.d_alpha = attention.backward(local.input(), {c.o.data(), storage}, c.saved, {local.d_o.data(), storage},
                                 {c.d_q.data(), storage}, {c.d_k.data(), storage}, {c.d_v.data(), storage});
  return c;
}

template <class T>
std::vector<double> widened(const std::vector<T> &values) {
  return {values.begin(), values.end()};
}

/// What arithmetic of that type, with tiles of simd, may answer.
template <class T>
DenseAttention expected(const AttentionProblem &p) {
  return dense_attention(p, arithmetic(sizeof(T) == 8 ? Precision::fp64 : Precision::fp32, 256));
}

template <class T>
void check(const AttentionProblem &p, const AttentionOptions &options, const DenseAttention &dense) {
  SCOPED_TRACE(options.backend + (sizeof(T) == 8 ? " fp64" : " fp32"));
  const Attention attention(world(), p.shape, options);
  const RowPartition &queries = attention.query_partition();
  const RowPartition &keys = attention.key_partition();
  const Computed<T> found = compute<T>(p, options);
  EXPECT_EQ(outside(found.saved.log_sum_exp, local_part(dense.lse, 1, queries)), "") << "lse";
  EXPECT_EQ(outside(widened(found.o), local_part(dense.o, p.shape.value_width, queries)), "") << "O";
  EXPECT_EQ(outside(widened(found.d_q), local_part(dense.d_q, p.shape.width, queries)), "") << "dQ";
  EXPECT_EQ(outside(widened(found.d_k), local_part(dense.d_k, p.shape.width, keys)), "") << "dK";
  EXPECT_EQ(outside(widened(found.d_v), local_part(dense.d_v, p.shape.value_width, keys)), "") << "dV";
}

void check_all(const AttentionProblem &p) {
  AttentionOptions options = options_for(p);
  const DenseAttention in_double = expected<double>(p);
  const DenseAttention in_float = expected<float>(p);
  for (const std::string &backend : vector_backends()) {
    options.backend = backend;
    check<double>(p, options, in_double);
    if (backend != "ref") check<float>(p, options, in_float);
  }
}

TEST(Attention, OneHead) { check_all(random_attention({1, 1, 1, 300, 300, 16, 16}, 1)); }
TEST(Attention, WidthsOfTheirOwn) { check_all(random_attention({1, 2, 2, 70, 131, 5, 37}, 2)); }
TEST(Attention, OneFeature) { check_all(random_attention({1, 1, 1, 9, 6, 1, 1}, 3)); }
TEST(Attention, WideValuesTakeSeveralPasses) { check_all(random_attention({1, 1, 1, 33, 40, 3, 150}, 4)); }
TEST(Attention, GroupedHeads) { check_all(random_attention({2, 6, 2, 65, 80, 8, 8}, 5)); }

TEST(Attention, Causal) {
  AttentionProblem p = random_attention({2, 2, 1, 301, 301, 8, 8}, 6);
  p.causal = true;
  check_all(p);
}

TEST(Attention, CausalWithAnOffset) {
  for (const std::int64_t offset : {-30, 17}) {
    AttentionProblem p = random_attention({1, 2, 2, 120, 90, 4, 6}, 7);
    p.causal = true;
    p.causal_offset = offset;  // with -30 the first queries see nothing
    check_all(p);
  }
}

TEST(Attention, PaddingOfKeys) {
  AttentionProblem p = random_attention({3, 2, 1, 50, 90, 4, 6}, 8);
  p.key_padding.assign(3 * 90, 1);
  for (std::size_t j = 60; j < 90; ++j) p.key_padding[j] = 0;      // a tail
  for (std::size_t j = 90; j < 180; j += 3) p.key_padding[j] = 0;  // here and there
  for (std::size_t j = 180; j < 270; ++j) p.key_padding[j] = 0;    // all: zeros
  check_all(p);
}

TEST(Attention, LargeScoresStayFinite) {
  AttentionProblem p = random_attention({1, 1, 1, 64, 64, 4, 4}, 9);
  p.scale = 500;
  check_all(p);
  p.scale = -500;
  check_all(p);
}

void expect_near(const std::vector<double> &found, const std::vector<double> &whole, std::int64_t width,
                 const RowPartition &partition) {
  const std::vector<double> wanted = local_part<double>(whole, width, partition);
  ASSERT_EQ(found.size(), wanted.size());
  // Dense sums of 13 terms of size 1 to 10 on either side.
  for (std::size_t n = 0; n < found.size(); ++n)
    ASSERT_TRUE(found[n] == wanted[n] || std::abs(found[n] - wanted[n]) < 1e-13) << n << ": " << found[n];  // -inf, too
}

TEST(Attention, Golden) {
  AttentionProblem p;
  p.shape = {2, 4, 2, 13, 13, 5, 3};
  p.scale = 1 / std::sqrt(5.0);
  p.causal = true;
  p.q = golden("attention_q").values;
  p.k = golden("attention_k").values;
  p.v = golden("attention_v").values;
  p.d_o = golden("attention_do").values;
  p.key_padding.assign(26, 1);
  std::fill(p.key_padding.begin() + 22, p.key_padding.end(), 0);
  const Computed<double> found = compute<double>(p, options_for(p));
  const RowPartition rows = Attention(world(), p.shape, options_for(p)).query_partition();
  expect_near(found.o, golden("attention_o").values, 3, rows);
  expect_near(found.d_q, golden("attention_dq").values, 5, rows);
  expect_near(found.d_k, golden("attention_dk").values, 5, rows);
  expect_near(found.d_v, golden("attention_dv").values, 3, rows);
}

/// sum of dO O with q, k, v moved by h times (x, y, z).
double loss(AttentionProblem p, const AttentionOptions &options, const AttentionProblem &direction, double h) {
  for (std::size_t n = 0; n < p.q.size(); ++n) p.q[n] += h * direction.q[n];
  for (std::size_t n = 0; n < p.k.size(); ++n) p.k[n] += h * direction.k[n];
  for (std::size_t n = 0; n < p.v.size(); ++n) p.v[n] += h * direction.v[n];
  const Computed<double> found = compute<double>(p, options);
  const RowPartition rows = Attention(world(), p.shape, options).query_partition();
  const std::vector<double> d_o = local_part<double>(p.d_o, p.shape.value_width, rows);
  return world().sum(std::inner_product(d_o.begin(), d_o.end(), found.o.begin(), 0.0));
}

/// The gradients along a direction beside central differences of the loss, to `tolerance`.
void check_differences(const AttentionProblem &p, const AttentionOptions &options, double tolerance) {
  const AttentionProblem direction = random_attention(p.shape, 30);
  const Computed<double> found = compute<double>(p, options);
  const Attention attention(world(), p.shape, options);
  const Local<double> along(direction, attention);
  const auto dot = [](const std::vector<double> &a, const std::vector<double> &b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
  };
  const double slope = world().sum(dot(found.d_q, along.q) + dot(found.d_k, along.k) + dot(found.d_v, along.v));
  const double h = 1e-5;
  EXPECT_NEAR((loss(p, options, direction, h) - loss(p, options, direction, -h)) / (2 * h), slope,
              tolerance * std::abs(slope));
  const AttentionProblem none = [&] {
    AttentionProblem zero = direction;
    for (std::vector<double> *array : {&zero.q, &zero.k, &zero.v}) std::fill(array->begin(), array->end(), 0.0);
    return zero;
  }();
  for (std::size_t n = 0; n < found.d_alpha.size(); ++n) {
    AttentionOptions up = options;
    AttentionOptions down = options;
    up.alpha[n] += h;
    down.alpha[n] -= h;
    EXPECT_NEAR((loss(p, up, none, 0) - loss(p, down, none, 0)) / (2 * h), found.d_alpha[n],
                tolerance * std::max(1.0, std::abs(found.d_alpha[n])))
        << "alpha " << n;
  }
}

// Central differences: h^2 of third derivatives of size 1, and 1e-14 / h of rounding.
TEST(Attention, GradientsAreThoseOfDifferences) {
  AttentionProblem p = random_attention({1, 2, 1, 30, 30, 5, 3}, 20);
  p.causal = true;
  check_differences(p, options_for(p), 1e-8);
}

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

template <class T>
bool same(const std::vector<T> &a, const std::vector<T> &b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}

TEST(Attention, SameBitsForAnyThreadsAndAgain) {
  const AttentionProblem p = random_attention({1, 3, 1, 600, 600, 8, 8}, 10);
  AttentionOptions options = options_for(p);
  options.threads = 1;
  const Computed<float> one = compute<float>(p, options);
  for (const int threads : {1, 3}) {
    options.threads = threads;
    const Computed<float> other = compute<float>(p, options);
    EXPECT_TRUE(same(one.o, other.o) && same(one.d_q, other.d_q) && same(one.d_k, other.d_k) &&
                same(one.d_v, other.d_v))
        << threads << " threads";
  }
}

TEST(Attention, BothRoutesBringGradientsHome) {
  const AttentionProblem p = random_attention({1, 2, 1, 90, 110, 6, 5}, 11);
  AttentionOptions options = options_for(p);
  options.route = Route::travel;
  check<double>(p, options, expected<double>(p));
}

std::string error_with(const AttentionShape &shape, const AttentionOptions &options) {
  return error_of([&] { const Attention attention(world(), shape, options); });
}

TEST(AttentionErrors, NameTheShapes) {
  EXPECT_NE(error_with({1, 4, 3, 8, 8, 2, 2}, {}).find("q has 4 heads and k has 3"), std::string::npos);
  EXPECT_NE(error_with({1, 1, 1, 0, 8, 2, 2}, {}).find("rows 0 and 8"), std::string::npos);
  AttentionOptions causal;
  causal.causal = true;
  EXPECT_NE(error_with({1, 1, 1, 8, 9, 2, 2}, causal).find("8 queries and 9 keys"), std::string::npos);
  AttentionOptions offset;
  offset.causal_offset = 1;
  EXPECT_NE(error_with({1, 1, 1, 8, 8, 2, 2}, offset).find("without a causal mask"), std::string::npos);
  causal.causal_offset = 10;
  EXPECT_NE(error_with({1, 1, 1, 8, 9, 2, 2}, causal).find("[-8, 9]"), std::string::npos);
  AttentionOptions family;
  family.op = "entmax";
  family.alpha = {2.5};
  EXPECT_NE(error_with({1, 1, 1, 8, 8, 2, 2}, family).find("2.5"), std::string::npos);
  family.alpha = {1.5, 1.5, 1.5};
  EXPECT_NE(error_with({1, 2, 1, 8, 8, 2, 2}, family).find("3 numbers for 2 query heads"), std::string::npos);
  family.op = "softmax";
  EXPECT_NE(error_with({1, 1, 1, 8, 8, 2, 2}, family).find("no effect on softmax"), std::string::npos);
  AttentionOptions unknown;
  unknown.backend = "abacus";
  EXPECT_NE(error_with({1, 1, 1, 8, 8, 2, 2}, unknown).find("abacus"), std::string::npos);
}

TEST(AttentionErrors, NameTheNumber) {
  AttentionProblem p = random_attention({2, 3, 3, 40, 40, 4, 4}, 12);
  const std::size_t at = ((1 * 3 + 2) * 40 + 31) * 4 + 3;
  p.k[at] = std::numeric_limits<double>::quiet_NaN();
  const std::string message = error_of([&] { compute<double>(p, options_for(p)); });
  EXPECT_NE(message.find("k: batch 1, head 2, row 31, column 3 is nan"), std::string::npos) << message;
}

TEST(AttentionErrors, NameScoresThatOverflow) {
  AttentionProblem p = random_attention({1, 2, 2, 30, 30, 4, 4}, 14);
  for (std::size_t n = 0; n < 4; ++n) p.q[(30 + 17) * 4 + n] = 3e38;
  for (double &k : p.k) k = std::abs(k) + 2;
  AttentionOptions options = options_for(p);
  for (const char *op : {"softmax", "diffmax"}) {
    options.op = op;
    const std::string message = error_of([&] { compute<float>(p, options); });
    EXPECT_NE(message.find("batch 0, head 1, row 17 has one"), std::string::npos) << message;
  }
}

TEST(AttentionErrors, NameWhatDoesNotFit) {
  const AttentionProblem p = random_attention({2, 1, 1, 20, 20, 4, 4}, 13);
  Attention attention(world(), p.shape, {});
  const Local<float> local(p, attention);
  std::vector<float> o(local.d_o.size());
  AttentionInput input = local.input();
  const std::vector<std::uint8_t> padding(3, 1);
  input.key_padding = padding;
  EXPECT_NE(error_of([&] { attention.forward(input, {o.data()}); }).find("key_padding has 3 numbers"),
            std::string::npos);
  input = local.input();
  input.v.storage = Storage::fp64;
  EXPECT_NE(error_of([&] { attention.forward(input, {o.data()}); }).find("v fp64"), std::string::npos);
}

}  // namespace
}  // namespace flashring::test

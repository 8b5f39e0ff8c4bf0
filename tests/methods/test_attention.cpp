// Softmax attention against its definition in long double: shapes, masks, grouped heads, partitions over ranks,
// storage; the same bits for any number of threads; bad input.
#include "flashring/attention.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "flashring/check.hpp"
#include "flashring/devices.hpp"
#include "flashring/tile.hpp"
#include "support/attention_case.hpp"
#include "support/error_of.hpp"
#include "support/golden.hpp"
#include "support/scatter.hpp"
#include "support/tiles.hpp"
#include "support/tolerance.hpp"
#include "support/world.hpp"

namespace flashring::test {
namespace {

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
Computed<T> check(const AttentionProblem &p, const AttentionOptions &options, const DenseAttention &dense) {
  SCOPED_TRACE(options.backend + (sizeof(T) == 8 ? " fp64" : " fp32"));
  const Attention attention(world(), p.shape, options);
  const RowPartition &queries = attention.query_partition();
  const RowPartition &keys = attention.key_partition();
  Computed<T> found = compute<T>(p, options);
  EXPECT_EQ(outside(found.saved.log_sum_exp, local_part(dense.lse, 1, queries)), "") << "lse";
  EXPECT_EQ(outside(widened(found.o), local_part(dense.o, p.shape.value_width, queries)), "") << "O";
  EXPECT_EQ(outside(widened(found.d_q), local_part(dense.d_q, p.shape.width, queries)), "") << "dQ";
  EXPECT_EQ(outside(widened(found.d_k), local_part(dense.d_k, p.shape.width, keys)), "") << "dK";
  EXPECT_EQ(outside(widened(found.d_v), local_part(dense.d_v, p.shape.value_width, keys)), "") << "dV";
  return found;
}

void check_all(const AttentionProblem &p) {
  AttentionOptions options = options_for(p);
  const DenseAttention in_double = expected<double>(p);
  const DenseAttention in_float = expected<float>(p);
  for (const std::string &backend : instruction_sets()) {
    options.backend = backend;
    check<double>(p, options, in_double);
    if (backend != "ref") check<float>(p, options, in_float);
  }
}

template <class T>
bool same(const std::vector<T> &a, const std::vector<T> &b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0);
}

TEST(Attention, OneHead) { check_all(random_attention({1, 1, 1, 300, 300, 16, 16}, 1)); }
TEST(Attention, WidthsOfTheirOwn) { check_all(random_attention({1, 2, 2, 70, 131, 5, 37}, 2)); }
TEST(Attention, OneFeature) { check_all(random_attention({1, 1, 1, 9, 6, 1, 1}, 3)); }
TEST(Attention, WideValuesTakeSeveralPasses) { check_all(random_attention({1, 1, 1, 33, 40, 130, 150}, 4)); }
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

/// All of softmax runs on the matrix unit of amx, 128 values in a pass; thresholds are simd's there.
TEST(Attention, OnTheMatrixUnit) {
  const std::vector<std::string> names = backend_names();
  if (std::find(names.begin(), names.end(), "amx:emulated") == names.end()) GTEST_SKIP() << "built without amx";
  AttentionProblem p = random_attention({1, 2, 1, 60, 80, 40, 72}, 15);
  p.causal = true;
  p.causal_offset = 15;
  p.key_padding.assign(80, 1);
  for (std::size_t j = 0; j < 80; j += 3) p.key_padding[j] = 0;
  AttentionOptions options = options_for(p);
  options.backend = "amx:emulated";
  const Computed<float> softmax = check<float>(p, options, expected<float>(p));
  EXPECT_EQ(softmax.forward.passes, 1);
  EXPECT_EQ(softmax.backward.backend, "amx");
  options.op = "entmax";
  const Computed<float> unit = compute<float>(p, options);
  options.backend = "simd";
  const Computed<float> vectors = compute<float>(p, options);
  EXPECT_TRUE(same(unit.o, vectors.o) && same(unit.d_q, vectors.d_q) && same(unit.d_k, vectors.d_k) &&
              same(unit.d_v, vectors.d_v) && unit.d_alpha == vectors.d_alpha);
}

/// NaN and numbers whose products overflow change no bit where padding hides them.
TEST(Attention, HiddenTokensAreNotRead) {
  AttentionProblem p = random_attention({2, 4, 2, 40, 40, 4, 3}, 17);
  p.key_padding.assign(80, 1);
  for (const std::size_t j : {0U, 37U, 45U, 79U}) p.key_padding[j] = 0;
  AttentionOptions options = options_for(p);
  for (const char *op : {"softmax", "diffmax"}) {
    options.op = op;
    const Computed<float> wanted = compute<float>(p, options);
    AttentionProblem other = p;
    for (std::size_t row = 0; row < 160; ++row) {  // (batch, key head, token)
      if (p.key_padding[row / 80 * 40 + row % 40] != 0) continue;
      const double number = row % 2 == 0 ? std::numeric_limits<double>::quiet_NaN() : 3e38;
      std::fill_n(other.k.begin() + static_cast<std::ptrdiff_t>(4 * row), 4, number);
      std::fill_n(other.v.begin() + static_cast<std::ptrdiff_t>(3 * row), 3, number);
    }
    const Computed<float> found = compute<float>(other, options);
    EXPECT_TRUE(same(found.o, wanted.o) && same(found.d_q, wanted.d_q) && same(found.d_k, wanted.d_k) &&
                same(found.d_v, wanted.d_v))
        << op;
  }
}

/// Tiles of padding alone are left out, and counted as if they were skipped for their weights.
TEST(Attention, TilesOfPaddingAreSkipped) {
  const int ranks = world().size();
  const std::int64_t tile = find_backend("simd").tile_rows;
  AttentionProblem p = random_attention({2, 2, 1, 10, 3 * tile * ranks, 4, 6}, 15);
  p.key_padding.assign(static_cast<std::size_t>(2 * p.shape.keys), 1);
  std::fill(p.key_padding.begin() + tile, p.key_padding.begin() + p.shape.keys, 0);  // of the first batch entry
  AttentionOptions options = options_for(p);
  options.backend = "simd";
  for (const char *op : {"softmax", "entmax"}) {
    options.op = op;
    const Computed<double> found = compute<double>(p, options);
    const double own = 2.0 * ranks;  // tiles of queries of a batch entry
    EXPECT_EQ(found.forward.tiles_visited + found.forward.tiles_skipped, found.forward.passes * 2 * own * 3 * ranks);
    EXPECT_GE(found.forward.tiles_skipped, found.forward.passes * own * (3 * ranks - 1)) << op;
    EXPECT_GE(found.backward.tiles_skipped, own * (3 * ranks - 1)) << op;
  }
  options.op = "softmax";
  check<double>(p, options, expected<double>(p));
}

/// Storage of 16 bits is worked with in fp32: beside fp64 arithmetic on the same numbers, errors (root mean square) are
/// at most twice those of its answers rounded once, which a computation in that storage does not do better.
template <class T>
void check_sixteen_bits(AttentionProblem p, const AttentionOptions &options) {
  SCOPED_TRACE(detail::concatenate(options.op, " ", storage_name(storage_of<T>)));
  for (std::vector<double> *array : {&p.q, &p.k, &p.v, &p.d_o})
    for (double &x : *array) x = T(x);
  const Computed<double> exact = compute<double>(p, options);
  const Computed<T> found = compute<T>(p, options);
  const auto compare = [](const char *name, const std::vector<T> &values, const std::vector<double> &wanted) {
    double error = 0;
    double rounding = 0;
    for (std::size_t n = 0; n < wanted.size(); ++n) {
      error += std::pow(values[n] - wanted[n], 2);
      rounding += std::pow(T(wanted[n]) - wanted[n], 2);
    }
    EXPECT_LE(world().sum(error), 4 * world().sum(rounding)) << name;
  };
  compare("O", found.o, exact.o);
  compare("dQ", found.d_q, exact.d_q);
  compare("dK", found.d_k, exact.d_k);
  compare("dV", found.d_v, exact.d_v);
}

TEST(Attention, SixteenBitsAreRoundedOnce) {
  AttentionProblem p = random_attention({1, 2, 1, 61, 61, 17, 9}, 16);
  p.causal = true;
  AttentionOptions options = options_for(p);
  for (const char *op : {"softmax", "diffmax", "entmax"}) {
    options.op = op;
    check_sixteen_bits<Half<Storage::bf16>>(p, options);
    check_sixteen_bits<Half<Storage::fp16>>(p, options);
  }
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

TEST(Attention, GradientsAreThoseOfDifferences) {
  AttentionProblem p = random_attention({1, 2, 1, 30, 30, 5, 3}, 20);
  p.causal = true;
  check_differences(p, options_for(p), 1e-8);
}

TEST(Attention, SameBitsForAnyThreadsAndAgain) {
  const AttentionProblem p = random_attention({1, 3, 1, 600, 600, 8, 8}, 10);
  AttentionOptions options = options_for(p);
  for (const char *op : {"softmax", "diffmax"}) {
    options.op = op;
    options.threads = 1;
    const Computed<float> one = compute<float>(p, options);
    for (const int threads : {1, 3}) {
      options.threads = threads;
      const Computed<float> other = compute<float>(p, options);
      EXPECT_TRUE(same(one.o, other.o) && same(one.d_q, other.d_q) && same(one.d_k, other.d_k) &&
                  same(one.d_v, other.d_v) && same(one.d_alpha, other.d_alpha))
          << op << ", " << threads << " threads";
    }
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
  family.alpha = {1.5, std::numeric_limits<double>::quiet_NaN()};
  family.first_head = 4;  // of more
  EXPECT_NE(error_with({1, 2, 1, 8, 8, 2, 2}, family).find("query head 5 (counted from 0): a of entmax is nan"),
            std::string::npos);
  family.op = "softmax";
  EXPECT_NE(error_with({1, 1, 1, 8, 8, 2, 2}, family).find("no effect on softmax"), std::string::npos);
  AttentionOptions scaled;
  scaled.scale = std::numeric_limits<double>::infinity();
  EXPECT_NE(error_with({1, 1, 1, 8, 8, 2, 2}, scaled).find("-scale inf is not finite; give"), std::string::npos);
  AttentionOptions unknown;
  unknown.backend = "abacus";
  EXPECT_NE(error_with({1, 1, 1, 8, 8, 2, 2}, unknown).find("abacus"), std::string::npos);
}

TEST(AttentionErrors, NameRanksThatDiffer) {
  if (world().size() == 1) return;
  const int rank = world().rank();
  EXPECT_NE(error_with({1, 1, 1, 8, 8 + rank, 2, 2}, {}).find("rows 8 and 9, widths 2 and 2, but on rank 0 of batch 1"),
            std::string::npos);
  AttentionProblem p = random_attention({1, 1, 1, 20, 20, 4, 4}, 16);
  Attention attention(world(), p.shape, {});
  const Local<double> local(p, attention);
  AttentionInput input = local.input();
  if (rank > 0) input.q.storage = input.k.storage = input.v.storage = Storage::fp32;
  std::vector<double> o(local.d_o.size());
  EXPECT_NE(error_of([&] {
              attention.forward(input, {o.data(), input.q.storage});
            }).find("arrays in fp32, but on rank 0"),
            std::string::npos);
}

TEST(AttentionErrors, NameTheNumber) {
  AttentionProblem p = random_attention({2, 3, 3, 40, 40, 4, 4}, 12);
  const std::size_t at = ((1 * 3 + 2) * 40 + 31) * 4 + 3;
  p.k[at] = std::numeric_limits<double>::quiet_NaN();
  const std::string message = error_of([&] { compute<double>(p, options_for(p)); });
  EXPECT_NE(message.find("k: batch 1, head 2, row 31, column 3 is nan"), std::string::npos) << message;
  AttentionOptions part = options_for(p);
  part.first_batch = 6;
  part.first_head = 3;
  const std::string of_part = error_of([&] { compute<double>(p, part); });
  EXPECT_NE(of_part.find("k: batch 7, head 5, row 31"), std::string::npos) << of_part;
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
  AttentionOptions options;
  options.memory = MemorySpace::device;
  if (!list_devices().empty()) return;
  EXPECT_NE(error_of([&] { Attention(world(), p.shape, options); }).find("give arrays of the host"), std::string::npos);
}

}  // namespace
}  // namespace flashring::test

// Row rules of attention on backend amx: gradients on the unit against backend ref in fp64 and beside the plain
// computation in their precision; few features or values, and thresholds, with simd's bits.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "amx/bf16.hpp"
#include "support/amx_units.hpp"
#include "support/attention_blocks.hpp"
#include "support/scatter.hpp"

namespace flashring::test {
namespace {

constexpr Sides all_sides[] = {Sides::own, Sides::visiting, Sides::both};

/// Ragged tiles, one of a single row and, with late keys, queries that see nothing.
const AttentionCut tiles = {{70, 33}, {65, 30, 1}};
const AttentionCut late_keys = {{70, 33}, {65, 30, 1}, 20};

/// One call of a backend, and what it leaves.
struct Outcome {
  Outcome(const std::string &name, const AttentionBlocks &blocks, Precision precision, Sides sides, bool masked)
      : own(blocks.arrays(find_backend(name), precision, true)),
        visiting(blocks.arrays(find_backend(name), precision, false)) {
    evaluate(find_backend(name), blocks.shape(precision), own, visiting, all_pairs(own, visiting, sides, masked));
  }
  TileArrays own, visiting;
};

class AmxAttention : public AmxUnits {};

TEST_P(AmxAttention, GradientsAgreeWithRef) {
  const auto check = [this](int features, int values, bool causal) {
    SCOPED_TRACE(std::to_string(features) + " features, " + std::to_string(values) + " values");
    const AttentionBlocks blocks(RowKind::softmax_gradient, features, values, causal ? late_keys : tiles, causal);
    for (const Sides sides : all_sides) {
      SCOPED_TRACE("sides " + std::to_string(static_cast<int>(sides)));
      const Outcome found(name(), blocks, Precision::fp32, sides, causal);
      if (has_own(sides)) {
        EXPECT_EQ(outside(found.own.finish(), blocks.expected(Precision::fp32, true)), "");
      }
      if (has_visiting(sides)) {
        EXPECT_EQ(outside(found.visiting.finish(), blocks.expected(Precision::fp32, false)), "");
      }
    }
  };
  check(16, 16, false);
  check(33, 17, true);
  check(20, 70, true);
}

// The unit's are gradients from 16 features and 16 values on, in fp32 and reduced.
TEST_P(AmxAttention, OthersHaveTheBitsOfSimd) {
  const auto check = [this](RowKind row, int features, int values) {
    SCOPED_TRACE(row_rule(row).name);
    const AttentionBlocks blocks(row, features, values, late_keys, true);
    const bool gradient = row == RowKind::softmax_gradient || row == RowKind::threshold_gradient;
    const Sides sides = gradient ? Sides::both : Sides::own;
    for (const Precision precision : {Precision::fp64, Precision::fp32}) {
      Outcome found(name(), blocks, precision, sides, true);
      Outcome other("simd", blocks, precision, sides, true);
      EXPECT_EQ(found.own.state().copy(), other.own.state().copy());
      EXPECT_EQ(found.visiting.state().copy(), other.visiting.state().copy());
    }
  };
  check(RowKind::softmax_gradient, 15, 16);
  check(RowKind::softmax_gradient, 16, 15);
  for (const RowKind row :
       {RowKind::score_bins, RowKind::power_sums, RowKind::threshold_sum, RowKind::threshold_gradient})
    check(row, 20, 20);
}

TEST_P(AmxAttention, SaysWhatItFolds) {
  const auto folds = [this](RowKind row, int features, int columns) {
    return find_backend(name()).supports({parse_pair("inner_exp:s=1"), row, 0, Precision::fp32, features, columns, {}});
  };
  EXPECT_TRUE(folds(RowKind::softmax_gradient, 64, 128));
  EXPECT_TRUE(folds(RowKind::softmax_gradient, 64, 65));
  EXPECT_TRUE(folds(RowKind::softmax_gradient, 256, 1024));
  EXPECT_FALSE(folds(RowKind::softmax_gradient, 64, 64)) << "no columns of v";
  EXPECT_TRUE(folds(RowKind::logsumexp, 64, 128));
  EXPECT_FALSE(folds(RowKind::logsumexp, 64, 129));
  EXPECT_TRUE(folds(RowKind::threshold_sum, 64, 300));
  EXPECT_TRUE(folds(RowKind::score_list, 64, 128));
}

// A pair takes a score, <b, v>, and d or d + c columns of what each side sums: 6 products each, with whole registers.
TEST_P(AmxAttention, CostCountsEveryProduct) {
  const auto products = [this](Sides sides) {
    const Backend &backend = find_backend(name());
    return backend.cost({parse_pair("inner_exp:s=1"), RowKind::softmax_gradient, 0, Precision::fp32, 40, 60, {}}, sides)
        .products;
  };
  const double panels = 64 + 32;
  EXPECT_EQ(products(Sides::own), 6 * (panels + 48));
  EXPECT_EQ(products(Sides::visiting), 6 * (panels + 48 + 32));
  EXPECT_EQ(products(Sides::both), 6 * (panels + 2 * 48 + 32));
}

/// Queries and keys with all that a gradient reads; log-sum-exp and delta are those of their scores.
struct Gradients {
  static constexpr std::size_t queries = 70, keys = 65;
  static constexpr double s = 0.3;
  using Rounding = std::function<double(double)>;

  explicit Gradients(std::size_t features, std::size_t values)
      : d(features),
        c(values),
        q(random_points(queries, static_cast<int>(d), 71)),
        k(random_points(keys, static_cast<int>(d), 72)),
        b(random_numbers(queries * c, 73)),
        v(random_numbers(keys * c, 74)),
        numbers(2 * queries, 0.0) {
    for (std::size_t i = 0; i < queries; ++i) {
      double sum = 0;
      double mean = 0;
      for (std::size_t j = 0; j < keys; ++j) {
        const double e = std::exp(score(i, j, [](double x) { return x; }));
        sum += e;
        mean += e * product(i, j, [](double x) { return x; });
      }
      numbers[i] = std::log(sum);
      numbers[queries + i] = mean / sum;
    }
  }

  double score(std::size_t i, std::size_t j, const Rounding &round) const {
    double sum = 0;
    for (std::size_t n = 0; n < d; ++n) sum += round(q.row(i)[n] * std::sqrt(s)) * round(k.row(j)[n] * std::sqrt(s));
    return sum;
  }
  double product(std::size_t i, std::size_t j, const Rounding &round) const {
    double sum = 0;
    for (std::size_t n = 0; n < c; ++n) sum += round(b[n * queries + i]) * round(v[n * keys + j]);
    return sum;
  }
  /// Columns [x | values], (rows, d + c) column-major.
  std::vector<double> columns(const PointSet &points, const std::vector<double> &values) const {
    std::vector<double> all;
    for (std::size_t n = 0; n < d; ++n)
      for (std::size_t i = 0; i < points.count(); ++i) all.push_back(points.row(i)[n]);
    all.insert(all.end(), values.begin(), values.end());
    return all;
  }

  /// dQ, dK, dV, column-major, every operand of a product rounded, everything else in double.
  std::vector<std::vector<double>> sums(const Rounding &round) const {
    std::vector<double> d_q(queries * d, 0.0);
    std::vector<double> d_k(keys * d, 0.0);
    std::vector<double> d_v(keys * c, 0.0);
    for (std::size_t i = 0; i < queries; ++i)
      for (std::size_t j = 0; j < keys; ++j) {
        const double p = std::exp(score(i, j, round) - numbers[i]);
        const double ds = p * (product(i, j, round) - numbers[queries + i]);
        for (std::size_t n = 0; n < d; ++n) d_q[n * queries + i] += round(ds) * round(k.row(j)[n]);
        for (std::size_t n = 0; n < d; ++n) d_k[n * keys + j] += round(ds) * round(q.row(i)[n]);
        for (std::size_t n = 0; n < c; ++n) d_v[n * keys + j] += round(p) * round(b[n * queries + i]);
      }
    return {d_q, d_k, d_v};
  }

  /// The same by a backend.
  std::vector<std::vector<double>> sums(const Backend &backend, Precision precision) const {
    const TileShape shape{{PairKind::inner_exp, {s, 0}}, RowKind::softmax_gradient, 0, precision,
                          static_cast<int>(d),           static_cast<int>(d + c),   {}};
    TileArrays own(backend, shape, q, make_tile_list(0, {queries}));
    TileArrays visiting(backend, shape, k, make_tile_list(0, {keys}));
    own.set_columns(columns(q, b));
    visiting.set_columns(columns(k, v));
    own.set_pass_scalars(numbers, 2, 0);
    visiting.set_log_weights(std::vector<double>(keys, 0.0));
    evaluate(backend, shape, own, visiting, all_pairs(own, visiting, Sides::both, false));
    std::vector<double> d_q = own.finish();
    d_q.resize(queries * d);
    const std::vector<double> both = visiting.finish();
    const auto values = both.begin() + static_cast<std::ptrdiff_t>(keys * d);
    return {d_q, {both.begin(), values}, {values, both.end()}};
  }

  std::size_t d, c;
  PointSet q, k;
  std::vector<double> b, v, numbers;
};

// Plain are operands rounded to bf16, and for fp32 the vectors of simd.
TEST_P(AmxAttention, GradientsAreAtMostTwiceAsFarOffAsThePlainComputation) {
  const Gradients gradients(40, 24);
  const auto exact = gradients.sums([](double x) { return x; });
  const auto check = [&](Precision precision, const std::vector<std::vector<double>> &plain) {
    const char *of = precision == Precision::fp32 ? "fp32" : "reduced";
    const auto found = gradients.sums(find_backend(name()), precision);
    for (std::size_t n = 0; n < exact.size(); ++n) {
      double largest = 0;
      double largest_plain = 0;
      for (std::size_t i = 0; i < exact[n].size(); ++i) {
        largest = std::max(largest, std::abs(found[n][i] - exact[n][i]));
        largest_plain = std::max(largest_plain, std::abs(plain[n][i] - exact[n][i]));
      }
      EXPECT_LE(largest, 2 * largest_plain) << of << ", array " << n << " of dQ, dK, dV";
      if (std::getenv("FLASHRING_TEST_RATIOS") != nullptr)
        std::printf("%s, array %d of dQ, dK, dV: error %.2e, plain %.2e\n", of, static_cast<int>(n), largest,
                    largest_plain);
    }
  };
  check(Precision::reduced,
        gradients.sums([](double x) { return double{amx::from_bf16(amx::to_bf16(static_cast<float>(x)))}; }));
  check(Precision::fp32, gradients.sums(find_backend("simd"), Precision::fp32));
}

INSTANTIATE_TEST_SUITE_P(Unit, AmxAttention, amx_units, unit_name);

}  // namespace
}  // namespace flashring::test

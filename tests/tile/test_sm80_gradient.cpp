// The gradient of softmax attention on the tensor path of backend sm80 without a GPU, against its definition in long
// double, with bounds from the sums of magnitudes: pieces in both forms, one piece, sides, masks, ragged tiles, hidden
// keys, rows that see nothing, states that are added to, and the same bits in any order of threads.
// FLASHRING_TEST_RATIOS=1 prints the largest error in units of its bound.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include "sm80/cost.hpp"
#include "sm80/tensor_gradient.hpp"
#include "support/sm80_blocks.hpp"

namespace flashring::test {
namespace {

constexpr int T = sm80::tile_rows;
constexpr sm80::Variant variant = sm80::Variant::chosen;
constexpr double infinity = std::numeric_limits<double>::infinity();
using Order = CudaBlock::Order;

/// Rows of the tiles of a side, which are counted from `first`.
struct SideTiles {
  std::vector<int> counts;
  std::int64_t first = 0;
  std::vector<TileInfo> list() const { return make_tile_list(first, counts); }
  std::size_t rows() const { return total_rows(counts); }
};
const SideTiles own_tiles{{T, 33}};
const SideTiles visiting_tiles{{65, T, 1}};
const SideTiles late_tiles{{65, T, 1}, 20};

/// In reduced precision all numbers are bf16 and scores need no scale, so that nothing but p and ds is rounded to that:
/// a bound with the rounding of all numbers would be above the sums themselves.
struct GradientCase {
  GradientCase(Precision precision, int features, int values, const SideTiles &own_side, const SideTiles &visiting_side,
               bool causal = false)
      : own(own_side),
        visiting(visiting_side),
        shape{{PairKind::inner_exp, {precision == Precision::reduced ? std::log(2.0) : 0.9, 0}},
              RowKind::softmax_gradient,
              0,
              precision,
              features,
              features + values,
              {causal, false}},
        own_columns(numbers(own.rows(), 71)),
        visiting_columns(numbers(visiting.rows(), 72)),
        queries{features, rows_of(numbers(own.rows(), 73), own.rows())},
        keys{features, rows_of(numbers(visiting.rows(), 74), visiting.rows())},
        log_weights(random_numbers(visiting.rows(), 75)),
        delta(random_numbers(own.rows(), 76)) {
    for (std::size_t j = 3; j < log_weights.size(); j += 6) log_weights[j] = -infinity;
    for (std::vector<double> *values_of : {&log_weights, &delta})
      for (double &x : *values_of) x = static_cast<double>(static_cast<float>(x));
    for (std::size_t i = 0; i < own.rows(); ++i) log_sum_exp.push_back(static_cast<float>(log_sum(i)));
  }

  /// (rows, columns) column-major, as the precision holds them.
  std::vector<double> numbers(std::size_t rows, std::uint64_t seed) const {
    std::vector<double> values = random_numbers(rows * static_cast<std::size_t>(shape.columns), seed);
    for (double &x : values) {
      const auto single = static_cast<float>(x);
      x = static_cast<double>(exact() ? sm80::bf16_value(sm80::bf16_bits(single)) : single);
    }
    return values;
  }
  /// The first columns, row-major.
  std::vector<double> rows_of(const std::vector<double> &columns, std::size_t rows) const {
    std::vector<double> points;
    for (std::size_t i = 0; i < rows; ++i)
      for (int k = 0; k < shape.features; ++k) points.push_back(columns[static_cast<std::size_t>(k) * rows + i]);
    return points;
  }
  bool exact() const { return shape.precision == Precision::reduced; }

  /// The score of a pair and the sum of its magnitudes.
  struct Score {
    Real value, size;
  };
  Score score(std::size_t i, std::size_t j) const {
    const bool seen =
        visible(shape.mask, own.first + static_cast<std::int64_t>(i), visiting.first + static_cast<std::int64_t>(j));
    Score s{0, 0};
    for (int k = 0; k < shape.features; ++k) {
      const Real product = Real{shape.pair.parameters[0]} * queries.row(i)[k] * keys.row(j)[k];
      s.value += product;
      s.size += std::abs(product);
    }
    s.value += log_weights[j];
    if (!seen) s.value = -infinity;
    return s;
  }
  Real log_sum(std::size_t i) const {
    Real sum = 0;
    for (std::size_t j = 0; j < keys.count(); ++j) sum += std::exp(score(i, j).value);
    return std::log(sum);
  }

  TileArrays arrays(bool of_own, sm80::Variant path) const {
    TileArrays side(sm80_table(path), shape, of_own ? queries : keys, (of_own ? own : visiting).list());
    side.set_columns(of_own ? own_columns : visiting_columns);
    std::vector<double> scalars = log_sum_exp;
    scalars.insert(scalars.end(), delta.begin(), delta.end());
    if (of_own)
      side.set_pass_scalars(scalars, 2, 0);
    else
      side.set_log_weights(log_weights);
    return side;
  }

  SideTiles own, visiting;
  TileShape shape;
  std::vector<double> own_columns, visiting_columns;  // (rows, c) column-major: [a | b] and [a | v]
  PointSet queries, keys;
  std::vector<double> log_weights, delta, log_sum_exp;
};

struct GradientAnswers {
  Bounded own, visiting;
};

/// Adds value x with its error to answer (row, column). The unit cuts off 11u of a warp's sum at each of its four
/// products of large pieces, and 4u are for adding up small ones and the sums of warps.
void put(Bounded &to, std::size_t at, Real x, Real error) {
  to.value[at] += x;
  to.bound[at] += error + 48 * 0x1p-24L * std::abs(x);
}

/// With u = 2^-24 and X = sum_k |s a_k a'_k|: a score is off by (d + 16) u X (features 2u each, what six products leave
/// out 2u, cutting off 11u) and the roundings of logarithms, 2u each; <b, v> by (D_v + 16) u of its magnitudes. p and
/// ds are split into pieces: 2u of them, or 2^-8 with one piece, and columns likewise, 2u.
GradientAnswers expected(const GradientCase &c) {
  const std::size_t n = c.queries.count();
  const std::size_t m = c.keys.count();
  const auto width = static_cast<std::size_t>(c.shape.columns);
  const auto d = static_cast<std::size_t>(c.shape.features);
  GradientAnswers to{{std::vector<Real>(n * width), std::vector<Real>(n * width)},
                     {std::vector<Real>(m * width), std::vector<Real>(m * width)}};
  constexpr Real u = 0x1p-24L;
  const Real split = c.exact() ? 0x1p-8L : 4 * u;
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < m; ++j) {
      const GradientCase::Score x = c.score(i, j);
      if (x.value == -infinity) continue;
      const Real p = std::exp(x.value - Real{c.log_sum_exp[i]});
      const Real error = u * (static_cast<Real>(d + 16) * x.size + 2 * std::abs(x.value) +
                              4 * std::abs(c.log_sum_exp[i]) + 4 * std::abs(c.log_weights[j]) + 8);
      Real product = 0;
      Real size = 0;
      for (std::size_t k = d; k < width; ++k) {
        const Real term = Real{c.own_columns[k * n + i]} * c.visiting_columns[k * m + j];
        product += term;
        size += std::abs(term);
      }
      const Real ds = p * (product - c.delta[i]);
      const Real ds_error = std::abs(ds) * (error + 2 * u + split) + p * static_cast<Real>(width - d + 16) * u * size;
      for (std::size_t k = 0; k < width; ++k) {
        const Real a = c.own_columns[k * n + i];
        if (k < d)
          put(to.own, k * n + i, ds * c.visiting_columns[k * m + j],
              ds_error * std::abs(c.visiting_columns[k * m + j]));
        if (k < d) put(to.visiting, k * m + j, ds * a, ds_error * std::abs(a));
        if (k >= d) put(to.visiting, k * m + j, p * a, p * (error + split) * std::abs(a));
      }
    }
  return to;
}

struct Outcome {
  std::vector<double> own, visiting;
  std::vector<std::byte> own_state, visiting_state;
};

Outcome run(const GradientCase &c, Sides sides, const Emulation &how = {variant, {}, Order::shuffled}, int times = 1) {
  TileArrays own = c.arrays(true, how.variant);
  TileArrays visiting = c.arrays(false, how.variant);
  own.fill_state_padding(-7);
  for (int n = 0; n < times; ++n) emulate(make_call(c.shape, own, visiting, PairPattern::rectangle, sides), how);
  return {own.finish(), visiting.finish(), own.state().copy(), visiting.state().copy()};
}

void compare(const char *side, const std::vector<double> &found, const Bounded &bounded) {
  EXPECT_EQ(outside(found, bounded), "") << side;
  if (std::getenv("FLASHRING_TEST_RATIOS") != nullptr)
    std::printf("ratio %.3f %s\n", worst_ratio(found, bounded), side);
}

void check(const GradientCase &c, Sides sides) {
  SCOPED_TRACE("features " + std::to_string(c.shape.features) + " columns " + std::to_string(c.shape.columns) +
               (c.exact() ? " reduced" : " fp32") + " sides " + std::to_string(static_cast<int>(sides)));
  const GradientAnswers right = expected(c);
  const Outcome found = run(c, sides);
  const Bounded none{std::vector<Real>(right.own.value.size()), std::vector<Real>(right.own.value.size())};
  compare("own", found.own, has_own(sides) ? right.own : none);
  const Bounded nothing{std::vector<Real>(right.visiting.value.size()), std::vector<Real>(right.visiting.value.size())};
  compare("visiting", found.visiting, has_visiting(sides) ? right.visiting : nothing);
}

constexpr Precision tensor_precisions[] = {Precision::fp32, Precision::reduced};

/// Folded features and few values; more of both than a chunk and than are multiplied at once.
TEST(Sm80TensorGradient, AgreesWithItsDefinition) {
  for (const Precision precision : tensor_precisions) {
    check({precision, 9, 4, own_tiles, visiting_tiles}, Sides::both);
    check({precision, 40, 35, {{33}}, {{65}}}, Sides::both);
  }
}

/// In units of the same bound.
TEST(Sm80TensorGradient, ErrorsAreAtMostTwiceThoseOfPlainArithmetic) {
  const GradientCase c(Precision::fp32, 40, 35, {{33}}, {{65}});
  const GradientAnswers right = expected(c);
  const Outcome tensor = run(c, Sides::both);
  const Outcome plain = run(c, Sides::both, {sm80::Variant::plain, {}, Order::forward});
  EXPECT_LE(worst_ratio(tensor.own, right.own), 2 * worst_ratio(plain.own, right.own));
  EXPECT_LE(worst_ratio(tensor.visiting, right.visiting), 2 * worst_ratio(plain.visiting, right.visiting));
  if (std::getenv("FLASHRING_TEST_RATIOS") != nullptr)
    std::printf("tensor %.3f %.3f plain %.3f %.3f\n", worst_ratio(tensor.own, right.own),
                worst_ratio(tensor.visiting, right.visiting), worst_ratio(plain.own, right.own),
                worst_ratio(plain.visiting, right.visiting));
}

/// The first queries see no key.
TEST(Sm80TensorGradient, MasksAndSides) {
  const GradientCase causal(Precision::fp32, 9, 4, own_tiles, late_tiles, true);
  EXPECT_EQ(causal.log_sum_exp[19], -infinity);
  for (const Sides sides : all_sides) check(causal, sides);
}

TEST(Sm80TensorGradient, BitsDependOnTheArgumentsAlone) {
  const GradientCase c(Precision::fp32, 9, 4, own_tiles, visiting_tiles);
  const Outcome first = run(c, Sides::both, {variant, {}, Order::forward});
  for (const Order order : {Order::backward, Order::warps}) {
    const Outcome again = run(c, Sides::both, {variant, {}, order});
    EXPECT_EQ(again.own_state, first.own_state);
    EXPECT_EQ(again.visiting_state, first.visiting_state);
  }
}

TEST(Sm80TensorGradient, StatesAreAddedToAndPaddingStays) {
  const GradientCase c(Precision::reduced, 16, 5, {{33}}, {{65}});
  const Outcome once = run(c, Sides::both);
  const Outcome twice = run(c, Sides::both, {variant, {}, Order::forward}, 2);
  for (std::size_t n = 0; n < once.own.size(); ++n) EXPECT_EQ(twice.own[n], 2 * once.own[n]);
  for (std::size_t n = 0; n < once.visiting.size(); ++n) EXPECT_EQ(twice.visiting[n], 2 * once.visiting[n]);
  const auto *state = reinterpret_cast<const double *>(twice.own_state.data());
  for (int w = 0; w < c.shape.columns; ++w)
    for (int i = 33; i < T; ++i) ASSERT_EQ(state[w * T + i], -7) << w << " " << i;
}

TEST(Sm80TensorGradient, WhichCallsTakeTensorCores) {
  const auto takes = [](RowKind row, Precision precision, int features) {
    const TileShape shape{{PairKind::inner_exp, {1, 0}}, row, 0, precision, features, 2 * features, {}};
    return sm80::takes_pieces(variant, shape);
  };
  EXPECT_TRUE(takes(RowKind::softmax_gradient, Precision::fp32, 128));
  EXPECT_TRUE(takes(RowKind::softmax_gradient, Precision::reduced, 9));
  EXPECT_FALSE(takes(RowKind::softmax_gradient, Precision::fp32, 8));
  EXPECT_FALSE(takes(RowKind::softmax_gradient, Precision::fp64, 128));
  EXPECT_FALSE(takes(RowKind::threshold_gradient, Precision::fp32, 128)) << "its block is that of the other passes";
}

/// Scores, <b, v>, 64 columns of the own side and 128 of the visiting one, in six products or one.
TEST(Sm80TensorGradient, CostsFiveProducts) {
  TileShape shape{{PairKind::inner_exp, {1, 0}}, RowKind::softmax_gradient, 0, Precision::fp32, 64, 128, {}};
  EXPECT_EQ(sm80::cost(variant, shape, Sides::both).products, 6 * (64 + 64 + 64 + 128));
  EXPECT_EQ(sm80::cost(variant, shape, Sides::own).products, 6 * (64 + 64 + 64));
  shape.precision = Precision::reduced;
  EXPECT_EQ(sm80::cost(variant, shape, Sides::both).products, 64 + 64 + 64 + 128);
  EXPECT_EQ(sm80::cost(sm80::Variant::plain, shape, Sides::both).products, 0);
}

}  // namespace
}  // namespace flashring::test

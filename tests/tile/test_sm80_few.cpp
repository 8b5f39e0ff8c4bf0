// Backend sm80, the path for few features, on fibers: every pair function x row rule x 1 to 8 features x numbers of
// values x sides against the oracle (patterns, masks and bits: test_sm80.cpp), its exponential, and how pairs are
// shared between the special unit and the polynomial.
#include <gtest/gtest.h>

#include <cfloat>
#include <cmath>
#include <limits>
#include <set>

#include "sm80/few_features.hpp"
#include "support/sm80_blocks.hpp"

namespace flashring::test {
namespace {

class Sm80Few : public ::testing::TestWithParam<std::tuple<std::string, int>> {
 protected:
  /// With 3 features everything. Otherwise what other features make new code of: with one value the own side and both,
  /// whose shares of polynomials differ; of more values, for which features are padded to 4 or 8, all on both sides.
  static bool is_new(int d, int values, Sides sides) {
    if (d == 3) return true;
    if (values == 1) return sides != Sides::visiting;
    return values == sm80::max_few_values && sides == Sides::both && (d == 1 || d == 4 || d == 5 || d == 8);
  }
};

TEST_P(Sm80Few, AgreesWithTheOracle) {
  const auto &[name, d] = GetParam();
  const std::string text = spread_pair(name, d);
  // Ragged groups and warps without rows.
  const std::vector<int> own_counts = d == 3 ? std::vector{sm80::tile_rows, 33} : std::vector{70};
  const std::vector<int> visiting_counts = d == 3 ? std::vector{sm80::tile_rows, 13} : std::vector{45};
  for (const RowKind row : row_kinds) {
    const int ones = sm80::values_of(row, 0);
    const int most = sm80::max_few_values - ones;
    const Blocks blocks(text, make_shape(text, row, Precision::fp32, d, most), own_counts, visiting_counts);
    const Answers answers(blocks);
    for (const int values : {1, 2, 4})
      for (const Sides sides : all_sides)
        if (is_new(d, values, sides)) check_sides(blocks, values - ones, answers, sides, sm80::Variant::chosen);
  }
}

std::string param_name(const ::testing::TestParamInfo<std::tuple<std::string, int>> &param) {
  return std::get<0>(param.param) + "_d" + std::to_string(std::get<1>(param.param));
}

INSTANTIATE_TEST_SUITE_P(Every, Sm80Few,
                         ::testing::Combine(::testing::ValuesIn(all_pair_names()), ::testing::Range(1, 9)), param_name);

TEST(Sm80FewPath, ServesFewFeaturesAndValuesInFp32) {
  using sm80::Path;
  using sm80::Variant;
  const auto path = [](RowKind row, Precision precision, int d, int columns, Variant variant = Variant::chosen) {
    return sm80::chosen_path(variant, make_shape("gaussian:beta=1", row, precision, d, columns));
  };
  for (int d = 1; d <= 10; ++d)
    for (int columns = 0; columns <= 8; ++columns) {
      const bool sum = d <= 8 && columns >= 1 && columns <= 4;
      const bool mean = d <= 8 && columns <= 3;
      EXPECT_EQ(path(RowKind::sum, Precision::fp32, d, columns) == Path::few_features, sum);
      EXPECT_EQ(path(RowKind::sum, Precision::reduced, d, columns) == Path::few_features, sum);
      EXPECT_EQ(path(RowKind::logsumexp, Precision::fp32, d, columns) == Path::few_features, mean);
      EXPECT_EQ(path(RowKind::sum, Precision::fp64, d, columns), Path::plain);
      EXPECT_EQ(path(RowKind::sum, Precision::fp32, d, columns, Variant::plain), Path::plain);
    }
}

TEST(Sm80FewPath, PadsLittle) {
  for (int d = 1; d <= sm80::max_few_features; ++d)
    for (int values = 1; values <= sm80::max_few_values; ++values)
      sm80::with_padded_numbers(d, values, [&](auto padded_features, auto padded_values) {
        EXPECT_GE(padded_features.value, d);
        EXPECT_LE(padded_features.value, values == 1 ? d + (d > 4 ? 1 : 0) : std::max(4, 2 * d));
        EXPECT_GE(padded_values.value, values);
        EXPECT_EQ(padded_values.value == 1, values == 1);
        // 48 KB are given to a block without asking.
        EXPECT_LE((sm80::few_shared_bytes<RowKind::logsumexp, padded_features.value, padded_values.value>()),
                  std::size_t{48} << 10);
        // The 8 rows of a group lie in different sets of 4 banks, whoever reads which.
        std::set<int> banks;
        for (int row = 0; row < sm80::group_rows; ++row)
          banks.insert(row * sm80::row_quads<padded_features.value, padded_values.value> % 8);
        EXPECT_EQ(banks.size(), 8U);
      });
}

/// Largest relative error over numbers whose power is normal.
double worst_error(const std::vector<double> &numbers) {
  double worst = 0;
  for (const double number : numbers) {
    const auto x = static_cast<float>(number);
    const long double exact = std::exp2(static_cast<long double>(x));
    worst = std::max(worst, static_cast<double>(std::abs(sm80_exp2_polynomial(x) - exact) / exact));
  }
  return worst;
}

TEST(Sm80FewWords, PolynomialExp2) {
  // The polynomial's own error, and roundings where they weigh most, at f = -1/2 with the result 0.71. In units of
  // 2^-24: of the result 0.71, of its product 0.35 (fused on a device), of the step before 0.35, of that step's
  // coefficient 0.35, of everything before 0.14.
  constexpr double bound = 9.2e-8 + 1.9 * 0x1p-24;
  static_assert(bound < 0x1p-22, "what error() takes for the special unit covers the polynomial");
  std::vector<double> near;
  for (int n = -50000; n <= 50000; ++n) near.push_back(n * 1e-5);
  EXPECT_LT(worst_error(near), bound);
  std::vector<double> far = random_numbers(200000, 61);
  for (double &x : far) x = x * 126.9 + 0.9;
  EXPECT_LT(worst_error(far), bound);
  for (int n = -126; n <= 127; ++n) ASSERT_EQ(sm80_exp2_polynomial(static_cast<float>(n)), std::ldexp(1.0F, n)) << n;
}

TEST(Sm80FewWords, PolynomialExp2OutsideTheNormalNumbers) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (const float x : {-127.0F, -127.3F, -128.0F, -150.0F, -1e4F, -1e30F, -infinity})
    EXPECT_EQ(sm80_exp2_polynomial(x), 0) << x;
  for (const float x : {128.0F, 129.5F, 1e30F, infinity}) EXPECT_EQ(sm80_exp2_polynomial(x), infinity) << x;
  EXPECT_EQ(sm80_exp2_polynomial(std::nanf("")), infinity);
  float before = 0;
  for (int n = 0; n < 1000; ++n) {
    const float x = -127 + static_cast<float>(n) / 1000;
    EXPECT_GE(sm80_exp2_polynomial(x), 0) << x;
    EXPECT_LE(sm80_exp2_polynomial(x), FLT_MIN) << x;
    before = x;
  }
  EXPECT_LT(before, -126);
}

TEST(Sm80FewShare, IsThatOfTheSlotModel) {
  // Slots beside the exponential and shares as a model on paper has them, with 8 slots for a polynomial.
  constexpr std::pair<double, double> table[] = {{7, 0}, {9, 0}, {5, 0.13}, {6.6, 0.03}, {1, 0.40}, {2.6, 0.29}};
  for (const auto &[slots, share] : table) EXPECT_NEAR(sm80::polynomial_share(slots, 0, 8), share, 0.005) << slots;
  // Neither pipe waits: what is issued takes as long as the special unit.
  for (const double slots : {0.0, 3.0, 6.0})
    for (const double special : {0.0, 1.0}) {
      const double f = sm80::polynomial_share(slots, special, sm80::polynomial_slots);
      EXPECT_NEAR(slots + (1 - f) + f * sm80::polynomial_slots, 8 * (1 + special) - 8 * f, 1e-12);
    }
  EXPECT_EQ(sm80::polynomial_share(0, 9, 1), 1);
}

TEST(Sm80FewShare, CountsWhatFormulasAsk) {
  constexpr sm80::Slots gaussian = sm80::formula_slots<PairKind::gaussian>();
  constexpr sm80::Slots laplacian = sm80::formula_slots<PairKind::laplacian>();
  constexpr sm80::Slots matern52 = sm80::formula_slots<PairKind::matern52>();
  constexpr sm80::Slots inner = sm80::formula_slots<PairKind::inner_exp>();
  EXPECT_EQ(gaussian.issued, 0);
  EXPECT_EQ(laplacian.issued, 4);
  EXPECT_EQ(laplacian.special, 1);
  EXPECT_EQ(matern52.issued, 8);  // root; 1 + u; with q; times u; product
  EXPECT_EQ(inner.issued, 1);
}

TEST(Sm80FewShare, FallsWithFeaturesAndSides) {
  constexpr PairKind kind = PairKind::gaussian;
  EXPECT_EQ((sm80::polynomials_of<kind, 1, 1>(Sides::own)), 6);   // (7 - 3.75) / 18 of 32
  EXPECT_EQ((sm80::polynomials_of<kind, 2, 1>(Sides::own)), 2);   // (7 - 5.75) / 18
  EXPECT_EQ((sm80::polynomials_of<kind, 3, 1>(Sides::own)), 0);   // 7.75 slots keep the issue of instructions busy
  EXPECT_EQ((sm80::polynomials_of<kind, 1, 1>(Sides::both)), 3);  // (7 - 5.3125) / 18
  EXPECT_EQ((sm80::polynomials_of<kind, 2, 1>(Sides::both)), 0);
  EXPECT_GT((sm80::polynomials_of<PairKind::laplacian, 3, 1>(Sides::own)), 0);  // the root is the special unit's, too
}

}  // namespace
}  // namespace flashring::test

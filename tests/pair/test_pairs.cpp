// Pair functions as host code sees them: their list, the reader of "name:parameter=value", and the formulas.
#include <gtest/gtest.h>

#include <cmath>

#include "flashring/check.hpp"
#include "flashring/pair.hpp"
#include "support/oracle.hpp"

namespace flashring::test {
namespace {

/// The message of the Error that reading `text` throws; empty when it throws none.
std::string refusal(const std::string &text) {
  try {
    parse_pair(text);
  } catch (const Error &error) {
    return error.what();
  }
  return {};
}

void expect_says(const std::string &message, const std::vector<std::string> &parts) {
  EXPECT_FALSE(message.empty()) << "nothing was refused";
  for (const std::string &part : parts) EXPECT_NE(message.find(part), std::string::npos) << part << " in: " << message;
}

const char *const texts[] = {"gaussian:beta=0.7",
                             "laplacian:ell=1.3",
                             "matern32:ell=0.4",
                             "matern52:ell=2.5",
                             "rational_quadratic:ell=0.8,a=1.7",
                             "inner_exp:s=0.35",
                             "rational_quadratic:a=0.3,ell=1.5",
                             "self_tuned",
                             "variable_bandwidth:epsilon=0.6",
                             "local_mahalanobis:beta=1.4"};

TEST(Pairs, ListHoldsEveryFormula) {
  const std::vector<std::string_view> names = pair_names();
  EXPECT_EQ(names.size(), 9U);
  for (const char *text : texts) {
    const std::string name = oracle_pair(text).name;
    EXPECT_NE(std::find(names.begin(), names.end(), name), names.end()) << name;
    EXPECT_EQ(traits(parse_pair(text).kind).name, name);
  }
}

TEST(Pairs, TraitsSayWhatHostCodeNeeds) {
  for (const char *text : texts) {
    const PairTraits &t = traits(parse_pair(text).kind);
    EXPECT_EQ(t.products, 1);
    EXPECT_EQ(t.scalars, oracle_pair(text).lengths() ? 1 : 0);
    EXPECT_EQ(t.weights, 1);
    EXPECT_FALSE(std::string(t.formula).empty());
    EXPECT_EQ(std::string(t.unit).empty(), t.parameters.empty());
    const bool inner = std::string(t.name) == "inner_exp";
    EXPECT_EQ(t.invariance, inner ? Invariance::none : Invariance::translation);
    EXPECT_EQ(t.accumulate == Accumulate::inner, inner);
  }
  for (const PairKind kind : {PairKind::laplacian, PairKind::self_tuned, PairKind::variable_bandwidth})
    EXPECT_EQ(traits(kind).accumulate, Accumulate::difference) << traits(kind).name;
}

TEST(Pairs, SayWhetherEigenvaluesMayBeNegative) {
  for (const char *text : texts)
    EXPECT_EQ(is_positive_semidefinite(parse_pair(text)),
              !oracle_pair(text).lengths() && !oracle_pair(text).covariances())
        << text;
  EXPECT_FALSE(is_positive_semidefinite(parse_pair("inner_exp:s=-0.1")));
}

TEST(Pairs, LengthsAreTheTilesUnitAndNoPartOfTheFormula) {
  PairFunction pair = parse_pair("variable_bandwidth:epsilon=0.6");
  const double scale = feature_scale(pair);
  const double k = weight(pair, 0.3);
  pair.length_unit = 8;
  EXPECT_EQ(feature_scale(pair), scale / 8);
  EXPECT_EQ(weight(pair, 0.3), k);
  EXPECT_EQ(to_string(pair), "variable_bandwidth:epsilon=0.6");
  EXPECT_EQ(point_numbers(pair, 3), 4);
  EXPECT_EQ(point_numbers(parse_pair("gaussian"), 3), 3);
}

TEST(Pairs, CovariancesAreTheirInversesInTiles) {
  PairFunction pair = parse_pair("local_mahalanobis:beta=1.4");
  pair.length_unit = 8;
  EXPECT_EQ(point_scale(pair.kind), PointScale::covariance);
  EXPECT_EQ(point_numbers(pair, 3), 9);
  for (const int d : {1, 2, 5, most_covariance_features}) {
    const std::vector<double> x = random_numbers(static_cast<std::size_t>(d), 71);
    const std::vector<Real> exact = inverse_covariance_of(x.data(), d);
    std::vector<double> numbers(exact.size());
    scale_in_tile(pair, d, covariance_of(x.data(), d).data(), numbers.data());
    // Elimination of a matrix whose condition is 4 at most: some d 4u of its norm, which is that of the inverse here.
    const Real bound = 64 * 0x1p-53L * 16 * d * (1 / (length_of(x.data(), d) * length_of(x.data(), d)));
    for (int k = 0, at = 0; k < d; ++k)
      for (int l = 0; l <= k; ++l, ++at) {
        const auto n = static_cast<std::size_t>(at);
        EXPECT_NEAR(numbers[n], static_cast<double>(exact[n] * (k == l ? 32 : 64)), static_cast<double>(bound));
      }
  }
}

// q of two points as tiles have them is what backends sum: the form of both inverses.
TEST(Pairs, ArgumentsOfPointsInTiles) {
  const std::vector<double> x = {0.3, -0.4, 0.5, 0.1, 0.2, 0.9}, y = {-0.2, 0.6, 0.25, -0.3, 0.4, 0.7};
  EXPECT_DOUBLE_EQ(argument_of(parse_pair("gaussian:beta=1"), 2, x.data(), y.data()), 1.25);
  EXPECT_DOUBLE_EQ(argument_of(parse_pair("self_tuned"), 2, x.data(), y.data()), 1.25 * 0.125);
  // differences (0.5, -1), triangle sums (0.75; -0.2, 0.6) + the mirror entry once
  EXPECT_NEAR(argument_of(parse_pair("local_mahalanobis:beta=1"), 2, x.data(), y.data()),
              0.75 * 0.25 + (-0.2) * 0.5 * -1 + 0.6 * 1 + 0, 1e-15);
}

TEST(Pairs, ReadsNamesAndParameters) {
  EXPECT_EQ(parse_pair("gaussian:beta=0.7").parameters[0], 0.7);
  EXPECT_EQ(parse_pair("gaussian:beta=1e-3").parameters[0], 1e-3);
  const PairFunction rq = parse_pair("rational_quadratic:a=0.3,ell=1.5");
  const std::vector<const char *> names = traits(rq.kind).parameters;
  ASSERT_EQ(names.size(), 2U);
  for (std::size_t p = 0; p < 2; ++p) EXPECT_EQ(rq.parameters[p], std::string(names[p]) == "a" ? 0.3 : 1.5);
}

TEST(Pairs, ParametersLeftOutAreNanWhereTheyHaveNoDefault) {
  EXPECT_TRUE(std::isnan(parse_pair("gaussian").parameters[0]));
  EXPECT_TRUE(std::isnan(parse_pair("laplacian").parameters[0]));
  EXPECT_TRUE(std::isnan(parse_pair("inner_exp").parameters[0]));
}

TEST(Pairs, TextGoesThereAndBack) {
  for (const char *text : texts) {
    const PairFunction pair = parse_pair(text);
    const PairFunction again = parse_pair(to_string(pair));
    EXPECT_EQ(again.kind, pair.kind);
    EXPECT_EQ(again.parameters, pair.parameters) << to_string(pair);
  }
  const PairFunction awkward = parse_pair("matern32:ell=0.1000000000000000055511");
  EXPECT_EQ(parse_pair(to_string(awkward)).parameters, awkward.parameters);
}

TEST(Pairs, RefusalsSayWhatIsKnown) {
  expect_says(refusal("gausian"),
              {"gausian", "gaussian", "laplacian", "matern32", "matern52", "rational_quadratic", "inner_exp"});
  expect_says(refusal(""), {"gaussian"});
  expect_says(refusal("gaussian:ell=1"), {"gaussian", "ell", "beta"});
  expect_says(refusal("rational_quadratic:b=1"), {"rational_quadratic", "b", "ell", "a"});
  for (const char *value : {"-1", "0", "nan", "inf", "x", "1x"})
    expect_says(refusal(std::string("gaussian:beta=") + value), {"gaussian", "beta", value});
  for (const char *text : {"gaussian:beta", "gaussian:beta=", "gaussian:=1", "gaussian:beta=1,,"})
    expect_says(refusal(text), {"gaussian", "key=value"});
  expect_says(refusal("gaussian:beta=1,beta=2"), {"beta", "twice"});
  expect_says(refusal("self_tuned:sigma=1"), {"self_tuned", "sigma", "none"});
}

TEST(Pairs, WeightsAgreeWithTheOracle) {
  for (const char *text : texts) {
    const OraclePair oracle = oracle_pair(text);
    const PairFunction pair = parse_pair(text);
    for (const double q : {0.0, 1e-12, 1e-3, 0.1, 0.9, 2.0, 17.0, 130.0}) {
      // In doubles: the constants of q, the argument of exp2, exp2 and the last product are rounded, an ulp or two
      // each.
      const Real exact = oracle_log_weight(oracle, q);
      const Real error = 0x1p-53L * (6 + 6 * oracle_exponent(oracle, q));
      EXPECT_NEAR(static_cast<double>(log_weight(pair, q) - exact), 0, static_cast<double>(error)) << text << " " << q;
      EXPECT_NEAR(static_cast<double>(weight(pair, q) / std::exp(exact) - 1), 0, static_cast<double>(error))
          << text << " " << q;
    }
  }
}

TEST(Pairs, BoundHoldsOnRandomRanges) {
  const std::vector<double> numbers = random_numbers(3000, 3);
  for (const char *text : texts) {
    const PairFunction pair = parse_pair(text);
    const bool inner = traits(pair.kind).accumulate == Accumulate::inner;
    for (std::size_t n = 0; n + 2 < numbers.size(); n += 3) {
      const auto q = [&](std::size_t k) { return inner ? 5 * numbers[k] : 5 + 5 * numbers[k]; };
      const double lowest = std::min(q(n), q(n + 1));
      const double highest = std::max(q(n), q(n + 1));
      const double between = lowest + (highest - lowest) * 0.5 * (1 + numbers[n + 2]);
      const double bound = log_weight_bound(pair, lowest, highest);
      const double slack = 1e-15 * (1 + std::abs(bound));
      EXPECT_GE(bound + slack, log_weight(pair, between)) << text;
      EXPECT_NEAR(bound, std::max(log_weight(pair, lowest), log_weight(pair, highest)), slack)
          << text << ": not the largest";
    }
  }
}

TEST(Pairs, FeatureScaleIsPositive) {
  for (const char *text : texts) EXPECT_GT(feature_scale(parse_pair(text)), 0) << text;
  EXPECT_GT(feature_scale(parse_pair("inner_exp:s=-2")), 0);
  EXPECT_NEAR(weight(parse_pair("inner_exp:s=-2"), 0.5), std::exp(-1.0), 1e-15);
}

}  // namespace
}  // namespace flashring::test

// A learned parameter: AlphaMap.
#include "flashring/threshold.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include "flashring/check.hpp"
#include "support/error_of.hpp"
#include "support/threshold_rows.hpp"

namespace flashring::test {
namespace {

/// b = 1: w/c is 1/2, tanh 1 = (e^2 - 1)/(e^2 + 1) and 1 - 1/e.
TEST(AlphaMap, EveryKindIsItsFormula) {
  const double e = std::numbers::e;
  const std::pair<const char *, double> kinds[] = {
      {"hill", 0.5}, {"tanh", (e * e - 1) / (e * e + 1)}, {"exp", 1 - 1 / e}};
  for (const auto &[kind, share] : kinds)
    EXPECT_NEAR(AlphaMap(kind, 0.8, 3).complement(std::log(3)), 0.8 * share, 4 * epsilon) << kind;
}

TEST(AlphaMap, InverseDerivativeAndAccuracyNearOne) {
  for (const char *kind : {"hill", "tanh", "exp"}) {
    const AlphaMap map(kind, 0.8, 3);
    for (const double log_beta : {-20.0, -2.0, 0.0, 1.0, 2.0}) {
      const double alpha = map.value(log_beta);
      EXPECT_GT(alpha, 0.2);
      // alpha = 1 - w keeps epsilon / w of w
      EXPECT_NEAR(map.inverse(alpha), log_beta, 8 * epsilon * (1 / (1 - alpha) + 1 / (alpha - 0.2))) << kind;
      const double change = slope([&](double h) { return map.value(log_beta + h); });
      EXPECT_NEAR(map.derivative(log_beta), change, 1e-10) << kind;
    }
    // w = c b for small b, with b = exp(log_beta)/beta0
    const double b = std::exp(-200.0) / 3;
    EXPECT_NEAR(map.complement(-200) / (0.8 * b), 1, 8 * epsilon) << kind;
    EXPECT_NEAR(map.derivative(-200) / (-0.8 * b), 1, 1000 * epsilon) << kind;  // exp of a difference of 200
    EXPECT_EQ(map.complement(-2000), 0) << kind;
    EXPECT_EQ(map.derivative(-2000), 0) << kind;
    EXPECT_EQ(map.complement(2000), 0.8) << kind;
    EXPECT_EQ(map.derivative(2000), 0) << kind;
    EXPECT_NE(error_of([&] { static_cast<void>(map.inverse(0.1)); }).find("must be in"), std::string::npos);
  }
  EXPECT_NE(error_of([] { AlphaMap("linear"); }).find("hill"), std::string::npos);
  EXPECT_NE(error_of([] { AlphaMap("hill", 1); }).find("(0, 1)"), std::string::npos);
  EXPECT_NE(error_of([] { AlphaMap("hill", 0.5, 0); }).find("beta0"), std::string::npos);
}

}  // namespace
}  // namespace flashring::test

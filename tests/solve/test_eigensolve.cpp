// Solvers against exact spectra: they agree with each other, see multiplicities where they can, honour SLEPc's options.
#include <gtest/gtest.h>

#include <cmath>

#include "flashring/diffusion_map.hpp"
#include "support/error_of.hpp"
#include "support/operator_mat.hpp"
#include "support/petsc.hpp"

namespace flashring::test {
namespace {

const bool started = start_petsc();

struct Problem : OperatorMat {
  Problem(const std::string &set, const std::string &pair, const std::string &precision = "fp64")
      : OperatorMat({{"pair", pair}, {"precision", precision}, {"form", "symmetric"}}, set) {}

  EigenPairs solve(int pairs, double tolerance = 1e-8) const {
    EigenRequest request;
    request.pairs = pairs;
    request.tolerance = tolerance;
    return eigensolve(A, request);
  }
};

/// Eigenvalues of the N-gon, one per mode m = 0 .. N/2 (E1).
std::vector<double> circle_modes(int n, double beta) {
  std::vector<double> modes(static_cast<std::size_t>(n / 2 + 1), 0.0);
  for (std::size_t m = 0; m < modes.size(); ++m)
    for (int j = 0; j < n; ++j)
      modes[m] += std::exp(-4 * beta * std::pow(std::sin(M_PI * j / n), 2)) *
                  std::cos(2 * M_PI * static_cast<double>(m) * j / n);
  for (std::size_t m = modes.size(); m-- > 0;) modes[m] /= modes[0];
  return modes;
}

/// Every value must be one of the exact ones.
void expect_among(const std::vector<double> &values, const std::vector<double> &exact, double tolerance) {
  for (const double value : values) {
    double nearest = 1;
    for (const double e : exact) nearest = std::min(nearest, std::abs(value - e));
    EXPECT_LT(nearest, tolerance) << value;
  }
}

TEST(Eigensolve, CircleDistinctEigenvalues) {
  const Problem problem("circle:n=301", "gaussian:beta=8");
  const std::vector<double> exact = circle_modes(301, 8);
  const EigenPairs found = problem.solve(9);
  ASSERT_TRUE(found.complete) << found.status;
  EXPECT_NEAR(found.values[0], 1, 1e-12);
  EXPECT_NEAR(found.values[1], exact[1], 1e-12);
  expect_among(found.values, exact, 1e-12);
}

TEST(Eigensolve, HypercubeMultiplicitiesBySubspaceIteration) {
  const ScopedOptions options({{"-eps_type", "subspace"}, {"-eps_ncv", "40"}, {"-eps_max_it", "2000"}});
  const Problem problem("hypercube:d=7", "gaussian:beta=1");
  const double t = std::tanh(0.5);
  const EigenPairs found = problem.solve(29);  // 1 + 7 + 21: all of the first three levels
  ASSERT_TRUE(found.complete) << found.status;
  for (int k = 0; k < 29; ++k)
    EXPECT_NEAR(found.values[static_cast<std::size_t>(k)], k == 0 ? 1 : k < 8 ? t : t * t, 1e-12) << k;
}

/// Simple spectrum: random clusters. Reference blockkrylovschur, the others to the residual's square over the gap.
TEST(Eigensolve, SolversAgree) {
  const Problem problem("clusters:n=211,d=3,k=4,spread=0.3", "gaussian:beta=2");
  const auto solve = [&](const char *type) {
    const ScopedOptions options({{"-eps_type", type}, {"-eps_max_it", "5000"}, {"-eps_ncv", "20"}});
    return problem.solve(6, 1e-10);
  };
  const EigenPairs reference = problem.solve(6, 1e-10);
  ASSERT_TRUE(reference.complete);
  EXPECT_EQ(reference.solver, "blockkrylovschur");
  for (const char *type : {"krylovschur", "lobpcg", "subspace", "arnoldi"}) {
    const EigenPairs found = solve(type);
    ASSERT_TRUE(found.complete) << type << ": " << found.status;
    EXPECT_EQ(found.solver, type);
    for (std::size_t k = 0; k < 6; ++k) EXPECT_NEAR(found.values[k], reference.values[k], 1e-12) << type << " " << k;
  }
}

TEST(Eigensolve, SpectralShiftChangesNothing) {
  const Problem problem("clusters:n=150,d=3,k=4,spread=0.3", "gaussian:beta=2");
  const EigenPairs reference = problem.solve(5);
  for (const char *type : {"krylovschur", "subspace"}) {
    const ScopedOptions options({{"-eps_type", type}, {"-st_shift", "0.1"}, {"-eps_max_it", "2000"}});
    const EigenPairs found = problem.solve(5);
    ASSERT_TRUE(found.complete) << type;
    for (std::size_t k = 0; k < 5; ++k) EXPECT_NEAR(found.values[k], reference.values[k], 1e-11) << type << " " << k;
  }
}

TEST(Eigensolve, NotConvergedIsSaidAndNothingInvented) {
  const ScopedOptions options({{"-eps_type", "krylovschur"}, {"-eps_max_it", "1"}, {"-eps_ncv", "8"}});
  const Problem problem("clusters:n=300,d=3,k=5,spread=0.2", "gaussian:beta=20");
  const EigenPairs found = problem.solve(6);
  EXPECT_FALSE(found.complete);
  EXPECT_LT(found.values.size(), 6U);
  EXPECT_NE(found.status.find("-eps_max_it"), std::string::npos) << found.status;
  const std::vector<double> r = residuals(*problem.op, found.values, found.vectors);
  for (const double residual : r) EXPECT_LT(residual, 1e-7);
}

TEST(Eigensolve, TooManyPairsIsAnError) {
  const Problem problem("circle:n=7", "gaussian:beta=1");
  const std::string error = error_of([&] { problem.solve(8); });
  EXPECT_NE(error.find("-nev 8 is outside [1, 7]"), std::string::npos) << error;
}

TEST(Eigensolve, AllPairsOfATinyProblem) {
  const Problem problem("circle:n=5", "gaussian:beta=1");
  const ScopedOptions options({{"-eps_type", "subspace"}});
  const EigenPairs found = problem.solve(5);
  const std::vector<double> exact = circle_modes(5, 1);
  ASSERT_TRUE(found.complete) << found.status;
  const std::size_t mode[] = {0, 1, 1, 2, 2};
  for (std::size_t k = 0; k < 5; ++k) EXPECT_NEAR(found.values[k], exact[mode[k]], 1e-12);
}

/// fp32 products: the residual, measured in fp64, stays near fp32's rounding of a sum of positive terms.
TEST(Eigensolve, SinglePrecisionResiduals) {
  const Problem problem("clusters:n=400,d=3,k=4,spread=0.3", "gaussian:beta=2", "fp32");
  const EigenPairs found = problem.solve(5, 1e-6);
  ASSERT_TRUE(found.complete);
  // Entries of M are good to about 1e-6 (exponent rounding: ln k up to 10 ulp), so is |M~ - M|; the solver adds 1e-6.
  for (const double r : residuals(*problem.op, found.values, found.vectors)) EXPECT_LT(r, 3e-6);
}

}  // namespace
}  // namespace flashring::test

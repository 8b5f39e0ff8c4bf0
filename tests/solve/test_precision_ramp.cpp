// Passes in lower precisions: answers are as good as without, and most passes are cheaper.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "flashring/diffusion_map.hpp"
#include "support/block_solver.hpp"
#include "support/operator_mat.hpp"
#include "support/petsc.hpp"

namespace flashring::test {
namespace {

const bool started = start_petsc();

const std::string set = "swiss_roll:n=40,m=20";  // 800 points

struct Problem : OperatorMat {
  Problem(const std::string &ramp, const std::string &pair, const char *form = "symmetric")
      : OperatorMat({{"ramp", ramp}, {"pair", pair}, {"form", form}, {"alpha", "1"}}, set) {}
  /// This rank's rows of points of one feature.
  Problem(const std::string &ramp, const char *alpha, const RowPartition &partition, std::vector<double> mine)
      : OperatorMat(options_of({{"ramp", ramp}, {"pair", "gaussian:beta=1"}, {"form", "symmetric"}, {"alpha", alpha}}),
                    {partition, world().rank(), 1, std::move(mine)}) {}

  EigenPairs solve(int pairs, const char *block, double tolerance) const {
    const ScopedOptions scoped({{"-eps_type", "blockkrylovschur"}, {"-eps_blockkrylovschur_blocksize", block}});
    EigenRequest request;
    request.pairs = pairs;
    request.tolerance = tolerance;
    return eigensolve(A, request);
  }
  std::int64_t passes(Precision precision) const {
    return op->counters().passes_in[static_cast<std::size_t>(precision)];
  }
};

/// Largest relative residual, measured in fp64.
double worst(const Problem &problem, const EigenPairs &found) {
  const std::vector<double> measured = residuals(*problem.op, found.values, found.vectors);
  double largest = 0;
  for (std::size_t k = 0; k < measured.size(); ++k)
    largest = std::max(largest, measured[k] / std::abs(found.values[k]));
  return largest;
}

struct Case {
  const char *ramp;
  const char *pair;
  const char *block;
  double tolerance;
};

class Ramp : public ::testing::TestWithParam<Case> {};

TEST_P(Ramp, AnswersAreThoseOfTheWorkingPrecision) {
  const Case &c = GetParam();
  const Problem all("none", c.pair);
  const Problem ramped(c.ramp, c.pair);
  const EigenPairs expected = all.solve(6, c.block, c.tolerance);
  const EigenPairs found = ramped.solve(6, c.block, c.tolerance);
  ASSERT_TRUE(expected.complete);
  ASSERT_TRUE(found.complete);
  EXPECT_EQ(ramped.op->precision(), Precision::fp64);
  EXPECT_LT(worst(ramped, found), 1.5 * c.tolerance);  // estimates of residuals are good to some per cent
  // An eigenvalue is within the residual of its vector.
  for (std::size_t k = 0; k < found.values.size(); ++k)
    EXPECT_NEAR(found.values[k], expected.values[k], 2 * c.tolerance) << k;
  EXPECT_EQ(all.passes(Precision::fp32) + all.passes(Precision::reduced), 0);
  // The noise takes a pass in each precision.
  EXPECT_GT(ramped.passes(Precision::fp32) + ramped.passes(Precision::reduced), 3);
  EXPECT_LT(ramped.passes(Precision::fp64), all.passes(Precision::fp64));
}

INSTANTIATE_TEST_SUITE_P(
    Every, Ramp,
    ::testing::Values(Case{"fp32", "gaussian:beta=0.1", "2", 1e-6}, Case{"fp32", "gaussian:beta=0.1", "8", 1e-8},
                      Case{"reduced", "gaussian:beta=0.02", "4", 1e-6}, Case{"reduced", "matern32:ell=3", "8", 1e-9},
                      Case{"scout", "gaussian:beta=0.1", "8", 1e-8}, Case{"scout", "gaussian:beta=0.02", "16", 1e-10},
                      Case{"auto", "gaussian:beta=0.1", "8", 1e-6}),
    [](const auto &given) { return std::string(given.param.ramp) + "_" + std::to_string(given.index); });

TEST(PrecisionRamp, FirstApproximationNeedsHardlyAPassInFp64) {
  const Problem problem("scout", "gaussian:beta=0.02");
  const EigenPairs found = problem.solve(6, "16", 1e-8);
  ASSERT_TRUE(found.complete);
  EXPECT_LT(worst(problem, found), 1.5e-8);
  EXPECT_LE(problem.passes(Precision::fp64), 2 + 2 + residual_passes(6));  // set-up, the exact product and one more
}

TEST(PrecisionRamp, MorePairsThanABlockHasColumns) {
  const Problem problem("reduced", "gaussian:beta=0.1");
  const EigenPairs found = problem.solve(30, "4", 1e-7);
  ASSERT_TRUE(found.complete);
  EXPECT_LT(worst(problem, found), 1.5e-7);
}

TEST(PrecisionRamp, MatricesThatAreNotSymmetric) {
  const Problem problem("reduced", "gaussian:beta=0.1", "markov");
  const Problem exact("none", "gaussian:beta=0.1");
  const BlockSolver solver(share(problem.A), 6, 8, EPS_NHEP);
  check_petsc(EPSSetTolerances(solver.eps, 1e-8, PETSC_DEFAULT), "tolerances");
  const std::vector<double> found = solver.solve(1.5e-8);
  EXPECT_GT(problem.passes(Precision::fp32) + problem.passes(Precision::reduced), 3);
  const EigenPairs expected = exact.solve(6, "8", 1e-10);
  ASSERT_GE(found.size(), 6U);
  for (std::size_t k = 0; k < 6; ++k) EXPECT_NEAR(found[k], expected.values[k], 1e-8) << k;
}

TEST(PrecisionRamp, NoiseIsMeasuredForEveryForm) {
  for (const char *form : {"kernel", "symmetric", "markov"}) {
    const Problem problem("auto", "gaussian:beta=0.1", form);
    EXPECT_EQ(problem.op->noise(Precision::fp64), 0);
    const double single = problem.op->noise(Precision::fp32);
    EXPECT_GT(single, 1e-9);
    EXPECT_LT(single, 1e-6);
    EXPECT_LT(problem.op->noise(Precision::reduced), 1e-3);
    const std::int64_t passes = problem.op->counters().passes;
    EXPECT_EQ(problem.op->noise(Precision::fp32), single);
    EXPECT_EQ(problem.op->counters().passes, passes);  // known by now
  }
}

/// The noise of vectors with small products is known from the start vectors, so that no product is in fp64 where a
/// tolerance is loose.
TEST(PrecisionRamp, GoodStartsNeedNoProductInFp64) {
  const OperatorMat problem(
      {{"ramp", "fp32"}, {"pair", "gaussian:beta=0.0078125"}, {"form", "symmetric"}, {"alpha", "1"}},
      "random_swiss_roll:n=2000");
  DiffusionMapRequest request;
  request.eigen.pairs = 6;
  request.eigen.tolerance = 2e-6;
  const ScopedOptions scoped({{"-eps_blockkrylovschur_blocksize", "8"}});
  const DiffusionMap map = diffusion_map(problem.A, *problem.op, request);
  ASSERT_TRUE(map.complete) << map.status;
  const auto &passes = problem.op->counters().passes_in;
  EXPECT_GT(passes[static_cast<std::size_t>(Precision::fp32)], 2);
  // Set-up and residuals.
  EXPECT_EQ(passes[static_cast<std::size_t>(Precision::fp64)], 2 + residual_passes(6));
  for (std::size_t k = 0; k < 6; ++k) EXPECT_LT(map.results.residuals[k], 3e-6 * map.results.eigenvalues[k]) << k;
}

TEST(PrecisionRamp, LeavesOutWhatSinglePrecisionCannotHold) {
  const RowPartition partition = RowPartition::contiguous(50, world().size());
  std::vector<double> mine(static_cast<std::size_t>(partition.local_rows(world().rank())));
  for (std::size_t i = 0; i < mine.size(); ++i)
    mine[i] = 1e20 * static_cast<double>(
                         partition.global_row(world().rank(), LocalRow{static_cast<std::int64_t>(i)}).value % 2) +
              static_cast<double>(i);
  const Problem problem("auto", "1", partition, mine);
  EXPECT_EQ(problem.op->noise(Precision::fp32), HUGE_VAL);
  EXPECT_TRUE(problem.solve(3, "4", 1e-8).complete);
  EXPECT_EQ(problem.passes(Precision::fp32), 0);
}

TEST(PrecisionRamp, GivenPrecisionsGiveTheSameBitsAgain) {
  std::vector<double> first;
  for (int run = 0; run < 2; ++run) {
    const Problem problem("reduced", "gaussian:beta=0.1");
    const EigenPairs found = problem.solve(5, "8", 1e-8);
    if (run == 0) first = found.vectors;
    EXPECT_EQ(first, found.vectors);
  }
}

// Half of the points are one heavy point, whose weights are exact in any precision: the noise of the whole tells
// nothing of the others, which the eigenvectors are made of.
TEST(PrecisionRamp, GoesOnWithoutWhereTheNoiseToldTooLittle) {
  const RowPartition partition = RowPartition::contiguous(600, world().size());
  std::vector<double> mine;
  std::vector<double> measure;
  for (std::int64_t i = 0; i < partition.local_rows(world().rank()); ++i) {
    const std::int64_t row = partition.global_row(world().rank(), LocalRow{i}).value;
    const bool heavy = row % 2 == 0;
    mine.push_back(heavy ? 0 : 60 + 15 * std::sin(12.9898 * static_cast<double>(row)));
    measure.push_back(heavy ? 0x1p26 : 1);  // sums of it are exact, too
  }
  for (const char *ramp : {"fp32", "none"}) {
    const Problem problem(ramp, "0", partition, mine);
    problem.op->update_measure(measure);
    DiffusionMapRequest request;
    request.eigen.pairs = 6;
    request.eigen.tolerance = 1e-9;
    const ScopedOptions scoped({{"-eps_type", "blockkrylovschur"}, {"-eps_blockkrylovschur_blocksize", "8"}});
    const DiffusionMap map = diffusion_map(problem.A, *problem.op, request);
    EXPECT_TRUE(map.complete);
    for (const double residual : map.results.residuals) EXPECT_LT(residual, 2e-9);
    const auto told = [](const std::string &text) { return text.rfind("precision: ", 0) == 0; };
    const std::vector<std::string> &found = map.results.diagnoses;
    EXPECT_EQ(std::any_of(found.begin(), found.end(), told), std::string(ramp) == "fp32");
  }
}

}  // namespace
}  // namespace flashring::test

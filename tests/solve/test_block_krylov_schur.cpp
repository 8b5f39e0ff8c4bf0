// The block solver: exact spectra with multiplicities, every setting that users of SLEPc know, and steps that are
// passes.
#include <gtest/gtest.h>
#include <slepceps.h>

#include <cmath>

#include "support/block_solver.hpp"
#include "support/error_of.hpp"
#include "support/matrices.hpp"
#include "support/operator_mat.hpp"
#include "support/petsc.hpp"

namespace flashring::test {
namespace {

const bool started = start_petsc();

double laplacian_value(int n, int k) { return 2 - 2 * std::cos(M_PI * k / (n + 1)); }

class Blocks : public ::testing::TestWithParam<int> {};

TEST_P(Blocks, ExactValuesOfALine) {
  const BlockSolver solver(laplacian(60), 6, GetParam());
  const std::vector<double> found = solver.solve();
  ASSERT_GE(found.size(), 6U);
  for (int k = 0; k < 6; ++k) EXPECT_NEAR(found[static_cast<std::size_t>(k)], laplacian_value(60, 60 - k), 1e-9) << k;
  EXPECT_EQ(solver.reason(), EPS_CONVERGED_TOL);
}

TEST_P(Blocks, SmallestAndNearATarget) {
  {
    const ScopedOptions options({{"-eps_smallest_real", nullptr}, {"-eps_max_it", "5000"}});
    const std::vector<double> found = BlockSolver(laplacian(40), 4, GetParam()).solve();
    ASSERT_GE(found.size(), 4U);
    for (int k = 0; k < 4; ++k) EXPECT_NEAR(found[static_cast<std::size_t>(k)], laplacian_value(40, k + 1), 1e-9) << k;
  }
  const ScopedOptions options({{"-eps_target", "5.2"}, {"-eps_target_magnitude", nullptr}});
  const std::vector<double> found = BlockSolver(diagonal({1, 2, 3, 4, 5, 6, 7, 8, 9, 10}), 3, GetParam()).solve();
  ASSERT_GE(found.size(), 3U);
  for (const double value : {5.0, 6.0, 4.0})
    EXPECT_LT(std::abs(found[value == 5 ? 0 : value == 6 ? 1 : 2] - value), 1e-9) << value;
}

TEST_P(Blocks, ShiftsAndLocksAndRestarts) {
  const ScopedOptions options({{"-st_shift", "0.3"}, {"-eps_ncv", "80"}, {"-eps_mpd", "45"}, {"-eps_max_it", "4000"}});
  const int n = 150;
  const std::vector<double> found = BlockSolver(laplacian(n), 20, GetParam()).solve();
  ASSERT_GE(found.size(), 20U);
  for (int k = 0; k < 20; ++k) EXPECT_NEAR(found[static_cast<std::size_t>(k)], laplacian_value(n, n - k), 1e-8) << k;
}

TEST_P(Blocks, AllPairsOfAMatrixSmallerThanABlock) {
  const std::vector<double> found = BlockSolver(diagonal({3, 1, 2}), 3, GetParam()).solve();
  ASSERT_EQ(found.size(), 3U);
  for (int k = 0; k < 3; ++k) EXPECT_NEAR(found[static_cast<std::size_t>(k)], 3 - k, 1e-12);
}

// Three values that are not zero: every block has no direction of its own after two steps.
TEST_P(Blocks, RankOfThree) {
  std::vector<double> values(50, 0.0);
  values[7] = 4;
  values[20] = 3;
  values[41] = 2;
  const std::vector<double> found = BlockSolver(diagonal(values), 5, GetParam()).solve();
  ASSERT_GE(found.size(), 5U);
  for (int k = 0; k < 5; ++k) EXPECT_NEAR(found[static_cast<std::size_t>(k)], k < 3 ? 4 - k : 0, 1e-9) << k;
}

TEST_P(Blocks, ZeroMatrixAndIdentity) {
  for (const double value : {0.0, 1.0}) {
    const std::vector<double> found = BlockSolver(diagonal(std::vector<double>(30, value)), 2, GetParam()).solve();
    ASSERT_GE(found.size(), 2U) << value;
    EXPECT_NEAR(found[0], value, 1e-12);
    EXPECT_NEAR(found[1], value, 1e-12);
  }
}

// Values b + 2 sqrt(a c) cos(pi k / (n + 1)), vectors that are not orthogonal.
TEST_P(Blocks, RealValuesOfAMatrixThatIsNotSymmetric) {
  const int n = 60;
  const BlockSolver solver(tridiagonal(n, -1.1, 2, -0.9), 5, GetParam(), EPS_NHEP);
  const std::vector<double> found = solver.solve();
  ASSERT_GE(found.size(), 5U);
  for (int k = 0; k < 5; ++k)
    EXPECT_NEAR(found[static_cast<std::size_t>(k)], 2 + 2 * std::sqrt(0.99) * std::cos(M_PI * (k + 1) / (n + 1)), 1e-8)
        << k;
}

TEST_P(Blocks, ConjugateValues) {
  const BlockSolver solver(rotations(40, 0.4), 5, GetParam(), EPS_NHEP);
  check_petsc(EPSSetWhichEigenpairs(solver.eps, EPS_LARGEST_MAGNITUDE), "which");
  const std::size_t found = solver.solve().size();
  ASSERT_GE(found, 6U);
  EXPECT_EQ(found % 2, 0U) << "a pair was cut";
  for (PetscInt k = 0; k < 6; ++k) {
    PetscScalar re = 0;
    PetscScalar im = 0;
    check_petsc(EPSGetEigenvalue(solver.eps, k, &re, &im), "value");
    const double r = std::pow(0.9, static_cast<double>(k / 2));
    EXPECT_NEAR(re, r * std::cos(0.4), 1e-8) << k;
    EXPECT_NEAR(im, (k % 2 == 0 ? r : -r) * std::sin(0.4), 1e-8) << k;
  }
}

INSTANTIATE_TEST_SUITE_P(Every, Blocks, ::testing::Values(1, 2, 5, 16), ::testing::PrintToStringParamName());

struct Problem : OperatorMat {
  Problem(const std::string &set, const std::string &pair, const char *form = "symmetric")
      : OperatorMat({{"pair", pair}, {"form", form}, {"ramp", "none"}}, set) {}
};

/// Levels tanh(beta/2)^l of multiplicity binomial(7, l) (docs/mathematics.md, E3).
TEST(BlockKrylovSchur, EigenvaluesAsOftenAsTheyOccur) {
  const Problem problem("hypercube:d=7", "gaussian:beta=1");
  const BlockSolver solver(share(problem.A), 29, 22);  // 1 + 7 + 21
  const std::vector<double> found = solver.solve();
  ASSERT_GE(found.size(), 29U);
  const double t = std::tanh(0.5);
  for (int k = 0; k < 29; ++k)
    EXPECT_NEAR(found[static_cast<std::size_t>(k)], k == 0 ? 1 : k < 8 ? t : t * t, 1e-12) << k;
  const Counters &counters = problem.op->counters();
  EXPECT_EQ(counters.passes - static_cast<std::int64_t>(found.size()), solver.steps() + 2);  // set-up: 2 passes
}

TEST(BlockKrylovSchur, BlockOfAKernelMatrixIsChosenByCost) {
  const Problem problem("circle:n=500", "gaussian:beta=1");
  const BlockSolver solver(share(problem.A), 3, 0);
  solver.solve();
  const auto block = static_cast<double>(solver.block());
  EXPECT_GE(block, 1);
  EXPECT_LE(block, 64);
  EXPECT_EQ(world().max(block), world().min(block));
}

/// The form markov has the values of the symmetric one (docs/mathematics.md), and is marked as what it is.
TEST(BlockKrylovSchur, MarkovFormHasTheSameValues) {
  std::vector<double> values[2];
  for (const bool markov : {false, true}) {
    const Problem problem("clusters:n=211,d=3,k=4,spread=0.3", "gaussian:beta=2", markov ? "markov" : "symmetric");
    values[markov ? 1 : 0] = BlockSolver(share(problem.A), 6, 4, markov ? EPS_NHEP : EPS_HEP).solve();
  }
  ASSERT_GE(values[0].size(), 6U);
  ASSERT_GE(values[1].size(), 6U);
  for (std::size_t k = 0; k < 6; ++k) EXPECT_NEAR(values[0][k], values[1][k], 1e-8) << k;
}

TEST(BlockKrylovSchur, DeflationSpaceIsLeftOut) {
  const BlockSolver solver(diagonal({9, 8, 7, 6, 5, 4, 3, 2, 1, 0}), 2, 2);
  Vec known = nullptr;
  check_petsc(MatCreateVecs(solver.A, &known, nullptr), "vecs");
  check_petsc(VecSetValue(known, 0, 1, INSERT_VALUES), "set");
  check_petsc(VecAssemblyBegin(known), "begin");
  check_petsc(VecAssemblyEnd(known), "end");
  check_petsc(EPSSetDeflationSpace(solver.eps, 1, &known), "deflation");
  check_petsc(VecDestroy(&known), "destroy");
  const std::vector<double> found = solver.solve();
  ASSERT_GE(found.size(), 2U);
  EXPECT_NEAR(found[0], 8, 1e-9);
  EXPECT_NEAR(found[1], 7, 1e-9);
}

/// Eigenvectors as initial space, fewer and as many as a block: one step. More are added to its columns, and as many
/// steps as blocks hold them all tell them apart.
TEST(BlockKrylovSchur, InitialSpaceSavesSteps) {
  const int n = 200;
  for (const int given : {3, 4, 7}) {
    const BlockSolver cold(laplacian(n), given, 4);
    cold.solve();
    const BlockSolver solver(laplacian(n), given, 4);
    std::vector<Vec> space(static_cast<std::size_t>(given));
    for (int k = 0; k < given; ++k) {
      PetscInt first = 0;
      PetscInt last = 0;
      Vec &v = space[static_cast<std::size_t>(k)];
      check_petsc(MatCreateVecs(solver.A, &v, nullptr), "vecs");
      check_petsc(VecGetOwnershipRange(v, &first, &last), "range");
      for (PetscInt i = first; i < last; ++i)
        check_petsc(VecSetValue(v, i, std::sin(M_PI * static_cast<double>((i + 1) * (n - k)) / (n + 1)), INSERT_VALUES),
                    "set");
      check_petsc(VecAssemblyBegin(v), "begin");
      check_petsc(VecAssemblyEnd(v), "end");
    }
    check_petsc(EPSSetInitialSpace(solver.eps, given, space.data()), "space");
    const std::vector<double> found = solver.solve();
    ASSERT_GE(found.size(), static_cast<std::size_t>(given));
    for (int k = 0; k < given; ++k)
      EXPECT_NEAR(found[static_cast<std::size_t>(k)], laplacian_value(n, n - k), 1e-9) << given;
    EXPECT_EQ(solver.steps(), (given + 3) / 4) << given;
    EXPECT_LT(solver.steps(), cold.steps());
    for (Vec &v : space) check_petsc(VecDestroy(&v), "destroy");
  }
}

TEST(BlockKrylovSchur, LimitsAreKept) {
  const ScopedOptions options({{"-eps_max_it", "2"}});
  const BlockSolver solver(laplacian(400), 5, 2);
  EXPECT_LT(solver.solve().size(), 5U);
  EXPECT_EQ(solver.reason(), EPS_DIVERGED_ITS);
  EXPECT_EQ(solver.steps(), 2);
}

TEST(BlockKrylovSchur, TheUserStopsIt) {
  const BlockSolver solver(laplacian(400), 5, 2);
  const auto stop = [](EPS /*eps*/, PetscInt its, PetscInt /*most*/, PetscInt /*found*/, PetscInt /*wanted*/,
                       EPSConvergedReason *reason, void * /*context*/) {
    if (its == 3) *reason = EPS_CONVERGED_USER;
    return PetscErrorCode(PETSC_SUCCESS);
  };
  check_petsc(EPSSetStoppingTestFunction(solver.eps, stop, nullptr, nullptr), "stopping");
  solver.solve();
  EXPECT_EQ(solver.reason(), EPS_CONVERGED_USER);
  EXPECT_EQ(solver.steps(), 3);
}

/// More pairs converge at once than a small window leaves room for.
TEST(BlockKrylovSchur, SmallWindowsAndManyCopies) {
  const ScopedOptions options({{"-eps_ncv", "12"}, {"-eps_mpd", "4"}});
  const std::vector<double> found = BlockSolver(diagonal(std::vector<double>(30, 1.0)), 6, 4).solve();
  ASSERT_GE(found.size(), 6U);
  for (const double value : found) EXPECT_NEAR(value, 1, 1e-12);
}

/// Residuals are compared with values of the matrix, not with those that are shifted: 0.006 beside 100.
TEST(BlockKrylovSchur, ShiftsDoNotLoosenTheTest) {
  const ScopedOptions options(
      {{"-eps_smallest_real", nullptr}, {"-st_shift", "-100"}, {"-eps_tol", "1e-8"}, {"-eps_max_it", "5000"}});
  const std::vector<double> found = BlockSolver(laplacian(40), 2, 4).solve(1e-9);
  ASSERT_GE(found.size(), 2U);
  EXPECT_NEAR(found[0], laplacian_value(40, 1), 1e-9);
}

TEST(BlockKrylovSchur, AGivenBasisBoundsTheChosenBlock) {
  const ScopedOptions options({{"-eps_ncv", "15"}});
  const BlockSolver solver(laplacian(100), 10, 0);
  solver.solve();
  EXPECT_EQ(solver.block(), 5);
}

TEST(BlockKrylovSchur, GeneralisedSymmetricProblem) {
  const BlockSolver solver(laplacian(50), 4, 3, EPS_GHEP);
  Mat B = diagonal(std::vector<double>(50, 2.0));
  check_petsc(EPSSetOperators(solver.eps, solver.A, B), "operators");
  check_petsc(MatDestroy(&B), "destroy");
  const std::vector<double> found = solver.solve();
  ASSERT_GE(found.size(), 4U);
  for (int k = 0; k < 4; ++k) EXPECT_NEAR(found[static_cast<std::size_t>(k)], laplacian_value(50, 50 - k) / 2, 1e-9);
}

TEST(BlockKrylovSchur, ServesAgainAndAfterAnotherSolver) {
  const BlockSolver solver(laplacian(60), 3, 4);
  check_petsc(EPSSetType(solver.eps, EPSKRYLOVSCHUR), "type");
  const std::vector<double> other = solver.solve();
  check_petsc(EPSSetType(solver.eps, EPSBLOCKKRYLOVSCHUR), "type");
  for (int again = 0; again < 2; ++again) {
    const std::vector<double> found = solver.solve();
    ASSERT_GE(found.size(), 3U);
    for (std::size_t k = 0; k < 3; ++k) EXPECT_NEAR(found[k], other[k], 1e-9);
  }
}

TEST(BlockKrylovSchur, NumbersThatAreNotFiniteAreNamed) {
  std::vector<double> values(20, 1.0);
  values[13] = std::nan("");
  const BlockSolver solver(diagonal(values), 2, 3);
  EXPECT_NE(EPSSolve(solver.eps), PETSC_SUCCESS);
  const std::string error = error_of([] { check_petsc(PETSC_ERR_LIB, "solve"); });
  EXPECT_NE(error.find("not finite"), std::string::npos) << error;
}

/// Blocks of several vectors show it in the first product, single vectors in the second.
TEST(BlockKrylovSchur, MatricesThatAreNotSymmetricAreNotTakenForSuch) {
  const OperatorMat problem({{"pair", "gaussian:beta=2"}, {"form", "markov"}}, "clusters:n=211,d=3,k=4,spread=0.3");
  for (const int block : {1, 3}) {
    const BlockSolver solver(share(problem.A), 2, block);
    const std::string error = error_of([&] { check_petsc(EPSSolve(solver.eps), "solve"); });
    EXPECT_NE(error.find("the matrix is not symmetric"), std::string::npos) << error;
    EXPECT_NE(error.find("-eps_non_hermitian"), std::string::npos) << error;
  }
}

/// Every rank count starts from the same vectors: only rounding differs, which is worth a step or two.
TEST(BlockKrylovSchur, StepsDoNotDependOnRanks) {
  const BlockSolver solver(laplacian(120), 4, 3);
  solver.solve();
  EXPECT_NEAR(static_cast<double>(solver.steps()), 56, 2);
}

TEST(BlockKrylovSchur, BadSettingsAreRefused) {
  const BlockSolver solver(laplacian(30), 4, 2);
  EXPECT_NE(EPSBlockKrylovSchurSetBlockSize(solver.eps, 65), PETSC_SUCCESS);
  EXPECT_NE(EPSBlockKrylovSchurSetBlockSize(solver.eps, -1), PETSC_SUCCESS);
  EXPECT_NE(EPSBlockKrylovSchurSetSeed(solver.eps, -1), PETSC_SUCCESS);
  check_petsc(EPSSetTrueResidual(solver.eps, PETSC_TRUE), "true residual");
  EXPECT_NE(EPSSetUp(solver.eps), PETSC_SUCCESS);
  check_petsc(EPSSetTrueResidual(solver.eps, PETSC_FALSE), "true residual");
  check_petsc(EPSSetDimensions(solver.eps, 4, 5, PETSC_DEFAULT), "dimensions");
  EXPECT_NE(EPSSetUp(solver.eps), PETSC_SUCCESS);  // no room for a block beside the pairs
  check_petsc(EPSSetDimensions(solver.eps, 4, PETSC_DEFAULT, PETSC_DEFAULT), "dimensions");
  check_petsc(EPSSetType(solver.eps, EPSKRYLOVSCHUR), "type");
  EXPECT_NE(EPSBlockKrylovSchurSetBlockSize(solver.eps, 4), PETSC_SUCCESS);
}

}  // namespace
}  // namespace flashring::test

// Checkpoints of the block solver: what goes on from one ends where an undisturbed solution does.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "flashring/diffusion_map.hpp"
#include "io/checkpoint_claim.hpp"
#include "io/file_size_limit.hpp"
#include "support/block_solver.hpp"
#include "support/error_of.hpp"
#include "support/matrices.hpp"
#include "support/operator_mat.hpp"
#include "support/petsc.hpp"

namespace flashring::test {
namespace {

namespace fs = std::filesystem;

const bool started = start_petsc();

/// A folder that all ranks use, removed at the end.
class Restart : public ::testing::Test {
 protected:
  void SetUp() override {
    std::int64_t process = ::getpid();
    world().broadcast(std::as_writable_bytes(std::span(&process, 1)), 0);
    folder_ = fs::temp_directory_path() / ("flashring-restart-" + std::to_string(process));
    file_ = (folder_ / "state.h5").string();
    if (world().rank() == 0) fs::create_directories(folder_);
    world().sum(1.0);
  }
  void TearDown() override {
    world().sum(1.0);
    if (world().rank() == 0) fs::remove_all(folder_);
  }
  fs::path folder_;
  std::string file_;
};

/// The points of Problem with one length for all.
PointBlock points_of_length(double length) {
  PointBlock points = generate_points("swiss_roll:n=30,m=20", world());
  points.set_point_scales(std::vector<double>(static_cast<std::size_t>(points.local_rows()), length));
  return points;
}

struct Problem : OperatorMat {
  explicit Problem(const std::string &ramp, const std::string &pair = "gaussian:beta=0.1",
                   const std::string &normalization = "density")
      : OperatorMat({{"ramp", ramp}, {"pair", pair}, {"normalization", normalization}, {"form", "symmetric"}},
                    "swiss_roll:n=30,m=20") {}
  explicit Problem(double length)
      : OperatorMat(options_of({{"ramp", "none"}, {"pair", "self_tuned"}, {"form", "symmetric"}}),
                    points_of_length(length)) {}

  EigenPairs solve(const EigenRequest &request) const {
    const ScopedOptions scoped(
        {{"-eps_type", "blockkrylovschur"}, {"-eps_blockkrylovschur_blocksize", "4"}, {"-eps_ncv", "32"}});
    return eigensolve(A, request);
  }
};

EigenRequest request_of(const std::string &checkpoint, const std::string &restart = "") {
  EigenRequest request;
  request.pairs = 6;
  request.tolerance = 1e-9;
  request.checkpoint = checkpoint;
  request.checkpoint_every = 1e9;  // at interruptions alone
  request.restart = restart;
  return request;
}

/// Ends a solution after so many passes, with a checkpoint.
std::int64_t interrupt(const Problem &problem, const std::string &file, std::int64_t passes,
                       const std::string &restart = "") {
  problem.op->set_stop([&problem, passes] { return problem.op->counters().passes >= passes; });
  try {
    problem.solve(request_of(file, restart));
  } catch (const Interrupted &) {  // nothing had converged
  }
  return problem.op->counters().passes;
}

class RestartRamp : public Restart, public ::testing::WithParamInterface<const char *> {};

TEST_P(RestartRamp, EndsWhereAnUndisturbedSolutionDoes) {
  const Problem whole(GetParam());
  const EigenPairs expected = whole.solve(request_of(""));
  ASSERT_TRUE(expected.complete);
  const std::int64_t all = whole.op->counters().passes;
  for (const std::int64_t end : {std::int64_t{5}, all / 3, all / 2, all - 2}) {
    const std::int64_t before = interrupt(Problem(GetParam()), file_, end);
    const Problem second(GetParam());
    const EigenPairs found = second.solve(request_of("", file_));
    EXPECT_TRUE(found.complete);
    EXPECT_TRUE(found.findings.empty());
    ASSERT_EQ(found.values.size(), expected.values.size());
    for (std::size_t k = 0; k < found.values.size(); ++k)
      EXPECT_NEAR(found.values[k], expected.values[k], 1e-9) << end << " " << k;
    for (const double residual : residuals(*second.op, found.values, found.vectors)) EXPECT_LT(residual, 2e-9);
    // Set-up is in the file; noise is measured again, and the first product is in the working precision.
    EXPECT_LE(before + second.op->counters().passes, all + 6) << end;
    EXPECT_EQ(second.op->counters().earlier_passes, before) << end;
    EXPECT_GT(second.op->counters().earlier_seconds, 0) << end;
  }
}

INSTANTIATE_TEST_SUITE_P(Every, RestartRamp, ::testing::Values("none", "fp32", "scout"));

TEST_F(Restart, WithoutTheRampTheBitsAreTheSame) {
  const Problem whole("none");
  const EigenPairs expected = whole.solve(request_of(""));
  interrupt(Problem("none"), file_, 12);
  const Problem second("none");
  const EigenPairs found = second.solve(request_of("", file_));
  EXPECT_EQ(found.values, expected.values);
  EXPECT_EQ(found.vectors, expected.vectors);
}

/// Passes of runs that are not there any more go from checkpoint to checkpoint.
TEST_F(Restart, PassesOfAllRunsAreKnown) {
  std::int64_t passes = interrupt(Problem("none"), file_, 8);
  const Problem second("none");
  passes += interrupt(second, file_, 6, file_);
  const Problem third("none");
  EXPECT_TRUE(third.solve(request_of("", file_)).complete);
  EXPECT_EQ(third.op->counters().earlier_passes, passes);
  EXPECT_GT(third.op->counters().earlier_seconds, second.op->counters().earlier_seconds);
}

/// The name of a checkpoint is another run's, until that ends.
TEST_F(Restart, TwoRunsNeedTwoNames) {
  const Problem problem("none");
  EigenRequest request = request_of(file_);
  request.before_first_pass = [&] { problem.op->degree(); };
  auto other = std::make_unique<CheckpointClaim>(world(), file_);
  EXPECT_NE(error_of([&] { problem.solve(request); }).find("give another name to -checkpoint"), std::string::npos);
  EXPECT_EQ(problem.op->counters().passes, 0);
  other.reset();
  EXPECT_TRUE(problem.solve(request).complete);
  world().sum(1.0);
  EXPECT_FALSE(fs::exists(file_ + ".owner"));
}

TEST_F(Restart, AnotherProblemIsNamed) {
  interrupt(Problem("none"), file_, 12);
  const auto refused = [&](const Problem &other) { return error_of([&] { other.solve(request_of("", file_)); }); };
  EXPECT_NE(refused(Problem("none", "gaussian:beta=0.2")).find("pair: gaussian 0.1"), std::string::npos);
  EXPECT_NE(refused(Problem("none", "laplacian:ell=3")).find("pair: gaussian"), std::string::npos);
  const Problem bistochastic("none", "gaussian:beta=0.1", "bistochastic");
  EXPECT_NE(refused(bistochastic).find("normalization: density in"), std::string::npos);
  const Problem other("none");
  const std::vector<double> twos(static_cast<std::size_t>(other.op->local_rows()), 2.0);
  other.op->update_measure(twos);
  other.op->update_target(twos);
  EXPECT_NE(refused(other).find("measure: ones in"), std::string::npos);
  EXPECT_NE(refused(other).find("target density: none in"), std::string::npos);
  const Problem moved("none");
  std::vector<double> rows(static_cast<std::size_t>(moved.op->local_rows() * moved.op->features()), 0.0);
  for (std::size_t at = 0; at < rows.size(); ++at) rows[at] = std::sin(static_cast<double>(at));
  moved.op->update_points(rows);
  EXPECT_NE(refused(moved).find("points: "), std::string::npos);
  const ScopedOptions shifted({{"-st_shift", "0.5"}});
  EXPECT_NE(refused(Problem("none")).find("shift: 0 in"), std::string::npos);
}

TEST_F(Restart, OtherLengthsOfPointsAreRefused) {
  const Problem whole(3.0);
  const EigenPairs expected = whole.solve(request_of(""));
  interrupt(Problem(3.0), file_, 12);
  EXPECT_NE(error_of([&] { Problem(3.1).solve(request_of("", file_)); }).find("points: "), std::string::npos);
  EXPECT_EQ(Problem(3.0).solve(request_of("", file_)).values, expected.values);
}

TEST_F(Restart, SizesAreThoseOfTheFile) {
  interrupt(Problem("none"), file_, 12);
  const ScopedOptions type({{"-eps_type", "blockkrylovschur"}});
  EXPECT_TRUE(eigensolve(Problem("none").A, request_of("", file_)).complete);
  const ScopedOptions block({{"-eps_blockkrylovschur_blocksize", "5"}});
  EXPECT_NE(error_of([&] { eigensolve(Problem("none").A, request_of("", file_)); }).find("has blocks of 4"),
            std::string::npos);
}

TEST_F(Restart, AFullDiskIsSaidAndTheSolutionGoesOn) {
  const Problem problem("none");
  const FileSizeLimit full(std::size_t{1} << 16U);
  EigenRequest request = request_of(file_);
  request.checkpoint_every = 0;
  const EigenPairs found = problem.solve(request);
  EXPECT_TRUE(found.complete);
  ASSERT_FALSE(found.findings.empty());
  EXPECT_EQ(found.findings[0].rfind("checkpoint after ", 0), 0U) << found.findings[0];
  EXPECT_FALSE(fs::exists(file_));
}

TEST_F(Restart, OtherSolversHaveNoCheckpoints) {
  const Problem problem("none");
  const ScopedOptions other({{"-eps_type", "krylovschur"}});
  EXPECT_NE(error_of([&] { eigensolve(problem.A, request_of(file_)); }).find("need -eps_type blockkrylovschur"),
            std::string::npos);
  EXPECT_NE(error_of([&] { problem.solve(request_of("", file_)); }).find(file_), std::string::npos);
}

/// Values of a matrix of PETSc's own that have converged after at most `steps`.
std::vector<double> solve_stock(Mat A, EPSProblemType type, const std::string &checkpoint, const std::string &restart,
                                PetscInt steps = 5000) {
  const BlockSolver solver(share(A), 5, 3, type);
  check_petsc(EPSSetDimensions(solver.eps, 5, 24, PETSC_DEFAULT), "dimensions");
  check_petsc(EPSSetTolerances(solver.eps, 1e-9, steps), "tolerances");
  check_petsc(EPSBlockKrylovSchurSetCheckpoint(solver.eps, checkpoint.c_str(), 0), "checkpoint");
  check_petsc(EPSBlockKrylovSchurSetRestart(solver.eps, restart.c_str()), "restart");
  return solver.solve();
}

TEST_F(Restart, MatricesOfPetsc) {
  for (const EPSProblemType type : {EPS_HEP, EPS_NHEP}) {
    Mat A = type == EPS_HEP ? laplacian(60) : tridiagonal(60, 1.1, -2, 0.9);
    Mat other = type == EPS_HEP ? diagonal(std::vector<double>(60, 1.0)) : laplacian(60);
    const std::vector<double> expected = solve_stock(A, type, "", "");
    EXPECT_LT(solve_stock(A, type, file_, "", 8).size(), 5U);
    const std::vector<double> found = solve_stock(A, type, "", file_);
    EXPECT_GE(found.size(), 5U);
    for (std::size_t k = 0; k < 5; ++k) EXPECT_NEAR(found.at(k), expected.at(k), 1e-8) << k;
    const std::string refusal = error_of([&] { solve_stock(other, type, "", file_); });
    EXPECT_NE(refusal.find("the matrix is another one"), std::string::npos) << refusal;
    MatDestroy(&A);
    MatDestroy(&other);
  }
}

}  // namespace
}  // namespace flashring::test

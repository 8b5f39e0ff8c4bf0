// Checkpoints of the block solver: what goes on from one ends where an undisturbed solution does.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "flashring/block_krylov_schur.h"
#include "flashring/check.hpp"
#include "flashring/diffusion_map.hpp"
#include "flashring/petsc_mat.hpp"
#include "io/file_size_limit.hpp"
#include "support/matrices.hpp"
#include "support/petsc.hpp"
#include "support/world.hpp"

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

struct Problem {
  explicit Problem(const std::string &ramp, const std::string &pair = "gaussian:beta=0.1", bool weighted = false) {
    OperatorOptions options;
    options.set("pair", pair);
    options.set("ramp", ramp);
    options.form = Form::symmetric;
    options.threads = 1;
    op = make_operator(PETSC_COMM_WORLD, options, generate_points("swiss_roll:n=30,m=20", world()));
    if (weighted) op->update_measure(std::vector<double>(static_cast<std::size_t>(op->local_rows()), 2.0));
    check_petsc(mat_create(PETSC_COMM_WORLD, op, &A), "mat_create");
  }
  Problem(const Problem &) = delete;
  Problem &operator=(const Problem &) = delete;
  ~Problem() { MatDestroy(&A); }

  EigenPairs solve(const EigenRequest &request) const {
    const ScopedOptions scoped(
        {{"-eps_type", "blockkrylovschur"}, {"-eps_blockkrylovschur_blocksize", "4"}, {"-eps_ncv", "32"}});
    return eigensolve(A, request);
  }

  std::shared_ptr<KernelOperator> op;
  Mat A = nullptr;
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
std::int64_t interrupt(const Problem &problem, const std::string &file, std::int64_t passes) {
  problem.op->set_stop([&problem, passes] { return problem.op->counters().passes >= passes; });
  try {
    problem.solve(request_of(file));
  } catch (const Interrupted &) {  // nothing had converged
  }
  return problem.op->counters().passes;
}

/// The message of what `work` throws.
template <class Work>
std::string error_of(Work work) {
  try {
    work();
  } catch (const std::exception &error) {
    return error.what();
  }
  return "no error";
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

TEST_F(Restart, AnotherProblemIsNamed) {
  interrupt(Problem("none"), file_, 12);
  const auto refused = [&](const Problem &other) { return error_of([&] { other.solve(request_of("", file_)); }); };
  EXPECT_NE(refused(Problem("none", "gaussian:beta=0.2")).find("pair: gaussian 0.1"), std::string::npos);
  EXPECT_NE(refused(Problem("none", "laplacian:ell=3")).find("pair: gaussian"), std::string::npos);
  EXPECT_NE(refused(Problem("none", "gaussian:beta=0.1", true)).find("measure: ones in"), std::string::npos);
  Problem moved("none");
  std::vector<double> rows(static_cast<std::size_t>(moved.op->local_rows() * moved.op->features()), 0.0);
  for (std::size_t at = 0; at < rows.size(); ++at) rows[at] = std::sin(static_cast<double>(at));
  moved.op->update_points(rows);
  EXPECT_NE(refused(moved).find("points: "), std::string::npos);
  const ScopedOptions shifted({{"-st_shift", "0.5"}});
  EXPECT_NE(refused(Problem("none")).find("shift: 0 in"), std::string::npos);
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

/// Pairs of a matrix of PETSc's own after at most `steps`.
PetscInt solve_stock(Mat A, EPSProblemType type, const char *checkpoint, const char *restart, PetscInt steps,
                     std::vector<double> *values) {
  EPS eps = nullptr;
  PetscInt found = 0;
  check_petsc(FlashringRegisterAll(), "register");
  check_petsc(EPSCreate(PETSC_COMM_WORLD, &eps), "create");
  check_petsc(EPSSetOperators(eps, A, nullptr), "operators");
  check_petsc(EPSSetProblemType(eps, type), "type");
  check_petsc(EPSSetType(eps, EPSBLOCKKRYLOVSCHUR), "type");
  check_petsc(EPSSetWhichEigenpairs(eps, EPS_LARGEST_REAL), "which");
  check_petsc(EPSSetDimensions(eps, 5, 24, PETSC_DEFAULT), "dimensions");
  check_petsc(EPSSetTolerances(eps, 1e-9, steps), "tolerances");
  check_petsc(EPSBlockKrylovSchurSetBlockSize(eps, 3), "block");
  check_petsc(EPSBlockKrylovSchurSetCheckpoint(eps, checkpoint, 0), "checkpoint");
  check_petsc(EPSBlockKrylovSchurSetRestart(eps, restart), "restart");
  const PetscErrorCode code = EPSSolve(eps);
  if (code == PETSC_SUCCESS) {
    check_petsc(EPSGetConverged(eps, &found), "converged");
    for (PetscInt k = 0; values != nullptr && k < found; ++k) {
      PetscScalar value = 0;
      check_petsc(EPSGetEigenvalue(eps, k, &value, nullptr), "value");
      values->push_back(value);
    }
  }
  EPSDestroy(&eps);
  check_petsc(code, "EPSSolve");
  return found;
}

TEST_F(Restart, MatricesOfPetsc) {
  for (const EPSProblemType type : {EPS_HEP, EPS_NHEP}) {
    Mat A = type == EPS_HEP ? laplacian(60) : tridiagonal(60, 1.1, -2, 0.9);
    Mat other = type == EPS_HEP ? diagonal(std::vector<double>(60, 1.0)) : laplacian(60);
    std::vector<double> expected;
    std::vector<double> found;
    solve_stock(A, type, "", "", 5000, &expected);
    EXPECT_LT(solve_stock(A, type, file_.c_str(), "", 8, nullptr), 5);
    EXPECT_GE(solve_stock(A, type, "", file_.c_str(), 5000, &found), 5);
    for (std::size_t k = 0; k < 5; ++k) EXPECT_NEAR(found.at(k), expected.at(k), 1e-8) << k;
    const std::string refusal = error_of([&] { solve_stock(other, type, "", file_.c_str(), 5000, nullptr); });
    EXPECT_NE(refusal.find("the matrix is another one"), std::string::npos) << refusal;
    MatDestroy(&A);
    MatDestroy(&other);
  }
}

}  // namespace
}  // namespace flashring::test

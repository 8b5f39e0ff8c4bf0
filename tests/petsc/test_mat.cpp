// The matrix type against the dense matrix: every product, with scale and shift set, all forms.
#include <gtest/gtest.h>
#include <petscksp.h>

#include <cmath>

#include "flashring/check.hpp"
#include "flashring/communicator_mpi.hpp"
#include "support/operator_mat.hpp"
#include "support/petsc.hpp"

namespace flashring::test {
namespace {

const bool started = start_petsc();

constexpr const char *point_set = "normal:n=83,d=3,seed=5";
constexpr int rows = 83;
constexpr double beta = 0.4;
constexpr double alpha = 0.3;
// Every entry of the dense matrix and of the product is a sum of 83 terms below 1 with errors of some 1e-16.
constexpr double tolerance = 1e-13;

/// The dense matrix of a form, row-major, from the plain definition (docs/mathematics.md, "Operators").
std::vector<double> dense(Form form) {
  const auto alone = make_self_communicator();
  const PointBlock points = generate_points(point_set, *alone);
  std::vector<double> K(rows * rows);
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < rows; ++j) {
      double r2 = 0;
      for (int k = 0; k < 3; ++k) r2 += std::pow(points.row(LocalRow{i})[k] - points.row(LocalRow{j})[k], 2);
      K[i * rows + j] = std::exp(-beta * r2);
    }
  if (form == Form::kernel) return K;
  std::vector<double> w(rows, 0.0);
  std::vector<double> d(rows, 0.0);
  for (int i = 0; i < rows; ++i) {
    for (int j = 0; j < rows; ++j) w[i] += K[i * rows + j];
    w[i] = std::pow(w[i], -alpha);
  }
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < rows; ++j) d[i] += w[i] * K[i * rows + j] * w[j];
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < rows; ++j)
      K[i * rows + j] *= w[i] * w[j] / (form == Form::markov ? d[i] : std::sqrt(d[i] * d[j]));
  return K;
}

struct Fixture : OperatorMat {
  explicit Fixture(Form form, double factor = 1, double shift = 0)
      : OperatorMat({{"pair", "gaussian:beta=0.4"}, {"alpha", "0.3"}, {"form", to_string(form)}}, point_set),
        matrix(dense(form)) {
    if (factor != 1) check_petsc(MatScale(A, factor), "MatScale");
    if (shift != 0) check_petsc(MatShift(A, shift), "MatShift");
    for (double &entry : matrix) entry *= factor;
    for (int i = 0; i < rows; ++i) matrix[i * rows + i] += shift;
  }

  double product(int i, bool transpose, int column) const {
    double sum = 0;
    for (int j = 0; j < rows; ++j) sum += matrix[transpose ? j * rows + i : i * rows + j] * value(j, column);
    return sum;
  }
  static double value(int i, int column) { return std::sin(1.0 + i * (column + 1)); }

  std::vector<double> matrix;  // (rows, rows)
};

void fill(Vec v, int column) {
  PetscInt first = 0;
  PetscInt last = 0;
  PetscScalar *array = nullptr;
  VecGetOwnershipRange(v, &first, &last);
  VecGetArrayWrite(v, &array);
  for (PetscInt i = first; i < last; ++i) array[i - first] = Fixture::value(static_cast<int>(i), column);
  VecRestoreArrayWrite(v, &array);
}

void expect_product(Vec y, const Fixture &f, bool transpose, int column, double add = 0) {
  PetscInt first = 0;
  PetscInt last = 0;
  const PetscScalar *array = nullptr;
  VecGetOwnershipRange(y, &first, &last);
  VecGetArrayRead(y, &array);
  for (PetscInt i = first; i < last; ++i)
    EXPECT_NEAR(array[i - first], f.product(static_cast<int>(i), transpose, column) + add, tolerance) << "row " << i;
  VecRestoreArrayRead(y, &array);
}

class MatForms : public ::testing::TestWithParam<Form> {};

INSTANTIATE_TEST_SUITE_P(Forms, MatForms, ::testing::Values(Form::kernel, Form::symmetric, Form::markov),
                         [](const auto &form) { return to_string(form.param); });

TEST_P(MatForms, VectorProducts) {
  const Fixture f(GetParam(), 2.5, -0.3);
  Vec x = nullptr;
  Vec y = nullptr;
  ASSERT_EQ(MatCreateVecs(f.A, &x, &y), PETSC_SUCCESS);
  fill(x, 0);
  ASSERT_EQ(MatMult(f.A, x, y), PETSC_SUCCESS);
  expect_product(y, f, false, 0);
  ASSERT_EQ(MatMultTranspose(f.A, x, y), PETSC_SUCCESS);
  expect_product(y, f, true, 0);
  ASSERT_EQ(VecSet(y, 0.25), PETSC_SUCCESS);
  ASSERT_EQ(MatMultAdd(f.A, x, y, y), PETSC_SUCCESS);
  expect_product(y, f, false, 0, 0.25);
  VecDestroy(&x);
  VecDestroy(&y);
}

TEST_P(MatForms, BlockProductInOneCall) {
  const Fixture f(GetParam(), 2.5, -0.3);
  Mat B = nullptr;
  Mat C = nullptr;
  const auto local = static_cast<PetscInt>(f.op->local_rows());
  ASSERT_EQ(MatCreateDense(PETSC_COMM_WORLD, local, PETSC_DECIDE, rows, 7, nullptr, &B), PETSC_SUCCESS);
  for (PetscInt c = 0; c < 7; ++c) {
    Vec column = nullptr;
    MatDenseGetColumnVecWrite(B, c, &column);
    fill(column, static_cast<int>(c));
    MatDenseRestoreColumnVecWrite(B, c, &column);
  }
  f.op->degree();  // set-up passes are not the product's
  const std::int64_t calls = f.op->counters().calls;
  const std::int64_t column_passes = f.op->counters().column_passes;
  ASSERT_EQ(MatMatMult(f.A, B, MAT_INITIAL_MATRIX, PETSC_DEFAULT, &C), PETSC_SUCCESS);
  EXPECT_EQ(f.op->counters().calls, calls + 1);
  EXPECT_EQ(f.op->counters().column_passes, column_passes + 7);
  for (PetscInt c = 0; c < 7; ++c) {
    Vec column = nullptr;
    MatDenseGetColumnVecRead(C, c, &column);
    expect_product(column, f, false, static_cast<int>(c));
    MatDenseRestoreColumnVecRead(C, c, &column);
  }
  MatDestroy(&C);
  // A slice of columns has a leading dimension larger than its rows on every rank.
  Mat slice = nullptr;
  ASSERT_EQ(MatDenseGetSubMatrix(B, PETSC_DECIDE, PETSC_DECIDE, 2, 5, &slice), PETSC_SUCCESS);
  ASSERT_EQ(MatTransposeMatMult(f.A, slice, MAT_INITIAL_MATRIX, PETSC_DEFAULT, &C), PETSC_SUCCESS);
  for (PetscInt c = 0; c < 3; ++c) {
    Vec column = nullptr;
    MatDenseGetColumnVecRead(C, c, &column);
    expect_product(column, f, true, static_cast<int>(c) + 2);
    MatDenseRestoreColumnVecRead(C, c, &column);
  }
  MatDenseRestoreSubMatrix(B, &slice);
  MatDestroy(&C);
  MatDestroy(&B);
}

TEST_P(MatForms, Diagonal) {
  const Fixture f(GetParam(), 2.5, -0.3);
  Vec d = nullptr;
  PetscInt first = 0;
  PetscInt last = 0;
  const PetscScalar *array = nullptr;
  ASSERT_EQ(MatCreateVecs(f.A, nullptr, &d), PETSC_SUCCESS);
  ASSERT_EQ(MatGetDiagonal(f.A, d), PETSC_SUCCESS);
  VecGetOwnershipRange(d, &first, &last);
  VecGetArrayRead(d, &array);
  for (PetscInt i = first; i < last; ++i) EXPECT_NEAR(array[i - first], f.matrix[i * rows + i], tolerance);
  VecRestoreArrayRead(d, &array);
  VecDestroy(&d);
}

TEST(Mat, DuplicateSharesTheOperatorButNotTheShift) {
  const Fixture f(Form::symmetric, 2.0, 0.5);
  Mat B = nullptr;
  Vec x = nullptr;
  Vec y = nullptr;
  ASSERT_EQ(MatDuplicate(f.A, MAT_COPY_VALUES, &B), PETSC_SUCCESS);
  ASSERT_EQ(MatShift(B, 10.0), PETSC_SUCCESS);
  ASSERT_EQ(MatCreateVecs(f.A, &x, &y), PETSC_SUCCESS);
  fill(x, 0);
  ASSERT_EQ(MatMult(f.A, x, y), PETSC_SUCCESS);
  expect_product(y, f, false, 0);
  ASSERT_EQ(MatMult(B, x, y), PETSC_SUCCESS);
  ASSERT_EQ(VecAXPY(y, -10.0, x), PETSC_SUCCESS);
  expect_product(y, f, false, 0);
  std::shared_ptr<KernelOperator> inside;
  ASSERT_EQ(mat_get_operator(B, &inside), PETSC_SUCCESS);
  EXPECT_EQ(inside.get(), f.op.get());
  VecDestroy(&x);
  VecDestroy(&y);
  MatDestroy(&B);
}

TEST(Mat, MarkovIsNeverMarkedSymmetric) {
  const Fixture markov(Form::markov);
  const Fixture symmetric(Form::symmetric);
  PetscBool set = PETSC_FALSE;
  PetscBool is = PETSC_FALSE;
  MatIsSymmetricKnown(markov.A, &set, &is);
  EXPECT_FALSE(set == PETSC_TRUE && is == PETSC_TRUE);
  MatIsSymmetricKnown(symmetric.A, &set, &is);
  EXPECT_TRUE(set == PETSC_TRUE && is == PETSC_TRUE);
}

TEST(Mat, TypeByOptionsWithPrefix) {
  const ScopedOptions options({{"-foo_mat_type", "flashring"},
                               {"-foo_mat_flashring_generate", point_set},
                               {"-foo_mat_flashring_pair", "gaussian:beta=0.4"},
                               {"-foo_mat_flashring_form", "symmetric"},
                               {"-foo_mat_flashring_alpha", "0.3"}});
  const Fixture f(Form::symmetric);
  Mat A = nullptr;
  Vec x = nullptr;
  Vec y = nullptr;
  ASSERT_EQ(MatCreate(PETSC_COMM_WORLD, &A), PETSC_SUCCESS);
  ASSERT_EQ(MatSetOptionsPrefix(A, "foo_"), PETSC_SUCCESS);
  ASSERT_EQ(MatSetSizes(A, PETSC_DECIDE, PETSC_DECIDE, rows, rows), PETSC_SUCCESS);
  ASSERT_EQ(MatSetFromOptions(A), PETSC_SUCCESS);
  ASSERT_EQ(MatSetUp(A), PETSC_SUCCESS);
  ASSERT_EQ(MatCreateVecs(A, &x, &y), PETSC_SUCCESS);
  fill(x, 0);
  ASSERT_EQ(MatMult(A, x, y), PETSC_SUCCESS);
  expect_product(y, f, false, 0);
  VecDestroy(&x);
  VecDestroy(&y);
  MatDestroy(&A);
}

/// The layout of the matrix decides: one rank takes all but a few rows.
TEST(Mat, PointsFollowAnUnevenLayout) {
  const ScopedOptions options({{"-uneven_mat_flashring_generate", point_set},
                               {"-uneven_mat_flashring_pair", "gaussian:beta=0.4"},
                               {"-uneven_mat_flashring_form", "symmetric"},
                               {"-uneven_mat_flashring_alpha", "0.3"}});
  const Fixture f(Form::symmetric);
  const int others = world().size() - 1;
  const PetscInt local = world().rank() == others ? rows - 2 * others : 2;
  Mat A = nullptr;
  Vec x = nullptr;
  Vec y = nullptr;
  ASSERT_EQ(MatCreate(PETSC_COMM_WORLD, &A), PETSC_SUCCESS);
  ASSERT_EQ(MatSetOptionsPrefix(A, "uneven_"), PETSC_SUCCESS);
  ASSERT_EQ(MatSetSizes(A, local, local, rows, rows), PETSC_SUCCESS);
  ASSERT_EQ(MatSetType(A, MATFLASHRING), PETSC_SUCCESS);
  ASSERT_EQ(MatSetFromOptions(A), PETSC_SUCCESS);
  ASSERT_EQ(MatSetUp(A), PETSC_SUCCESS);
  ASSERT_EQ(MatCreateVecs(A, &x, &y), PETSC_SUCCESS);
  fill(x, 0);
  ASSERT_EQ(MatMult(A, x, y), PETSC_SUCCESS);
  expect_product(y, f, false, 0);
  VecDestroy(&x);
  VecDestroy(&y);
  MatDestroy(&A);
}

TEST(Mat, ErrorsComeBackAsCodesWithTheMessage) {
  const ScopedOptions options({{"-bad_mat_flashring_alpha", "1.5"}});
  Mat A = nullptr;
  ASSERT_EQ(MatCreate(PETSC_COMM_WORLD, &A), PETSC_SUCCESS);
  ASSERT_EQ(MatSetType(A, MATFLASHRING), PETSC_SUCCESS);
  ASSERT_EQ(MatSetOptionsPrefix(A, "bad_"), PETSC_SUCCESS);
  const PetscErrorCode code = MatSetFromOptions(A);
  ASSERT_NE(code, PETSC_SUCCESS);
  try {
    check_petsc(code, "MatSetFromOptions");
    FAIL() << "no exception";
  } catch (const Error &error) {
    EXPECT_NE(std::string(error.what()).find("-alpha: 1.5 is outside [0, 1]"), std::string::npos) << error.what();
  }
  MatDestroy(&A);
}

/// CG on K + mu I: the right-hand side comes from a known solution, the operator and its shift from the type.
TEST(Mat, ConjugateGradientsOnShiftedKernel) {
  const double mu = 0.1;
  const Fixture f(Form::kernel, 1, mu);
  Vec x = nullptr;
  Vec b = nullptr;
  Vec found = nullptr;
  KSP ksp = nullptr;
  PC pc = nullptr;
  ASSERT_EQ(MatCreateVecs(f.A, &x, &b), PETSC_SUCCESS);
  ASSERT_EQ(VecDuplicate(x, &found), PETSC_SUCCESS);
  fill(x, 0);
  ASSERT_EQ(MatMult(f.A, x, b), PETSC_SUCCESS);
  ASSERT_EQ(KSPCreate(PETSC_COMM_WORLD, &ksp), PETSC_SUCCESS);
  ASSERT_EQ(KSPSetOperators(ksp, f.A, f.A), PETSC_SUCCESS);
  ASSERT_EQ(KSPSetType(ksp, KSPCG), PETSC_SUCCESS);
  ASSERT_EQ(KSPGetPC(ksp, &pc), PETSC_SUCCESS);
  ASSERT_EQ(PCSetType(pc, PCNONE), PETSC_SUCCESS);
  ASSERT_EQ(KSPSetTolerances(ksp, 1e-12, PETSC_DEFAULT, PETSC_DEFAULT, 1000), PETSC_SUCCESS);
  ASSERT_EQ(KSPSolve(ksp, b, found), PETSC_SUCCESS);
  KSPConvergedReason reason = KSP_CONVERGED_ITERATING;
  KSPGetConvergedReason(ksp, &reason);
  EXPECT_GT(reason, 0);
  // |error| <= |residual| / mu, relative residual 1e-12, |b| at most (83 + mu) |x|.
  PetscReal norm = 0;
  PetscReal error = 0;
  VecNorm(x, NORM_2, &norm);
  VecAXPY(found, -1, x);
  VecNorm(found, NORM_2, &error);
  EXPECT_LT(error, 1e-12 / mu * (rows + mu) * norm);
  KSPDestroy(&ksp);
  VecDestroy(&found);
  VecDestroy(&x);
  VecDestroy(&b);
}

}  // namespace
}  // namespace flashring::test

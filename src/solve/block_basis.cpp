// Orthonormal blocks by Gram matrices: few reductions, all work in products of matrices.
#include "solve/block_basis.hpp"

#include <petscblaslapack.h>

#include <algorithm>
#include <cmath>

#include "flashring/check.hpp"
#include "flashring/petsc_mat.hpp"
#include "flashring/random.hpp"

namespace flashring {
namespace {

void check_mpi(int code) { FLASHRING_CHECK(code == MPI_SUCCESS, "MPI_Bcast failed"); }

/// A PETSc matrix over the numbers of a SmallMatrix.
class DenseView {
 public:
  explicit DenseView(SmallMatrix &of) {
    check_petsc(MatCreateSeqDense(PETSC_COMM_SELF, of.rows, of.columns, of.values.data(), &mat_), "MatCreateSeqDense");
  }
  ~DenseView() { MatDestroy(&mat_); }
  DenseView(const DenseView &) = delete;
  DenseView &operator=(const DenseView &) = delete;
  Mat get() const { return mat_; }

 private:
  Mat mat_ = nullptr;
};

/// Eigenvalues of a symmetric matrix in ascending order; its eigenvectors take its place.
std::vector<PetscReal> eigen_decompose(SmallMatrix &A) {
  const auto n = static_cast<PetscBLASInt>(A.rows);
  std::vector<PetscReal> values(static_cast<std::size_t>(A.rows));
  PetscBLASInt info = 0;
  PetscBLASInt ask = -1;
  PetscScalar size = 0;
  LAPACKsyev_("V", "U", &n, A.values.data(), &n, values.data(), &size, &ask, &info);
  auto count = static_cast<PetscBLASInt>(size);
  std::vector<PetscScalar> work(static_cast<std::size_t>(count));
  LAPACKsyev_("V", "U", &n, A.values.data(), &n, values.data(), work.data(), &count, &info);
  FLASHRING_CHECK(info == 0,
                  "the eigenvalues of a Gram matrix do not converge; the matrix gives numbers that are not finite");
  return values;
}

SmallMatrix product(const SmallMatrix &A, const SmallMatrix &B) {
  SmallMatrix C(A.rows, B.columns);
  for (PetscInt j = 0; j < B.columns; ++j)
    for (PetscInt k = 0; k < A.columns; ++k)
      for (PetscInt i = 0; i < A.rows; ++i) C(i, j) += A(i, k) * B(k, j);
  return C;
}

/// X(:, 0:b) orthogonal to V(:, 0:m) and its constraints. Returns the largest entry that was taken away.
PetscReal project(BV V, PetscInt m, BV X, PetscInt b) {
  PetscInt constraints = 0;
  check_petsc(BVGetNumConstraints(V, &constraints), "BVGetNumConstraints");
  const SmallMatrix H = inner_products(V, m, X, b);
  subtract_product(X, b, V, m, H);
  PetscReal largest = 0;
  for (const PetscScalar h : H.values) largest = std::max(largest, std::abs(h));
  if (constraints == 0) return largest;
  check_petsc(BVSetActiveColumns(V, 0, m), "BVSetActiveColumns");
  for (PetscInt j = 0; j < b; ++j) {  // products with blocks know nothing of constraints
    Vec column = nullptr;
    check_petsc(BVGetColumn(X, j, &column), "BVGetColumn");
    check_petsc(BVOrthogonalizeVec(V, column, nullptr, nullptr, nullptr), "BVOrthogonalizeVec");
    check_petsc(BVRestoreColumn(X, j, &column), "BVRestoreColumn");
  }
  return largest;
}

/// Numbers of rank 0 for all: ranks on unlike machines round eigenvectors differently, and go on together.
void broadcast(BV X, SmallMatrix &matrix) {
  check_mpi(MPI_Bcast(matrix.values.data(), static_cast<int>(matrix.values.size()), MPIU_SCALAR, 0,
                      PetscObjectComm((PetscObject)X)));
}

/// The transformation X -> X S that makes the columns of X nearly orthonormal, and its inverse.
struct Step {
  SmallMatrix apply, inverse;  // (b, r), (r, b)
  PetscReal defect = 0;        ///< largest entry of |X^T X - 1| before
};

Step orthonormal_step(const SmallMatrix &gram, PetscInt r) {
  const PetscInt b = gram.rows;
  Step step{{b, r}, {r, b}, 0};
  SmallMatrix scaled = gram;
  std::vector<PetscReal> norm(static_cast<std::size_t>(b));
  for (PetscInt j = 0; j < b; ++j) norm[static_cast<std::size_t>(j)] = std::sqrt(gram(j, j));
  for (PetscInt j = 0; j < b; ++j)
    for (PetscInt i = 0; i < b; ++i) {
      step.defect = std::max(step.defect, std::abs(gram(i, j) - (i == j ? 1 : 0)));
      scaled(i, j) /= norm[static_cast<std::size_t>(i)] * norm[static_cast<std::size_t>(j)];
    }
  const std::vector<PetscReal> values = eigen_decompose(scaled);  // ascending: the last r are kept
  const PetscReal floor = 10 * static_cast<PetscReal>(b) * PETSC_MACHINE_EPSILON * values.back();
  for (PetscInt k = 0; k < r; ++k) {
    const PetscInt from = b - r + k;
    const PetscReal root = std::sqrt(std::max(values[static_cast<std::size_t>(from)], floor));
    for (PetscInt i = 0; i < b; ++i) {
      step.apply(i, k) = scaled(i, from) / (root * norm[static_cast<std::size_t>(i)]);
      step.inverse(k, i) = scaled(i, from) * root * norm[static_cast<std::size_t>(i)];
    }
  }
  return step;
}

/// Columns that are zero to rounding become random, and their rows of R vanish. Returns whether there were any.
bool replace_zeros(BV X, const SmallMatrix &gram, PetscReal zero, SmallMatrix &R, RandomSource &random) {
  bool any = false;
  for (PetscInt j = 0; j < gram.rows; ++j) {
    FLASHRING_CHECK(std::isfinite(gram(j, j)), "a vector of a block has numbers that are not finite");
    if (gram(j, j) > zero * zero) continue;
    any = true;
    set_random_column(X, j, random);
    for (PetscInt i = 0; i < R.columns; ++i) R(j, i) = 0;
  }
  return any;
}

}  // namespace

void set_random(Vec v, std::uint64_t seed, std::uint64_t minor) {
  PetscInt first = 0;
  PetscInt last = 0;
  PetscScalar *array = nullptr;
  check_petsc(VecGetOwnershipRange(v, &first, &last), "VecGetOwnershipRange");
  check_petsc(VecGetArrayWrite(v, &array), "VecGetArrayWrite");
  for (PetscInt i = first; i < last; ++i)
    array[i - first] = random_normal(seed, RandomStream::start_vector, static_cast<std::uint64_t>(i), minor);
  check_petsc(VecRestoreArrayWrite(v, &array), "VecRestoreArrayWrite");
}

void set_random_column(BV block, PetscInt column, RandomSource &random) {
  Vec v = nullptr;
  check_petsc(BVGetColumn(block, column, &v), "BVGetColumn");
  set_random(v, random.seed, random.used++);
  check_petsc(BVRestoreColumn(block, column, &v), "BVRestoreColumn");
}

void copy_columns(BV from, PetscInt begin, BV to, PetscInt place, PetscInt count) {
  if (count == 0) return;
  check_petsc(BVSetActiveColumns(from, begin, begin + count), "BVSetActiveColumns");
  check_petsc(BVSetActiveColumns(to, place, place + count), "BVSetActiveColumns");
  check_petsc(BVCopy(from, to), "BVCopy");
}

SmallMatrix inner_products(BV V, PetscInt m, BV X, PetscInt b) {
  SmallMatrix H(m, b);
  if (m == 0 || b == 0) return H;
  check_petsc(BVSetActiveColumns(V, 0, m), "BVSetActiveColumns");
  check_petsc(BVSetActiveColumns(X, 0, b), "BVSetActiveColumns");
  check_petsc(BVDot(X, V, DenseView(H).get()), "BVDot");
  return H;
}

std::vector<PetscReal> squared_columns(const SmallMatrix &H) {
  std::vector<PetscReal> squares(static_cast<std::size_t>(H.columns), 0.0);
  for (PetscInt j = 0; j < H.columns; ++j)
    for (PetscInt i = 0; i < H.rows; ++i) squares[static_cast<std::size_t>(j)] += H(i, j) * H(i, j);
  return squares;
}

void subtract_product(BV X, PetscInt b, BV V, PetscInt m, const SmallMatrix &H) {
  if (m == 0 || b == 0) return;
  SmallMatrix copy = H;
  check_petsc(BVSetActiveColumns(V, 0, m), "BVSetActiveColumns");
  check_petsc(BVSetActiveColumns(X, 0, b), "BVSetActiveColumns");
  check_petsc(BVMult(X, -1, 1, V, DenseView(copy).get()), "BVMult");
}

SmallMatrix orthonormalize(BV V, PetscInt m, BV X, PetscInt b, PetscReal scale, RandomSource &random) {
  PetscInt n = 0;
  PetscInt constraints = 0;
  check_petsc(BVGetSizes(X, nullptr, &n, nullptr), "BVGetSizes");
  check_petsc(BVGetNumConstraints(V, &constraints), "BVGetNumConstraints");
  const PetscInt r = std::max<PetscInt>(0, std::min(b, n - constraints - m));
  // Of an inner product of unit vectors: errors of n additions add up like sqrt(n), with blocks like fewer; and not
  // below what a transformation of b columns leaves.
  const PetscReal rounding = std::max(1e-13, 10 * std::sqrt(static_cast<PetscReal>(n)) * PETSC_MACHINE_EPSILON);
  SmallMatrix R(b, b);
  for (PetscInt j = 0; j < b; ++j) R(j, j) = 1;
  if (r == 0) return {0, b};
  PetscReal zero = rounding * scale;
  PetscReal taken = HUGE_VAL;
  constexpr int most_rounds = 8;
  for (int round = 0; round < most_rounds; ++round) {
    const PetscInt width = round == 0 ? b : r;
    SmallMatrix gram = inner_products(X, width, X, width);
    broadcast(X, gram);
    if (replace_zeros(X, gram, zero, R, random)) {
      project(V, m, X, width);
      gram = inner_products(X, width, X, width);
    }
    Step step = orthonormal_step(gram, r);
    broadcast(X, step.apply);
    broadcast(X, step.inverse);
    if (step.defect < rounding * static_cast<PetscReal>(r) && taken < rounding) return R;
    check_petsc(BVSetActiveColumns(X, 0, width), "BVSetActiveColumns");
    check_petsc(BVMultInPlace(X, DenseView(step.apply).get(), 0, r), "BVMultInPlace");
    R = product(step.inverse, R);
    taken = project(V, m, X, r);
    zero = rounding;
  }
  throw Error(
      "a block of vectors cannot be made orthonormal; the matrix gives numbers that are not finite, or is not the "
      "same in every product");
}

}  // namespace flashring

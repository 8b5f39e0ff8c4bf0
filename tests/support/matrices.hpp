// Sparse matrices of PETSc whose eigenvalues are known.
#pragma once

#include <petscmat.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "flashring/petsc_mat.hpp"

namespace flashring::test {

/// Diagonal of given values: eigenvectors are unit vectors.
inline Mat diagonal(const std::vector<double> &values) {
  Mat A = nullptr;
  const auto n = static_cast<PetscInt>(values.size());
  PetscInt first = 0;
  PetscInt last = 0;
  check_petsc(MatCreateAIJ(PETSC_COMM_WORLD, PETSC_DECIDE, PETSC_DECIDE, n, n, 1, nullptr, 0, nullptr, &A), "create");
  check_petsc(MatGetOwnershipRange(A, &first, &last), "range");
  for (PetscInt i = first; i < last; ++i)
    check_petsc(MatSetValue(A, i, i, values[static_cast<std::size_t>(i)], INSERT_VALUES), "set");
  check_petsc(MatAssemblyBegin(A, MAT_FINAL_ASSEMBLY), "begin");
  check_petsc(MatAssemblyEnd(A, MAT_FINAL_ASSEMBLY), "end");
  return A;
}

inline Mat tridiagonal(PetscInt n, double below, double on, double above) {
  Mat A = nullptr;
  PetscInt first = 0;
  PetscInt last = 0;
  check_petsc(MatCreateAIJ(PETSC_COMM_WORLD, PETSC_DECIDE, PETSC_DECIDE, n, n, 3, nullptr, 2, nullptr, &A), "create");
  check_petsc(MatGetOwnershipRange(A, &first, &last), "range");
  for (PetscInt i = first; i < last; ++i)
    for (PetscInt j = std::max<PetscInt>(0, i - 1); j <= std::min(n - 1, i + 1); ++j)
      check_petsc(MatSetValue(A, i, j, j < i ? below : j == i ? on : above, INSERT_VALUES), "set");
  check_petsc(MatAssemblyBegin(A, MAT_FINAL_ASSEMBLY), "begin");
  check_petsc(MatAssemblyEnd(A, MAT_FINAL_ASSEMBLY), "end");
  return A;
}

/// -u'' on n points of a line: values 2 - 2 cos(pi k / (n + 1)).
inline Mat laplacian(PetscInt n) { return tridiagonal(n, -1, 2, -1); }

/// Blocks (r cos t, r sin t; -r sin t, r cos t) along the diagonal: values r exp(+-i t), r = 1, 0.9, 0.9^2, ...
inline Mat rotations(PetscInt count, double t) {
  Mat A = nullptr;
  PetscInt first = 0;
  PetscInt last = 0;
  check_petsc(
      MatCreateAIJ(PETSC_COMM_WORLD, PETSC_DECIDE, PETSC_DECIDE, 2 * count, 2 * count, 2, nullptr, 1, nullptr, &A),
      "create");
  check_petsc(MatGetOwnershipRange(A, &first, &last), "range");
  for (PetscInt i = first; i < last; ++i) {
    const double r = std::pow(0.9, static_cast<double>(i / 2));
    check_petsc(MatSetValue(A, i, i, r * std::cos(t), INSERT_VALUES), "set");
    check_petsc(MatSetValue(A, i, i ^ 1, (i % 2 == 0 ? r : -r) * std::sin(t), INSERT_VALUES), "set");
  }
  check_petsc(MatAssemblyBegin(A, MAT_FINAL_ASSEMBLY), "begin");
  check_petsc(MatAssemblyEnd(A, MAT_FINAL_ASSEMBLY), "end");
  return A;
}

}  // namespace flashring::test

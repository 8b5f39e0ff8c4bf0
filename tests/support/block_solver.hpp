// The block solver on any matrix, by the interface of SLEPc.
#pragma once

#include <gtest/gtest.h>
#include <slepceps.h>

#include <vector>

#include "flashring/block_krylov_schur.h"
#include "flashring/petsc_mat.hpp"

namespace flashring::test {

/// Another reference to a matrix, for an owner of its own.
inline Mat share(Mat A) {
  check_petsc(PetscObjectReference(reinterpret_cast<PetscObject>(A)), "reference");
  return A;
}

/// The largest values of a matrix, which the solver owns from now on; residuals 1e-10. `block` 0: chosen by cost.
struct BlockSolver {
  BlockSolver(Mat matrix, int pairs, int block, EPSProblemType type = EPS_HEP) : A(matrix) {
    check_petsc(FlashringRegisterAll(), "register");
    check_petsc(EPSCreate(PETSC_COMM_WORLD, &eps), "create");
    check_petsc(EPSSetOperators(eps, A, nullptr), "operators");
    check_petsc(EPSSetProblemType(eps, type), "type");
    check_petsc(EPSSetType(eps, EPSBLOCKKRYLOVSCHUR), "type");
    check_petsc(EPSSetWhichEigenpairs(eps, EPS_LARGEST_REAL), "which");
    check_petsc(EPSSetDimensions(eps, pairs, PETSC_DEFAULT, PETSC_DEFAULT), "dimensions");
    check_petsc(EPSSetTolerances(eps, 1e-10, PETSC_DEFAULT), "tolerances");
    check_petsc(EPSBlockKrylovSchurSetBlockSize(eps, block), "block");
  }
  BlockSolver(const BlockSolver &) = delete;
  BlockSolver &operator=(const BlockSolver &) = delete;
  ~BlockSolver() {
    EPSDestroy(&eps);
    MatDestroy(&A);
  }
  /// Values of the pairs that converged, and their true residuals at most.
  std::vector<double> solve(double residual = 1e-8) const {
    check_petsc(EPSSetFromOptions(eps), "options");
    check_petsc(EPSSolve(eps), "solve");
    PetscInt found = 0;
    check_petsc(EPSGetConverged(eps, &found), "converged");
    std::vector<double> values;
    for (PetscInt k = 0; k < found; ++k) {
      PetscScalar value = 0;
      PetscReal error = 0;
      check_petsc(EPSGetEigenvalue(eps, k, &value, nullptr), "value");
      check_petsc(EPSComputeError(eps, k, EPS_ERROR_ABSOLUTE, &error), "error");
      EXPECT_LT(error, residual) << "pair " << k << " of value " << value;
      values.push_back(value);
    }
    return values;
  }
  PetscInt block() const {
    PetscInt size = 0;
    check_petsc(EPSBlockKrylovSchurGetBlockSize(eps, &size), "block");
    return size;
  }
  PetscInt steps() const {
    PetscInt count = 0;
    check_petsc(EPSGetIterationNumber(eps, &count), "iterations");
    return count;
  }
  EPSConvergedReason reason() const {
    EPSConvergedReason why = EPS_CONVERGED_ITERATING;
    check_petsc(EPSGetConvergedReason(eps, &why), "reason");
    return why;
  }

  Mat A = nullptr;
  EPS eps = nullptr;
};

}  // namespace flashring::test

#include "solve/ritz_pairs.hpp"

#include <slepc/private/epsimpl.h>

#include <algorithm>
#include <cmath>

#include "flashring/check.hpp"
#include "flashring/petsc_mat.hpp"

namespace flashring {

void solve_projected(EPS eps, const BlockState &state) {
  DS ds = eps->ds;
  const bool symmetric = eps->ishermitian == PETSC_TRUE;
  check_petsc(DSSetDimensions(ds, state.m, state.locked, 0), "DSSetDimensions");
  {
    ProjectedArray A(ds, DS_MAT_A);
    for (PetscInt j = 0; j < state.m; ++j)
      for (PetscInt i = 0; i < state.m; ++i)
        A(i, j) = symmetric ? 0.5 * (state.projected(i, j) + state.projected(j, i)) : state.projected(i, j);
  }
  check_petsc(DSSetState(ds, DS_STATE_RAW), "DSSetState");
  check_petsc(DSSolve(ds, eps->eigr, eps->eigi), "DSSolve");
  check_petsc(DSSort(ds, eps->eigr, eps->eigi, nullptr, nullptr, nullptr), "DSSort");
  check_petsc(DSSynchronize(ds, eps->eigr, eps->eigi), "DSSynchronize");
  if (symmetric) std::fill_n(eps->eigi, state.m, 0.0);
}

void check_symmetric(const BlockState &state, const SmallMatrix &products, PetscInt begin, PetscReal noise) {
  constexpr PetscReal rounding = 1e-5;  // also of matrices that are known through inexact solutions
  constexpr PetscReal safety = 20;      // noise is a norm on the average
  PetscReal off = 0;
  for (PetscInt j = 0; j < products.columns; ++j)
    for (PetscInt i = state.locked; i < state.m; ++i) {
      const PetscScalar other = i < begin ? state.projected(i, begin + j) : products(begin + j, i - begin);
      off = std::max(off, std::abs(products(i, j) - other));
    }
  FLASHRING_CHECK(off <= (rounding + safety * noise) * state.scale,
                  "the matrix is not symmetric: u'Av and v'Au differ by ", off,
                  " for unit vectors u and v of the basis; the problem type is EPS_NHEP (-eps_non_hermitian)");
}

ProductErrors::Pair measure_pair(const BlockState &state, ProjectedArray &Y, PetscInt j, PetscInt width) {
  PetscReal residual = 0;
  PetscReal newest = 0;
  PetscReal norm = 0;
  for (PetscInt c = j; c < j + width; ++c) {
    for (PetscInt k = 0; k < state.m; ++k) norm += Y(k, c) * Y(k, c);
    for (PetscInt k = state.newest; k < state.m; ++k) newest += Y(k, c) * Y(k, c);
    for (PetscInt i = 0; i < state.coupling.rows; ++i) {
      PetscScalar sum = 0;
      for (PetscInt k = state.newest; k < state.m; ++k) sum += state.coupling(i, k) * Y(k, c);
      residual += sum * sum;
    }
  }
  return {std::sqrt(residual / norm), 0, 0, std::sqrt(newest / norm)};
}

ConvergenceTest::ConvergenceTest(EPS eps) : eps_(eps) {
  // A shift moves values and leaves residuals, so these are compared with the values of the matrix itself.
  PetscBool shifted = PETSC_FALSE;
  check_petsc(PetscObjectTypeCompare((PetscObject)eps->st, STSHIFT, &shifted), "PetscObjectTypeCompare");
  back_transform_ = shifted == PETSC_TRUE || eps->conv == EPS_CONV_NORM;
}

PetscReal ConvergenceTest::error(PetscScalar re, PetscScalar im, PetscReal norm) const {
  PetscReal estimate = 0;
  if (back_transform_) check_petsc(STBackTransform(eps_->st, 1, &re, &im), "STBackTransform");
  check_petsc((*eps_->converged)(eps_, re, im, norm, &estimate, eps_->convergedctx), "convergence test");
  return estimate;
}

PetscReal ConvergenceTest::tolerance() const { return eps_->tol; }

}  // namespace flashring

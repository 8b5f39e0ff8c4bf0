// Ritz pairs of a block Krylov decomposition: the projected problem, residuals of its vectors, and when they will do.
#pragma once

#include <slepceps.h>

#include "solve/block_state.hpp"
#include "solve/product_errors.hpp"
#include "solve/projected_array.hpp"

namespace flashring {

/// Ritz values of H into eigr and eigi in the order that was asked for, behind the locked ones; Schur vectors in the
/// DS.
void solve_projected(EPS eps, const BlockState &state);

/// Throws Error where V^T A V(:, begin : m) is not what a symmetric A gives: H has its upper part from products before.
/// Start vectors are random or nearly, so that this finds any A that differs much from its transpose. noise: the
/// largest of products, relative to |A|.
void check_symmetric(const BlockState &state, const SmallMatrix &products, PetscInt begin, PetscReal noise);

/// Residual of columns [j, j + width) of Y, real and imaginary part of one vector, and their entries in the newest
/// block, both relative to all of them. noise and limit are left zero.
ProductErrors::Pair measure_pair(const BlockState &state, ProjectedArray &Y, PetscInt j, PetscInt width);

/// SLEPc's convergence test, for values of the matrix itself.
class ConvergenceTest {
 public:
  explicit ConvergenceTest(EPS eps);

  /// Error estimate of a value whose residual has that norm; it has converged where that is below -eps_tol.
  PetscReal error(PetscScalar re, PetscScalar im, PetscReal norm) const;
  /// Norm of the residual below which it converges, from an error estimate with another norm: tests grow in proportion
  /// to norms.
  PetscReal limit(PetscReal norm, PetscReal error) const { return error > 0 ? tolerance() * norm / error : HUGE_VAL; }

 private:
  PetscReal tolerance() const;

  EPS eps_;
  bool back_transform_;
};

}  // namespace flashring

// What the EPS type blockkrylovschur keeps, and its parts.
#pragma once

#include <slepceps.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>

#include "flashring/kernel_operator.hpp"

namespace flashring {

inline constexpr PetscInt most_block_size = 64;

/// Columns of a basis where nobody says how many: 10 blocks, and what few columns at a time need to keep the pairs and
/// half a basis.
constexpr PetscInt default_basis(PetscInt block, PetscInt pairs) {
  return std::max({10 * block, 2 * (pairs + block), pairs + 15});
}

/// The data of an EPS of this type.
struct BlockKrylovSchur {
  std::shared_ptr<KernelOperator> op;     ///< of a matrix of type flashring since EPSSetUp, else null
  PetscInt asked = 0;                     ///< block size, 0: choose
  PetscInt block = 0;                     ///< in use since EPSSetUp
  std::string reason;                     ///< why that one
  PetscInt most_columns = PETSC_MAX_INT;  ///< that memory allows, blocks beside the basis included
  std::uint64_t seed = 1;
  /// SLEPc's own, of symmetric problems and of others: vectors of the converged pairs.
  PetscErrorCode (*symmetric_vectors)(EPS) = nullptr;
  PetscErrorCode (*schur_vectors)(EPS) = nullptr;
};

/// What is settled before a basis is made.
struct BlockChoice {
  std::shared_ptr<KernelOperator> op;  ///< of a matrix of type flashring, else null
  PetscInt size = 1;
  std::string reason;                     ///< in words
  PetscInt most_columns = PETSC_MAX_INT;  ///< that memory allows, blocks beside the basis included
};
/// The block size of least expected seconds for nev pairs, or `asked` where that is not 0. Collective.
BlockChoice choose_block(Mat A, PetscInt nev, PetscInt asked);

/// Solves: eps is set up. Throws Error, and Interrupted.
void solve_block_krylov(EPS eps, const BlockKrylovSchur &solver);

}  // namespace flashring

/// What EPSSetType calls.
PETSC_EXTERN PetscErrorCode EPSCreate_BlockKrylovSchur(EPS eps);

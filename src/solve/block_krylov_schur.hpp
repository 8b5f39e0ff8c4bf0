// What the EPS type blockkrylovschur keeps, and its parts.
#pragma once

#include <slepceps.h>

#include <algorithm>
#include <cstdint>
#include <string>

namespace flashring {

inline constexpr PetscInt most_block_size = 64;

/// Columns of a basis where nobody says how many: 10 blocks, and what few columns at a time need to keep the pairs and
/// half a basis.
constexpr PetscInt default_basis(PetscInt block, PetscInt pairs) {
  return std::max({10 * block, 2 * (pairs + block), pairs + 15});
}

/// The data of an EPS of this type.
struct BlockKrylovSchur {
  PetscInt asked = 0;  ///< block size, 0: choose
  PetscInt block = 0;  ///< in use since EPSSetUp
  std::string reason;  ///< why that one
  std::uint64_t seed = 1;
};

/// The block size of least expected seconds for nev pairs, with the reason in words. Collective.
struct BlockChoice {
  PetscInt size = 1;
  std::string reason;
};
BlockChoice choose_block(Mat A, PetscInt nev);

/// Solves: eps is set up, block vectors of room stand behind its ncv. Throws Error, and Interrupted.
void solve_symmetric(EPS eps, const BlockKrylovSchur &solver);

}  // namespace flashring

PETSC_EXTERN PetscErrorCode EPSCreate_BlockKrylovSchur(EPS eps);

// BlockState: all of a block Krylov decomposition but its vectors, and how it is kept.
//
//   A V = V H + X C          V: basis of m columns, X: next block of width columns, H: (m, m), C: (width, m)
#pragma once

#include <vector>

#include "flashring/check.hpp"
#include "io/checkpoint_file.hpp"
#include "solve/block_basis.hpp"

namespace flashring {

struct BlockState {
  SmallMatrix projected;          // (limit, limit): H in (m, m)
  SmallMatrix coupling;           // (width, m): C
  PetscInt m = 0;                 ///< columns of the basis
  PetscInt width = 0;             ///< of the next block
  PetscInt newest = 0;            ///< columns of C before are zero; not stored, since every step sets it anew
  PetscInt locked = 0;            ///< leading pairs that stay as they are
  PetscInt steps = 0;             ///< products so far
  PetscReal scale = 0;            ///< the matrix has a norm of at least that
  bool scouting = false;          ///< all products are in the lowest precision, for a start
  RandomSource random;            ///< of columns that have no direction of their own
  std::vector<PetscReal> noise;   // (m) of the products with every column, relative to |A|
  std::vector<PetscReal> errors;  // (locked) error estimates
};

/// One of a checkpoint's integers or reals. Throws Error where it is missing.
template <class Numbers>
typename Numbers::mapped_type stored_number(const Numbers &numbers, const char *name) {
  const auto found = numbers.find(name);
  FLASHRING_CHECK(found != numbers.end(), "the checkpoint has no number '", name,
                  "'; it is not one of this version's blockkrylovschur");
  return found->second;
}

/// Adds numbers and small arrays of the state.
void store(const BlockState &state, CheckpointState &checkpoint);

/// The state that was stored. `limit`: columns of the basis that there is room for. Throws Error where a number is
/// missing or they do not fit each other.
BlockState load_block_state(const CheckpointState &checkpoint, PetscInt limit);

}  // namespace flashring

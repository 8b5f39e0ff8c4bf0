// What the EPS type blockkrylovschur keeps, and its parts.
#pragma once

#include <slepceps.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "flashring/kernel_operator.hpp"
#include "io/checkpoint_claim.hpp"
#include "io/checkpoint_reader.hpp"

namespace flashring {

inline constexpr PetscInt most_block_size = 64;

/// Bytes of a rank that a basis may take: as asked, or half of what is free.
constexpr double basis_bytes(double asked, double free) { return asked > 0 ? asked : 0.5 * free; }

/// Small blocks restart too often with ten of them: 108 passes with 40 columns became 79 with 80, in 17 % less time.
inline constexpr PetscInt least_basis = 80;

/// Columns of a basis for these pairs: ncv, or what follows from mpd, each where it is at least 1; else 10 blocks, 80
/// columns or what few columns at a time need to keep the pairs and half a basis, two blocks less than `most` if there
/// is room for the pairs and a block.
constexpr PetscInt basis_columns(PetscInt block, PetscInt pairs, PetscInt ncv, PetscInt mpd, PetscInt most) {
  if (ncv >= 1) return ncv;
  if (mpd >= 1) return pairs + std::max(mpd, 2 * block);
  const PetscInt usual = std::max({10 * block, 2 * (pairs + block), pairs + 15, least_basis});
  return std::min(usual, std::max(pairs + block, most - 2 * block));
}

/// A block chosen for nev pairs, halved until a basis of `most` columns holds the pairs and three blocks.
constexpr PetscInt fit_block(PetscInt block, PetscInt nev, PetscInt most) {
  while (block > 1 && nev + 3 * block > most) block /= 2;
  return block;
}

/// Columns that fit into so many bytes of a rank with so many rows.
constexpr PetscInt columns_in(double bytes, double rows) {
  return static_cast<PetscInt>(std::min<double>(PETSC_MAX_INT, bytes / (8 * std::max(1.0, rows))));
}

/// Where the state of the solver is kept, and what it goes on from.
struct CheckpointOptions {
  std::string file;                            ///< empty: none is written
  double every = 600;                          ///< seconds
  std::string restart;                         ///< a checkpoint to go on from, or empty
  std::unique_ptr<CheckpointClaim> claim;      ///< of `file`, from set-up to the end of the solution
  std::shared_ptr<CheckpointReader> reader;    ///< of `restart`, from set-up to the end of the solution
  std::shared_ptr<Communicator> communicator;  ///< of matrices without a kernel operator
};

/// What is settled before a basis is made.
struct BlockChoice {
  std::shared_ptr<KernelOperator> op;     ///< of a matrix of type flashring, else null
  PetscInt size = 0;                      ///< of a block
  std::string reason;                     ///< in words
  PetscInt most_columns = PETSC_MAX_INT;  ///< that memory allows, blocks beside the basis included
};

/// The data of an EPS of this type.
struct BlockKrylovSchur {
  PetscInt asked = 0;  ///< block size, 0: choose
  BlockChoice choice;  ///< in use since EPSSetUp
  std::uint64_t seed = 1;
  CheckpointOptions checkpoint;
  std::vector<std::string> findings;  ///< of the last solution, in words: files that could not be written
  std::string ramp;                   ///< precisions of the last solution in words, empty where there was one
  /// SLEPc's own, of symmetric problems and of others: vectors of the converged pairs.
  PetscErrorCode (*symmetric_vectors)(EPS) = nullptr;
  PetscErrorCode (*schur_vectors)(EPS) = nullptr;
};

/// What a choice of block has to know of products.
struct ProductCosts {
  double one = 0;  ///< seconds with one column
  Precision precision = Precision::fp64;
  bool on_device = false;
  std::function<double(int)> with;  ///< seconds with so many columns, measured when asked. Collective
};

/// Whether products are so long that measuring what they cost, some 20 ms each time, saves more than it takes.
bool measuring_pays(const ProductCosts &costs);

/// Of the products of an operator. Collective.
ProductCosts costs_of(KernelOperator &op);

struct BlockSize {
  PetscInt columns = 0;
  std::string reason;  ///< in words
};

/// The block of least expected seconds for nev pairs; the usual one where measuring does not pay. `rows`: of the rank
/// with most. Collective.
BlockSize cheapest_block(const ProductCosts &costs, double rows, PetscInt nev);

/// Of a matrix of type flashring, else null.
std::shared_ptr<KernelOperator> kernel_operator_of(Mat A);

/// The block size of least expected seconds for nev pairs, or `asked` where that is not 0. Collective.
BlockChoice choose_block(Mat A, PetscInt nev, PetscInt asked);

/// Solves: eps is set up. Throws Error, and Interrupted.
void solve_block_krylov(EPS eps, BlockKrylovSchur &solver);

}  // namespace flashring

/// What EPSSetType calls.
PETSC_EXTERN PetscErrorCode EPSCreate_BlockKrylovSchur(EPS eps);

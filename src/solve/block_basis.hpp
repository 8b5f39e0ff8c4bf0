// Blocks of distributed vectors: products with small matrices, random columns, orthonormal blocks.
#pragma once

#include <slepcbv.h>

#include <cstdint>
#include <vector>

namespace flashring {

/// A small dense matrix, the same on every rank, column-major.
struct SmallMatrix {
  SmallMatrix() = default;
  SmallMatrix(PetscInt m, PetscInt n)
      : rows(m), columns(n), values(static_cast<std::size_t>(m) * static_cast<std::size_t>(n), 0.0) {}
  std::size_t at(PetscInt i, PetscInt j) const {
    return static_cast<std::size_t>(i) + static_cast<std::size_t>(j) * static_cast<std::size_t>(rows);
  }
  PetscScalar &operator()(PetscInt i, PetscInt j) { return values[at(i, j)]; }
  const PetscScalar &operator()(PetscInt i, PetscInt j) const { return values[at(i, j)]; }
  PetscInt rows = 0, columns = 0;
  std::vector<PetscScalar> values;
};

/// Normal random numbers, counted by row, the same for any number of ranks; `minor` tells vectors of one seed apart.
void set_random(Vec v, std::uint64_t seed, std::uint64_t minor);

/// Random vectors one after the other.
struct RandomSource {
  std::uint64_t seed = 1;
  std::uint64_t used = 0;
};

/// The next such vector in a column of a block.
void set_random_column(BV block, PetscInt column, RandomSource &random);

/// to(:, place : place + count) = from(:, begin : begin + count).
void copy_columns(BV from, PetscInt begin, BV to, PetscInt place, PetscInt count);

/// V(:, 0:m)^T X(:, 0:b), (m, b).
SmallMatrix inner_products(BV V, PetscInt m, BV X, PetscInt b);
/// Squares of the 2-norms of the columns.
std::vector<PetscReal> squared_columns(const SmallMatrix &H);
/// X(:, 0:b) -= V(:, 0:m) H.
void subtract_product(BV X, PetscInt b, BV V, PetscInt m, const SmallMatrix &H);

/// Makes X(:, 0:b), orthogonal to V(:, 0:m) up to rounding of numbers of size `scale`, orthonormal among themselves and
/// to V (and the constraints of V): X = Q R, and Q takes the place of X. Returns R (r, b), r = min(b, n - m). Columns
/// that are zero to rounding are replaced by random ones, whose rows of R vanish. Every round takes the inverse square
/// root of the scaled Gram matrix, small eigenvalues raised to what rounding can tell (Stathopoulos, Wu, SIAM J. Sci.
/// Comput. 23 (2002) 2165), and projects once more: 8 n_local b (b + m) flops and two reductions; two or three rounds.
SmallMatrix orthonormalize(BV V, PetscInt m, BV X, PetscInt b, PetscReal scale, RandomSource &random);

}  // namespace flashring

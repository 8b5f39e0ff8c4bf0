// The block size of least expected seconds.
//
//   seconds(p) = steps(p) (product of p columns + orthogonalisation + projected problem),  steps(p) ~ p^-0.62
//
// The exponent is that of block Lanczos on the spectra of diffusion maps, slow, medium and fast alike: 192, 117, 74,
// 48, 32, 22, 15 steps for p = 1, 2, 4, ..., 64 where decay is slow (docs/mathematics.md).
#include <array>
#include <cmath>
#include <cstdio>

#include "flashring/petsc_mat.hpp"
#include "solve/block_krylov_schur.hpp"

namespace flashring {
namespace {

constexpr double steps_exponent = 0.62;
/// Flops a second that tall products and small eigenproblems reach on one core: an estimate, it decides only where
/// passes cost next to nothing.
constexpr double dense_rate = 4e9;

/// Beside the product: vectors against a basis of 5 to 10 blocks, and all eigenpairs of the projected matrix.
double dense_seconds(double local_rows, double p, double nev) {
  const double basis = std::max(0.75 * 10 * p, nev + 10);
  return (12 * local_rows * basis * p + 9 * basis * basis * basis) / dense_rate;
}

}  // namespace

BlockChoice choose_block(Mat A, PetscInt nev) {
  std::shared_ptr<KernelOperator> op;
  PetscBool ours = PETSC_FALSE;
  check_petsc(PetscObjectTypeCompare((PetscObject)A, MATFLASHRING, &ours), "PetscObjectTypeCompare");
  if (ours == PETSC_TRUE) check_petsc(mat_get_operator(A, &op), "mat_get_operator");
  if (op == nullptr) return {std::min<PetscInt>(nev, 8), "of a matrix whose products have no known cost"};
  const double rows = op->communicator().max(static_cast<double>(op->local_rows()));
  BlockChoice best;
  double least = HUGE_VAL;
  double one = 0;
  for (int p = 1; p <= most_block_size; p *= 2) {
    const double cost = op->cost(p);
    const double seconds = std::pow(p, -steps_exponent) * (cost + dense_seconds(rows, p, static_cast<double>(nev)));
    if (p == 1) one = cost;
    if (seconds >= least) continue;
    least = seconds;
    std::array<char, 96> text{};
    std::snprintf(text.data(), text.size(), "least expected seconds: a product costs %.3g s, with one vector %.3g s",
                  cost, one);
    best = {p, text.data()};
  }
  return best;
}

}  // namespace flashring

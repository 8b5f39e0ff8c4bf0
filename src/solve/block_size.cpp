// The block size of least expected seconds.
//
//   seconds(p) = steps(p) (product of p columns + orthogonalisation + projected problem),  steps(p) ~ p^-0.62
//
// Products are of several precisions where the solver may take them, each with its share of the steps. Powers of two
// are measured from 8 on in the direction that gains; the sizes halfway to the neighbours of the best one follow.
//
// The exponent is that of block Lanczos on the spectra of diffusion maps, slow, medium and fast alike: 192, 117, 74,
// 48, 32, 22, 15 steps for p = 1, 2, 4, ..., 64 where decay is slow (docs/flashring-diffmap.md has others).
//
// Measuring what products cost takes 20 ms a size: more than it can save where a product takes little. There the size
// is one that lost least over 20 sets of points with 3 to 64 features, up to 20,000 of them, on CPUs: on average 7 %
// over the best of all sizes for each set (docs/flashring-bench-eigen.md).
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "flashring/memory.hpp"
#include "flashring/petsc_mat.hpp"
#include "flashring/tile.hpp"
#include "solve/block_krylov_schur.hpp"
#include "solve/precision_ramp.hpp"

namespace flashring {
namespace {

constexpr double steps_exponent = 0.62;
/// Flops a second that tall products and small eigenproblems reach on one core, measured with 4,000 points.
constexpr double dense_rate = 1.3e10;

/// Sizes where products take little: of columns in fp64, and in lower precisions, where a column more costs more beside
/// the weights. They find repeated eigenvalues.
constexpr PetscInt usual_block = 8;
constexpr PetscInt usual_low_block = 4;
constexpr int first_measured = 8;
constexpr int least_measured = first_measured / 2;

/// Beside the product: vectors against a basis of 5 to 10 blocks, and all eigenpairs of the projected matrix.
double dense_seconds(double local_rows, double p, double nev) {
  const double basis = std::max(0.75 * 10 * p, nev + 10);
  return (12 * local_rows * basis * p + 9 * basis * basis * basis) / dense_rate;
}

}  // namespace

bool measuring_pays(const ProductCosts &costs) {
  constexpr double host = 0.1;
  constexpr double device = 0.005;  // 32 columns cost there what 8 do
  return costs.one > (costs.on_device ? device : host);
}

ProductCosts costs_of(KernelOperator &op) {
  return {op.pass_seconds(), op.options().precision, find_backend(op.options().backend).device != nullptr,
          [&op](int columns) {
            return mixed_seconds(precisions_of(op.options()),
                                 [&](Precision precision) { return op.cost(columns, precision); });
          }};
}

BlockSize cheapest_block(const ProductCosts &costs, double rows, PetscInt nev) {
  std::array<char, 96> text{};
  if (!measuring_pays(costs)) {
    std::snprintf(text.data(), text.size(), "usual where a product takes little, here %.3g s", costs.one);
    return {std::min(costs.precision == Precision::fp64 ? usual_block : usual_low_block, 2 * nev), text.data()};
  }
  BlockSize best;
  double least = HUGE_VAL;
  const auto gains = [&](int p) {
    const double cost = costs.with(p);
    const double seconds = std::pow(p, -steps_exponent) * (cost + dense_seconds(rows, p, static_cast<double>(nev)));
    if (seconds >= least) return false;
    least = seconds;
    std::snprintf(text.data(), text.size(), "least expected seconds: a product costs %.3g s, with one vector %.3g s",
                  cost, costs.one);
    best = {p, text.data()};
    return true;
  };
  int power = first_measured;
  gains(power);
  while (2 * power <= most_block_size && gains(2 * power)) power *= 2;
  if (power == first_measured && gains(least_measured)) power = least_measured;
  const bool above = 2 * power <= most_block_size && gains(power / 2 * 3);
  if (!above && power > least_measured) gains(power / 4 * 3);
  return best;
}

std::shared_ptr<KernelOperator> kernel_operator_of(Mat A) {
  std::shared_ptr<KernelOperator> op;
  PetscBool ours = PETSC_FALSE;
  check_petsc(PetscObjectTypeCompare((PetscObject)A, MATFLASHRING, &ours), "PetscObjectTypeCompare");
  if (ours == PETSC_TRUE) check_petsc(mat_get_operator(A, &op), "mat_get_operator");
  return op;
}

BlockChoice choose_block(Mat A, PetscInt nev, PetscInt asked) {
  const std::shared_ptr<KernelOperator> op = kernel_operator_of(A);
  if (op == nullptr && asked == 0)
    return {nullptr, std::min(nev, usual_block), "of a matrix whose products have no known cost"};
  BlockChoice choice{op, asked, "as asked"};
  if (op == nullptr) return choice;
  const double rows = op->communicator().max(static_cast<double>(op->local_rows()));
  if (asked == 0) {
    const BlockSize best = cheapest_block(costs_of(*op), rows, nev);
    choice.size = best.columns;
    choice.reason = best.reason;
  }
  choice.most_columns = columns_in(basis_bytes(op->options().memory, memory_room(op->communicator()).bytes), rows);
  if (asked == 0) choice.size = fit_block(choice.size, nev, choice.most_columns);
  return choice;
}

}  // namespace flashring

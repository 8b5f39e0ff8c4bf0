// ColumnCg: conjugate gradients for several systems side by side, one product of all their columns a step.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "flashring/communicator.hpp"

namespace flashring {

/// y_c = A_c x_c for the columns of `list`, which may come more than once: x and y are (rows, list.size()). Collective.
using ColumnProduct = std::function<void(std::span<const int> list, const double *x, double *y)>;

/// Symmetric positive definite systems A_c x_c = b_c, one for each column. Arrays hold the rows of this rank, column
/// after column.
struct ColumnSystems {
  std::size_t rows = 0;
  std::vector<double> inverse_diagonal;  // (rows, columns), the preconditioner D^-1
  double rounding = 0;  ///< of products, relative: a direction d with d'A d below that part of d'd has no curvature
  ColumnProduct product;
};

/// A space in which a system is solved exactly at every step: Z and A Z with Z'AZ = 1.
struct CoarseSpace {
  std::vector<double> basis, product;  // (rows, size)
  std::size_t size = 0;                ///< the same on every rank
};

class ColumnCg {
 public:
  /// Starts from x = 0, so that the residuals are `right_sides`, (rows, columns). A column has converged when the
  /// 2-norm of its residual is at most its tolerance, (columns). The communicator and the systems must outlive this.
  /// Collective, as all calls that are not const.
  ColumnCg(const Communicator &communicator, const ColumnSystems &systems, std::vector<double> right_sides,
           std::vector<double> tolerances);

  /// From here on column c has spaces[c], or none where that is null; they must outlive this. x and residuals are
  /// corrected in these spaces, which takes no product, and directions start anew.
  void set_coarse(std::vector<const CoarseSpace *> spaces);
  /// At most so many steps, one product each; fewer where all columns converge.
  void run(int steps);

  bool converged() const;
  /// A has no curvature along a direction of that column, to rounding: it takes no more steps, and has not converged.
  bool singular(int column) const { return singular_[static_cast<std::size_t>(column)] != 0; }
  int steps() const { return steps_; }
  const std::vector<double> &x() const { return x_; }                   // (rows, columns)
  const std::vector<double> &residual_norms() const { return norms_; }  // (columns), as the steps go
  /// Of the steps since directions began: x += length d, d = z + ratio d; the Lanczos matrix of D^-1 A follows from
  /// them.
  const std::vector<double> &lengths(int column) const { return lengths_[static_cast<std::size_t>(column)]; }
  const std::vector<double> &ratios(int column) const { return ratios_[static_cast<std::size_t>(column)]; }

 private:
  double *of(std::vector<double> &array, std::size_t column) const { return array.data() + column * rows_; }
  std::vector<int> open() const;
  void step(std::span<const int> list);
  void precondition(std::span<const int> list);
  std::vector<double> dots(std::span<const int> list, std::vector<double> &a, std::vector<double> &b) const;

  const Communicator &communicator_;
  const ColumnSystems &systems_;
  std::size_t rows_;
  std::vector<double> tolerances_, norms_;  // (columns)
  std::vector<double> x_, r_, z_, d_;       // (rows, columns)
  std::vector<double> rz_;                  // (columns), 0: directions begin
  std::vector<char> singular_;              // (columns)
  std::vector<std::vector<double>> lengths_, ratios_;
  std::vector<const CoarseSpace *> coarse_;
  int steps_ = 0;
};

}  // namespace flashring

// Conjugate gradients with a coarse space, several systems side by side:
//
//   z = (1 - Z Z'A) D^-1 r + Z Z' r,   Z'AZ = 1
//   q = A d,  t = (r'z)/(d'q),  x += t d,  r -= t q,   d = z + (r'z)/(r'z before) d
//
// The preconditioner is A-DEF2: with r orthogonal to Z at the start, which set_coarse sees to, the eigenvalues that Z
// stands for take no part, and errors of Z or of rounding are met by Z Z' r. A column that has converged leaves the
// product.
//
// Cost of a step: one product of the open columns, 4 k + 12 flops a row and column, three reductions. References:
// Hestenes, Stiefel, J. Res. Natl. Bur. Stand. 49 (1952) 409; Tang, Nabben, Vuik, Erlangga, J. Sci. Comput. 39 (2009)
// 340.
#include "solve/column_cg.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace flashring {
namespace {

double dot(const double *a, const double *b, std::size_t n) {
  double sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

/// y += factor x
void add(double factor, const double *x, double *y, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) y[i] += factor * x[i];
}

}  // namespace

ColumnCg::ColumnCg(const Communicator &communicator, const ColumnSystems &systems, std::vector<double> right_sides,
                   std::vector<double> tolerances)
    : communicator_(communicator),
      systems_(systems),
      rows_(systems.rows),
      tolerances_(std::move(tolerances)),
      norms_(tolerances_.size()),
      x_(right_sides.size(), 0.0),
      r_(std::move(right_sides)),
      z_(x_),
      d_(x_),
      rz_(tolerances_.size(), 0.0),
      singular_(tolerances_.size(), 0),
      lengths_(tolerances_.size()),
      ratios_(tolerances_.size()),
      coarse_(tolerances_.size(), nullptr) {
  std::vector<int> all(norms_.size());
  std::iota(all.begin(), all.end(), 0);
  const std::vector<double> squares = dots(all, r_, r_);
  for (std::size_t c = 0; c < norms_.size(); ++c) norms_[c] = std::sqrt(squares[c]);
}

bool ColumnCg::converged() const { return open().empty(); }

/// Columns that have not converged and can still.
std::vector<int> ColumnCg::open() const {
  std::vector<int> list;
  for (std::size_t c = 0; c < norms_.size(); ++c)
    if (norms_[c] > tolerances_[c] && singular_[c] == 0) list.push_back(static_cast<int>(c));
  return list;
}

void ColumnCg::set_coarse(std::vector<const CoarseSpace *> spaces) {
  coarse_ = std::move(spaces);
  for (std::size_t c = 0; c < coarse_.size(); ++c) {
    rz_[c] = 0;
    lengths_[c].clear();
    ratios_[c].clear();
    if (coarse_[c] == nullptr) continue;
    const CoarseSpace &space = *coarse_[c];
    std::vector<double> part(space.size);
    for (std::size_t k = 0; k < space.size; ++k) part[k] = dot(space.basis.data() + k * rows_, of(r_, c), rows_);
    communicator_.sum(std::span<double>(part));
    for (std::size_t k = 0; k < space.size; ++k) {
      add(part[k], space.basis.data() + k * rows_, of(x_, c), rows_);
      add(-part[k], space.product.data() + k * rows_, of(r_, c), rows_);
    }
  }
}

void ColumnCg::run(int steps) {
  for (int s = 0; s < steps; ++s) {
    const std::vector<int> list = open();
    if (list.empty()) return;
    step(list);
    ++steps_;
  }
}

/// z of the preconditioner for the columns of the list.
void ColumnCg::precondition(std::span<const int> list) {
  std::vector<double> parts;  // Z'(r - A D^-1 r), one column after the other
  for (const int column : list) {
    const auto c = static_cast<std::size_t>(column);
    for (std::size_t i = c * rows_; i < (c + 1) * rows_; ++i) z_[i] = systems_.inverse_diagonal[i] * r_[i];
    if (coarse_[c] == nullptr) continue;
    for (std::size_t k = 0; k < coarse_[c]->size; ++k)
      parts.push_back(dot(coarse_[c]->basis.data() + k * rows_, of(r_, c), rows_) -
                      dot(coarse_[c]->product.data() + k * rows_, of(z_, c), rows_));
  }
  communicator_.sum(std::span<double>(parts));
  std::size_t at = 0;
  for (const int column : list) {
    const auto c = static_cast<std::size_t>(column);
    if (coarse_[c] == nullptr) continue;
    for (std::size_t k = 0; k < coarse_[c]->size; ++k)
      add(parts[at++], coarse_[c]->basis.data() + k * rows_, of(z_, c), rows_);
  }
}

/// a'b of the columns of the list, over all ranks.
std::vector<double> ColumnCg::dots(std::span<const int> list, std::vector<double> &a, std::vector<double> &b) const {
  std::vector<double> sums;
  for (const int column : list) {
    const auto c = static_cast<std::size_t>(column);
    sums.push_back(dot(of(a, c), of(b, c), rows_));
  }
  communicator_.sum(std::span<double>(sums));
  return sums;
}

void ColumnCg::step(std::span<const int> list) {
  precondition(list);
  const std::vector<double> rz = dots(list, r_, z_);
  std::vector<double> directions(rows_ * list.size());
  std::vector<double> products(directions.size());
  for (std::size_t l = 0; l < list.size(); ++l) {
    const auto c = static_cast<std::size_t>(list[l]);
    const double ratio = rz_[c] > 0 ? rz[l] / rz_[c] : 0;
    if (rz_[c] > 0) ratios_[c].push_back(ratio);
    for (std::size_t i = 0; i < rows_; ++i) of(d_, c)[i] = of(z_, c)[i] + ratio * of(d_, c)[i];
    std::copy_n(of(d_, c), rows_, directions.data() + l * rows_);
    rz_[c] = rz[l];
  }
  systems_.product(list, directions.data(), products.data());
  std::vector<double> curvature;  // d'A d, then d'd
  for (const std::vector<double> *with : {&products, &directions})
    for (std::size_t l = 0; l < list.size(); ++l)
      curvature.push_back(dot(directions.data() + l * rows_, with->data() + l * rows_, rows_));
  communicator_.sum(std::span<double>(curvature));
  for (std::size_t l = 0; l < list.size(); ++l) {
    const auto c = static_cast<std::size_t>(list[l]);
    singular_[c] = curvature[l] > systems_.rounding * curvature[list.size() + l] ? 0 : 1;
    if (singular_[c] != 0) continue;
    const double length = rz[l] / curvature[l];
    lengths_[c].push_back(length);
    add(length, directions.data() + l * rows_, of(x_, c), rows_);
    add(-length, products.data() + l * rows_, of(r_, c), rows_);
  }
  const std::vector<double> squares = dots(list, r_, r_);
  for (std::size_t l = 0; l < list.size(); ++l) norms_[static_cast<std::size_t>(list[l])] = std::sqrt(squares[l]);
}

}  // namespace flashring

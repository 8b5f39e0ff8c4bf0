// ProductErrors: what the errors of inexact products do to the Ritz pairs of a Krylov space.
//
// The product with column k of the basis has an error of at most noise_k |A|. A unit Ritz vector y then has a residual
// of at most (sum_k (noise_k y_k)^2)^(1/2) |A| beyond the one that the Krylov relation shows, errors being independent.
// The entries of y in the next block follow from its residual: |y_next| <= growth residual / |A|, growth as the last
// block showed it for this pair. Cost: a multiplication for every entry of the wanted Ritz vectors.
#pragma once

#include <cmath>
#include <utility>
#include <vector>

#include "solve/projected_array.hpp"

namespace flashring {

class ProductErrors {
 public:
  /// Columns [begin, end) of a basis come from products with that noise, relative to |A|, and are the last ones.
  void set(PetscInt begin, PetscInt end, PetscReal noise) {
    noise_.resize(static_cast<std::size_t>(begin));
    noise_.resize(static_cast<std::size_t>(end), noise);
  }
  /// The same for columns from `begin` on, each with its own.
  void set(PetscInt begin, const std::vector<PetscReal> &noise) {
    noise_.resize(static_cast<std::size_t>(begin));
    noise_.insert(noise_.end(), noise.begin(), noise.end());
  }
  const std::vector<PetscReal> &noise() const { return noise_; }
  void restore(std::vector<PetscReal> noise) { noise_ = std::move(noise); }
  /// The basis becomes its Schur vectors from `locked` on, `count` of them; `columns` went in.
  void transform(ProjectedArray &Q, PetscInt locked, PetscInt count, PetscInt columns);
  /// Ritz values and their errors belong to another space now.
  void forget() { pairs_.clear(); }

  /// Noise that vector y = Y(:, j : j + width) feels, relative to |A| and to its norm.
  PetscReal felt(ProjectedArray &Y, PetscInt j, PetscInt width) const;

  /// A Ritz pair of the present space, in the order of the Ritz values.
  struct Pair {
    PetscReal residual = 0;       ///< that the Krylov relation shows, absolute
    PetscReal noise = 0;          ///< that it feels beyond that, absolute
    PetscReal limit = 0;          ///< of both together, absolute: converged below
    PetscReal newest = 0;         ///< norm of its entries in the newest block
    PetscReal growth = HUGE_VAL;  ///< set by record: of its entries in the next block, over residual / |A|
    bool converged() const { return residual * residual + noise * noise < limit * limit; }
  };
  /// Of a limit, what the error of one product may take.
  static PetscReal of_one_product(PetscReal limit);
  /// Takes the place of the pairs of the last step. norm: |A|.
  void record(std::vector<Pair> pairs, PetscReal norm);

  /// Noise, relative to |A|, that the next product may have so that pairs [first, wanted) can still converge.
  PetscReal allowed(PetscInt first, PetscInt wanted) const;
  /// Some of the pairs [first, wanted) feels more than it can bear, and most of it is from columns `newest` on.
  bool overrun(PetscInt first, PetscInt wanted, PetscInt newest) const;
  /// None of the pairs [first, wanted) that have not converged can get much better than it is.
  bool at_floor(PetscInt first, PetscInt wanted) const;
  /// The same, or a product with that noise would be allowed after an exact one.
  bool good_start(PetscInt first, PetscInt wanted, PetscReal noise) const;

 private:
  bool known(PetscInt wanted) const { return wanted <= static_cast<PetscInt>(pairs_.size()); }
  PetscReal share(const Pair &pair, PetscReal used) const;

  std::vector<PetscReal> noise_;  // (m) of every column, relative to |A|
  std::vector<Pair> pairs_;       // (m), empty where nothing is known
  PetscReal norm_ = 0;
};

}  // namespace flashring

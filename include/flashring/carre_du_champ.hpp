// CarreDuChamp: products of differences of functions under the transitions of a KernelOperator.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "flashring/kernel_operator.hpp"

namespace flashring {

/// P = diag(left) K diag(right), (local_rows) each: the Markov operator of a scaling, whatever the form of the
/// operator.
struct MarkovScaling {
  std::vector<double> left, right;
};

/// left = w/d and right = w o m from vectors (local_rows); `measure` may be empty: ones.
MarkovScaling markov_scaling(std::span<const double> weight, std::span<const double> degree,
                             std::span<const double> measure);

/// For functions f_0 ... f_(c-1) over the points of the operator and the generator L = P - I
///   Gamma(f_k, f_l)_i = 1/2 sum_j P_ij (f_kj - f_ki)(f_lj - f_li) = 1/2 [L(f_k f_l) - f_k L f_l - f_l L f_k]_i
/// summed as it stands first: the other form cancels where the bandwidth is narrow. For the gaussian 4 beta Gamma(f, g)
/// tends to grad f . grad g. Source: docs/mathematics.md, "Carre du champ".
class CarreDuChamp {
 public:
  /// With P of the operator as it is set up, which costs its set-up passes. The operator must outlive this. Collective.
  explicit CarreDuChamp(KernelOperator &op);
  /// With the scaling of a map of the same points; no pass. Throws Error, on every rank, where a number is not finite.
  /// Collective.
  CarreDuChamp(KernelOperator &op, MarkovScaling scaling);

  /// Gamma of all pairs, (local_rows, c(c+1)/2) column-major: column l(l+1)/2 + k for k <= l, a packed upper triangle
  /// for each row. f: (local_rows, c) with leading dimension ldf, finite, c >= 1. Computed in the operator's working
  /// precision, options().precision. Asks the operator's stop function before every pass: throws Interrupted. Throws
  /// Error, on every rank: a value that is not finite, a backend that does not sum products. Collective.
  std::vector<double> apply(const double *f, std::int64_t ldf, int functions);

  /// Passes of so many functions: one for up to m, which the backend decides (64 on CPUs), and n(n-1)/2 for
  /// n = ceil(c / floor(m/2)) blocks beyond that, each with two of the blocks. Collective.
  int passes(int functions) const;

 private:
  void check_scaling() const;
  void check_functions(const double *f, std::int64_t ldf, int functions) const;
  void fold(const double *f, std::int64_t ldf, std::span<const int> functions, std::vector<double> &gamma);

  KernelOperator &op_;
  MarkovScaling scaling_;  // left holds w/(2d)
};

}  // namespace flashring

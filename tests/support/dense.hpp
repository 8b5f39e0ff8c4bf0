// The dense operator: density, weights, degree and products of docs/mathematics.md, "Operators", in long double, with
// bounds for what a computation in fp64 (set-up) and the working precision (products) may differ by.
#pragma once

#include <string>
#include <vector>

#include "flashring/options.hpp"
#include "support/oracle.hpp"

namespace flashring::test {

class DenseOperator {
 public:
  /// `pair` with all parameters; `measure` (N) or empty. `tile_rows`: terms summed in the working precision.
  DenseOperator(const PointSet &points, const std::string &pair, double alpha, Form form, int tile_rows,
                const std::vector<double> &measure = {});

  std::size_t rows() const { return density_.size(); }
  /// Vectors of the operator with bounds for fp64. `log_shift`: k is divided by its exponential first.
  Bounded density(double log_shift = 0) const;
  Bounded weight(double log_shift = 0) const;
  Bounded degree(double log_shift = 0) const;
  Bounded diagonal() const;
  /// Y = op(X), x (N, columns) column-major.
  Bounded apply(const std::vector<double> &x, int columns, Precision precision, bool transpose = false) const;
  /// pi = measure o degree over its sum: the stationary law of markov.
  std::vector<double> stationary_law() const;

 private:
  Bounded scaled(const std::vector<Real> &values, Real factor, Real error) const;
  Real entry(std::size_t i, std::size_t j) const;

  Real alpha_;
  Form form_;
  PairTable table_;
  int tile_rows_;
  Real error_ = 0;  // of an entry of K with its sum, in units of u
  std::vector<Real> measure_, density_, weight_, degree_, left_, right_;  // (N)
};

}  // namespace flashring::test

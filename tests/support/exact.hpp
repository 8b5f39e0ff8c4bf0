// Point sets whose kernel matrix a fast transform diagonalises (docs/mathematics.md, E1 to E3): tori of regular
// polygons (Fourier) and hypercubes (Walsh-Hadamard). Everything in long double.
#pragma once

#include <string>
#include <vector>

#include "support/oracle.hpp"

namespace flashring::test {

/// A set on which all points are alike, with the gaussian of exponent beta.
struct ExactSet {
  std::string text;       ///< for generate_points
  std::string beta_text;  ///< exponent, as the user types it
  Real beta = 1;
  int n = 2, q = 1;  ///< q factors of n points; a hypercube has n = 2 and steps of length 1
  bool hypercube = false;
  std::vector<Real> kernel;  ///< (n) weights between point 0 and point j of one factor
  std::size_t rows() const;
  /// Sum of a row of K.
  Real row_sum() const;
  /// K x and K |x|.
  struct Product {
    std::vector<Real> value, magnitude;
  };
  Product product(const std::vector<double> &x) const;
  /// Error of an entry of K x or P x relative to the sum of magnitudes, for a computation of roundoff `unit` whose
  /// set-up (for P) is in fp64 with exponent alpha.
  Real relative_error(bool normalised, double unit, double alpha) const;
};

ExactSet exact_torus(int n, int q, const std::string &beta);
ExactSet exact_hypercube(int d, const std::string &beta);

/// An eigenpair of P, the vector rounded to double.
struct ExactPair {
  Real value = 0;
  std::vector<double> vector;  // (N)
};
/// cos or sin of the phase sum_f modes[f] * 2 pi index_f / n.
ExactPair torus_pair(const ExactSet &set, const std::vector<int> &modes, bool sine);
/// Parity of the bits of (row and pattern).
ExactPair walsh_pair(const ExactSet &set, unsigned pattern);

}  // namespace flashring::test

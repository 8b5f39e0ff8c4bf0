// Tolerances, each derived. u is the unit roundoff of the working precision (2^-53, 2^-24). Where a worst case grows
// like n u and rounding errors are not aligned, the bound used is the probabilistic one, sqrt(n) u with a factor
// (Higham and Mary, SIAM J. Sci. Comput. 41, 2019): it is tight enough to see a wrong summation order or a lost digit.
#pragma once

#include <cfloat>
#include <cmath>

#include "flashring/types.hpp"
#include "support/oracle.hpp"

namespace flashring::test {

inline double unit_roundoff(Precision precision) { return precision == Precision::fp64 ? 0x1p-53 : 0x1p-24; }

inline Arithmetic arithmetic(Precision precision, int tile_rows) {
  // exp2 may return 0 below the smallest normal number, and clamps may keep it there: twice that number.
  return {unit_roundoff(precision), tile_rows, precision == Precision::fp64 ? 2 * DBL_MIN : 2 * double{FLT_MIN}};
}

/// |error of q| / u for packed features, with squared norms nx and ny of the packed rows, in units of q.
///   The scale is rounded (its square twice that), the same way for all pairs: 2u. Each packed feature is rounded two
///   times and its product once, 3u on a side and product at a time, which averages over features: 3/sqrt(d).
///   Adding d products rounds sqrt(d) times in effect: 0.5 sqrt(d).
///   inner: these steps times |x||y|. norms: |x|^2 + |y|^2 - 2<x,y> has them for the norms and twice for <x,y>, and
///   2|x||y| <= nx + ny. differences: packing moves r by u(|x|+|y|), and the sum has the relative error of a sum of
///   positive terms. Lengths: a quotient and its rounding for each point, their product and that with q, 6u of q.
///   Covariances: packing moves r likewise; the form is |x-y|^2 <= 2(nx + ny) at most in the unit of the mean norm of
///   both inverses, and its terms have these steps and 12u for the inverse, its rounding, the sum of both and two
///   products.
inline Real argument_error(const OraclePair &pair, Real q, Real nx, Real ny, int features) {
  const Real root = std::sqrt(static_cast<Real>(features));
  const Real steps = 2 + 3 / root + 0.5L * root;
  if (pair.inner()) return steps * std::sqrt(nx * ny);
  const Real packing = 2 * std::sqrt(q) * (std::sqrt(nx) + std::sqrt(ny));
  if (pair.covariances()) return packing + 2 * (steps + 12) * (nx + ny);
  if (pair.name == "laplacian" || pair.lengths()) return packing + (steps + (pair.lengths() ? 6 : 0)) * q;
  return steps * (nx + ny);
}

/// |error of ln k| / u: the error of q times |d ln k/d q|; the argument t of 2^t is rounded (|t| u ln 2 = |ln k| u,
/// twice for its constants); the functions exp2, log2, sqrt and the polynomial before them are good to 2e-7 in fp32 and
/// a few ulp in fp64, which is 4u each.
inline Real log_weight_error(const OraclePair &pair, Real q, Real nx, Real ny, int features) {
  const Real from_q = q == 0 && pair.name == "laplacian"
                          ? 0  // equal points pack to equal numbers, and differences give exactly 0
                          : oracle_slope(pair, q) * argument_error(pair, q, nx, ny, features);
  return from_q + 2 * oracle_exponent(pair, q) + 4;
}

/// Relative error / u of a sum of n terms in working precision (then fp64), referred to the sum of magnitudes: sqrt(n)
/// and 2 for the product and the conversion.
inline Real sum_error(int terms) { return 2 + std::sqrt(static_cast<Real>(terms)); }

/// Relative error / u of the entries that set-up adds to a weight of relative error e u, sum included in e: w =
/// D^-alpha has alpha e, the degree w o K w has 2 alpha e + e, and diag(left) K diag(right) takes two w and one degree
/// (or their roots): 2 alpha e + (1 + 2 alpha) e. Roundings of the few products are the 6.
inline Real set_up_error(Real e, Real alpha) { return (1 + 4 * alpha) * e + 6; }

}  // namespace flashring::test

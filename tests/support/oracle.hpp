// The oracle: kernel sums in long double, written from the definitions alone. It shares no line with src/ or kernels/,
// and reads pair functions from their text, so that a fault in the parser or in a formula cannot hide in both.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace flashring::test {

using Real = long double;

/// "name:parameter=value,..." taken apart.
struct OraclePair {
  std::string name;
  std::map<std::string, Real> parameters;
  bool inner() const { return name == "inner_exp"; }
  /// Every point has a length, and q is the squared distance over both.
  bool lengths() const { return name == "self_tuned" || name == "variable_bandwidth"; }
  /// Every point has a covariance, and q is the mean of both squared distances by them.
  bool covariances() const { return name == "local_mahalanobis"; }
};
OraclePair oracle_pair(const std::string &text);

/// The length of a point in the tests: made of its coordinates, so that whoever has the point has it. About sqrt(d/3),
/// which makes weights of points uniform in (-1, 1)^d spread over some decades, and up to 2.3 times as large for one
/// point as for another.
double length_of(const double *x, int features);

/// The covariance of a point in the tests, likewise made of its coordinates: length_of^2 (I + v v'), |v|^2 <= 3, so
/// that distances along v are up to half as long as those across it. (d (d + 1) / 2) lower triangle.
std::vector<double> covariance_of(const double *x, int features);
/// The inverse of that, from its closed form (Sherman and Morrison).
std::vector<Real> inverse_covariance_of(const double *x, int features);

/// ln k as a function of q: the squared distance (over the lengths of both points, where they have any), or the inner
/// product for inner_exp.
Real oracle_log_weight(const OraclePair &pair, Real q);
/// |d ln k / d q|; infinite for laplacian at q = 0.
Real oracle_slope(const OraclePair &pair, Real q);
/// Magnitude of the number that is exponentiated (or raised to a power) on the way to k.
Real oracle_exponent(const OraclePair &pair, Real q);

/// Points as the tests hold them: row-major doubles.
struct PointSet {
  int features = 1;
  std::vector<double> rows;  // (count, features)
  std::size_t count() const { return rows.size() / static_cast<std::size_t>(features); }
  const double *row(std::size_t i) const { return rows.data() + i * static_cast<std::size_t>(features); }
};

/// ln k of every pair (own i, visiting j), with the coefficient of its error: a computation of unit roundoff u that is
/// allowed the steps of tolerance.hpp has |error of ln k| <= u * error.
struct PairTable {
  std::size_t own = 0, visiting = 0;
  std::vector<Real> log_weight;  // (own, visiting)
  std::vector<double> error;     // (own, visiting)
  std::vector<char> visible;     // (own, visiting), all 1 at first
  std::vector<Real> q;           // (own, visiting), as oracle_log_weight reads it
  std::vector<Real> divisor;     // (own, visiting), what squared distances are divided by in q: 1, or both lengths;
                                 // with covariances at least: 1 / the mean trace of their inverses
  std::size_t at(std::size_t i, std::size_t j) const { return i * visiting + j; }
};
/// `mean`: (features) taken off before the arithmetic that is modelled, or empty. Weights do not depend on it.
PairTable make_table(const OraclePair &pair, const PointSet &own, const PointSet &visiting,
                     const std::vector<double> &mean = {});
/// Hides the pairs that a causal mask (visiting row > own row) or a mask of self-pairs removes.
void hide(PairTable &table, const std::vector<std::int64_t> &own_rows, const std::vector<std::int64_t> &visiting_rows,
          bool causal, bool exclude_self);
PairTable transposed(const PairTable &table);

/// Arithmetic that an answer is compared with.
struct Arithmetic {
  double unit = 0;      ///< unit roundoff of the working precision
  int tile_rows = 1;    ///< terms that are summed in it before fp64 takes over
  double smallest = 0;  ///< weights below this may be taken for 0
};

struct Bounded {
  std::vector<Real> value;
  std::vector<Real> bound;  ///< largest |computed - value| that the arithmetic explains
};

/// y_ic = sum_j k_ij x_jc: (own, columns) column-major, from x (visiting, columns) column-major.
Bounded oracle_sum(const PairTable &table, const std::vector<double> &x, int columns, const Arithmetic &arithmetic);

/// lse_i = ln sum_j k_ij e^{g_j} as column 0, then o_ic = sum_j k_ij e^{g_j - lse_i} v_jc: (own, 1 + columns)
/// column-major. g (visiting) may be empty. A row that sees nothing has -infinity and zeros.
Bounded oracle_log_sum_exp(const PairTable &table, const std::vector<double> &g, const std::vector<double> &v,
                           int columns, const Arithmetic &arithmetic);

/// S_i,kl = sum_j k_ij g_j (f_kj - f_ki)(f_lj - f_li), k <= l, column l(l+1)/2 + k: (own, c(c+1)/2) column-major, from
/// g (visiting) and the functions of both sides, `give` (visiting, c) and `receive` (own, c) column-major.
Bounded oracle_differences(const PairTable &table, const std::vector<double> &g, const std::vector<double> &give,
                           const std::vector<double> &receive, int columns, const Arithmetic &arithmetic);

/// Uniform numbers in (-1, 1), the same everywhere: generator of its own.
std::vector<double> random_numbers(std::size_t count, std::uint64_t seed);

}  // namespace flashring::test

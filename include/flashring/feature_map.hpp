// FeatureMap: the features that the coordinates of a point become before tiles see them. Every pair function, row rule
// and backend then works on features.
#pragma once

#include <limits>
#include <span>
#include <vector>

namespace flashring {

/// From d coordinates, as given, to d' features, in two steps; either may be absent.
///   circles     x of period L > 0 becomes the two numbers r cos(2 pi x / L), r sin(2 pi x / L): chords of a circle of
///               radius r. With r = L / (2 pi) small distances are kept. x of period 0 stays.
///   covariance  the d' numbers y become U^-T y, C = U^T U, so that |U^-T (y - z)|^2 = (y - z)^T C^-1 (y - z), which
///               is the squared Mahalanobis distance of y and z
class FeatureMap {
 public:
  /// Every coordinate is a feature: d' = d.
  explicit FeatureMap(int given = 0) : given_(given), features_(given) {}

  /// Before the covariance. Both (given): periods in the units of the coordinates, finite, >= 0; radii finite, > 0
  /// where the period is. Throws Error that names the coordinate.
  void set_circles(std::vector<double> periods, std::vector<double> radii);
  /// U of cholesky_factor, (features, features). Throws Error unless its diagonal is positive and all of it finite.
  void set_factor(std::vector<double> factor);

  int given() const { return given_; }        ///< d
  int features() const { return features_; }  ///< d'
  bool identity() const { return periods_.empty() && factor_.empty(); }
  std::span<const double> periods() const { return periods_; }  // (given), or empty: no circles
  std::span<const double> radii() const { return radii_; }      // (given), or empty
  std::span<const double> factor() const { return factor_; }    // (features, features), or empty: no covariance

  /// One point: coordinates (given) to features (features); the two do not overlap. Cost: d'^2 / 2 products, and d
  /// cosines and sines. The bits depend on the coordinates alone.
  void apply(const double *coordinates, double *features) const;

 private:
  int given_, features_;
  std::vector<double> periods_, radii_, factor_;
};

/// U, upper triangular, with U^T U = C, for a covariance C; both (d, d) row-major, below the diagonal of U are zeros.
/// `error`: what the entries of C are off by, relative to (C_kk C_ll)^(1/2). Throws Error unless C is finite, symmetric
/// to 1e-6 in the same measure, and every pivot k of the elimination above (k + 1) error C_kk, below which its sign is
/// not known: the message names the entry or the pivot. Cost: d^3 / 3 products. Source: Golub and Van Loan, Matrix
/// Computations, 4.2.
std::vector<double> cholesky_factor(std::vector<double> covariance, int d,
                                    double error = std::numeric_limits<double>::epsilon());

}  // namespace flashring

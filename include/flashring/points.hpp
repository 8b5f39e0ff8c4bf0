// PointBlock: the points of this rank. Readers and generators make one; the operator packs it for its backend and gives
// it up.
#pragma once

#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "flashring/communicator.hpp"
#include "flashring/feature_map.hpp"
#include "flashring/partition.hpp"

namespace flashring {

/// Size of a point set over all ranks.
struct PointShape {
  std::int64_t rows = 0;  ///< N
  int features = 0;       ///< d
};

/// Rows of one rank, features row-major in double.
class PointBlock {
 public:
  PointBlock() = default;
  /// `rows`: (partition.local_rows(rank), features). Throws Error when the size does not fit, features < 1, or a value
  /// is NaN or infinite (the message names the global row and the feature).
  PointBlock(RowPartition partition, int rank, int features, std::vector<double> rows);

  const RowPartition &partition() const { return partition_; }
  int rank() const { return rank_; }
  int features() const { return features_; }
  std::int64_t local_rows() const { return partition_.local_rows(rank_); }
  std::span<const double> rows() const { return rows_; }  // (local_rows, features)
  const double *row(LocalRow row) const { return rows_.data() + row.value * features_; }

  /// Puts the features of `map` in the place of the coordinates: `rows()` are (local_rows, map.features()) then, and
  /// `features()` counts them. Once, before scales are set. Memory: that of the larger of both, since rows that are
  /// mapped are given back. Throws Error when the map is one of other coordinates, or takes a row beyond the range of
  /// numbers: the points are lost then.
  void map_features(FeatureMap map);
  const FeatureMap &feature_map() const { return feature_map_; }

  /// Multiplies feature k by scales[k]: `rows()` are the scaled ones. Throws Error unless there is one positive finite
  /// scale per feature.
  void set_feature_scales(std::vector<double> scales);
  std::span<const double> feature_scales() const { return feature_scales_; }  // (features), or empty

  /// A length or a covariance for each row, in the units of rows(), as its pair function reads it: `scales` is
  /// (local_rows, scale_numbers). Throws Error unless there is one for each, lengths are positive and finite, and
  /// covariances positive definite (the message names the global row).
  void set_point_scales(std::vector<double> scales, PointScale kind = PointScale::length);
  /// The same length for all rows, or the covariance length^2 I; nothing for a pair function that reads neither.
  void set_point_length(double length, PointScale kind);
  PointScale point_scale() const { return point_scale_; }                 ///< none on a rank without rows
  std::span<const double> point_scales() const { return point_scales_; }  // (local_rows, scale_numbers), or empty

  /// Gives the memory of rows [begin, end) back to the system: nobody reads them any more.
  void release(LocalRow begin, LocalRow end);

 private:
  friend PointBlock redistribute(const Communicator &communicator, PointBlock points, RowPartition partition);
  void check_finite(std::span<const double> rows, std::span<const double> scales) const;
  void check_scale(std::span<const double> scale, std::int64_t row, PointScale kind) const;

  RowPartition partition_;
  int rank_ = 0;
  int features_ = 0;
  FeatureMap feature_map_;
  std::vector<double> rows_;
  std::vector<double> feature_scales_;
  PointScale point_scale_ = PointScale::none;
  std::vector<double> point_scales_;
};

/// Covariances given whole, (rows, d, d), or by their lower triangles, (rows, d (d + 1) / 2), as lower triangles;
/// `numbers`: of a row. Throws Error for another shape, and for one that is not symmetric (`first` counts the rows of
/// the message).
std::vector<double> covariance_triangles(std::vector<double> covariances, std::int64_t numbers, int features,
                                         GlobalRow first = {});

/// Replaces zeros of all ranks, lengths of points with many neighbours at the same place, by the smallest positive
/// length. Returns how many there were. Throws Error where a length is negative or not finite, or all are 0.
/// Collective.
std::int64_t replace_zero_scales(const Communicator &communicator, const RowPartition &partition,
                                 std::span<double> scales);

/// Mean of every feature over all ranks, (features). Collective.
std::vector<double> global_mean(const Communicator &communicator, const PointBlock &points);

/// Covariance of features, divided by N.
struct FeatureCovariance {
  std::vector<double> matrix;                             // (d', d') row-major
  double error = std::numeric_limits<double>::epsilon();  ///< bound of what sums lost of an entry (k, l), relative to
                                                          ///< (C_kk C_ll)^(1/2)
};
/// Of those that `map` makes of the points, in two passes over them. Sums run over all rows in their order, in parts of
/// a fixed size: on contiguous ranges the bits do not depend on the number of ranks. Cost: N d'^2 / (2 ranks) products;
/// all points come to every rank, half a MiB at a time. Memory: 2 d'^2 numbers. Collective.
FeatureCovariance feature_covariance(const Communicator &communicator, const PointBlock &points, const FeatureMap &map);

/// The same points on another partition of as many rows. Every row moves once, straight to its new owner; nothing moves
/// when the partition is the old one. Collective.
PointBlock redistribute(const Communicator &communicator, PointBlock points, RowPartition partition);

/// Generated point sets, the same for any number of ranks:
///   circle:n=N                   regular N-gon on the unit circle (E1)
///   torus:n=N,q=Q                product of Q regular N-gons in R^2Q (E2), N^Q points
///   hypercube:d=D                {0,1}^D (E3), 2^D points; feature k is bit k of the row
///   swiss_roll:n=N,m=M           grid in (arc length, height), N x M points (E6)
///   clusters:n=N,d=D,k=K,spread=S,seed=X    K Gaussian clouds of standard deviation S around centres in [-1,1]^D
///   double_well:n=N,t=T,seed=X   density exp(-((x^2 - 1)^2 + y^2) / T): two wells, a barrier of height 1/T
///   normal:n=N,d=D,seed=X        independent standard normal features
/// Throws Error that lists the known sets.
PointBlock generate_points(std::string_view text, const Communicator &communicator);
/// Size of such a set, without making it.
PointShape generated_shape(std::string_view text);

/// Points that the median bandwidth looks at, at most.
inline constexpr std::int64_t median_sample = 2048;

/// Median bandwidth of a sample: 1/(2 median) of the positive squared distances over pairs i<j; all points up to
/// `most` of them, otherwise a counter-based random sample of that size. Collective; the same on every rank and, up to
/// nothing, for any number of ranks. Unit 1/length^2. Throws Error when all sampled points coincide.
struct MedianBandwidth {
  double median_squared_distance = 0;  ///< length^2
  std::int64_t sample = 0;             ///< points looked at
};
MedianBandwidth median_bandwidth(const Communicator &communicator, const PointBlock &points, std::uint64_t seed,
                                 std::int64_t most = median_sample);

}  // namespace flashring

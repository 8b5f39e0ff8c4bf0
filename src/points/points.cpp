#include "flashring/points.hpp"

#include <algorithm>
#include <cmath>

#include "base/pages.hpp"
#include "flashring/check.hpp"
#include "points/inverse_covariance.hpp"

namespace flashring {
namespace {

void scale_features(std::vector<double> &rows, const std::vector<double> &scales) {
  for (std::size_t i = 0; i < rows.size();)
    for (const double scale : scales) rows[i++] *= scale;
}

}  // namespace

PointBlock::PointBlock(RowPartition partition, int rank, int features, std::vector<double> rows)
    : partition_(std::move(partition)),
      rank_(rank),
      features_(features),
      feature_map_(features),
      rows_(std::move(rows)) {
  FLASHRING_CHECK(features_ >= 1, "points have ", features_, " features (d); at least 1 is needed");
  FLASHRING_CHECK(static_cast<std::int64_t>(rows_.size()) == local_rows() * features_, "points: ", rows_.size(),
                  " numbers given for ", local_rows(), " rows of ", features_, " features");
  check_finite(rows_, {});
}

void PointBlock::map_features(FeatureMap map) {
  FLASHRING_REQUIRE(feature_map_.identity() && feature_scales_.empty() && point_scales_.empty(),
                    "points that are mapped or scaled already");
  FLASHRING_CHECK(map.given() == features_, "points have ", features_, " features (d), and the feature map is one of ",
                  map.given(), "; give points with as many, in the same order");
  if (map.identity()) return;
  const auto d = static_cast<std::size_t>(map.features());
  constexpr std::int64_t part = 4096;  // rows after which what is mapped already is given back
  std::vector<double> mapped;          // grows within its room: memory that is not written to yet is not taken yet
  mapped.reserve(static_cast<std::size_t>(local_rows()) * d);
  for (std::int64_t i = 0; i < local_rows(); ++i) {
    mapped.resize(mapped.size() + d);
    double *features = mapped.data() + mapped.size() - d;
    map.apply(row(LocalRow{i}), features);
    FLASHRING_CHECK(std::all_of(features, features + d, [](double y) { return std::isfinite(y); }),
                    "points: the feature map takes row ", partition_.global_row(rank_, LocalRow{i}).value,
                    " beyond the range of numbers; choose other units");
    if ((i + 1) % part == 0) release(LocalRow{i + 1 - part}, LocalRow{i + 1});
  }
  *this = PointBlock(std::move(partition_), rank_, map.features(), std::move(mapped));
  feature_map_ = std::move(map);
}

void PointBlock::set_feature_scales(std::vector<double> scales) {
  FLASHRING_CHECK(static_cast<std::int64_t>(scales.size()) == features_, "feature scales: ", scales.size(),
                  " numbers given for ", features_, " features; give one per feature");
  std::vector<double> product = scales;
  for (std::size_t k = 0; k < product.size(); ++k) {
    if (!feature_scales_.empty()) product[k] *= feature_scales_[k];
    FLASHRING_CHECK(std::isfinite(scales[k]) && scales[k] > 0 && std::isfinite(product[k]) && product[k] > 0,
                    "feature scales: the one of feature ", k, " (counted from 0) is ", scales[k],
                    "; scales are positive finite numbers");
  }
  check_finite(rows_, scales);  // before anything changes: after an error the old scales are still there
  scale_features(rows_, scales);
  feature_scales_ = std::move(product);
}

void PointBlock::set_point_scales(std::vector<double> scales, PointScale kind) {
  const int numbers = scale_numbers(kind, features_);
  FLASHRING_CHECK(static_cast<std::int64_t>(scales.size()) == local_rows() * numbers, "point scales: ", scales.size(),
                  " numbers given for ", local_rows(), " rows of this rank; give ",
                  kind == PointScale::length ? "one" : std::to_string(numbers), " for each point");
  const auto count = static_cast<std::size_t>(numbers);
  for (std::int64_t i = 0; i < local_rows(); ++i)
    check_scale(std::span(scales).subspan(static_cast<std::size_t>(i) * count, count), i, kind);
  point_scales_ = std::move(scales);
  point_scale_ = point_scales_.empty() ? PointScale::none : kind;
}

void PointBlock::check_scale(std::span<const double> scale, std::int64_t row, PointScale kind) const {
  const std::int64_t global = partition_.global_row(rank_, LocalRow{row}).value;
  if (kind == PointScale::length) {
    FLASHRING_CHECK(std::isfinite(scale[0]) && scale[0] > 0, "point scales: that of row ", global, " is ", scale[0],
                    "; scales are positive finite lengths");
    return;
  }
  try {
    inverse_covariance(scale, features_);
  } catch (const Error &error) {
    throw Error(detail::concatenate("point covariances: that of row ", global, ": ", error.what()));
  }
}

void PointBlock::set_point_length(double length, PointScale kind) {
  if (kind == PointScale::none) return;
  std::vector<double> scales;
  for (std::int64_t i = 0; i < local_rows(); ++i) {
    if (kind == PointScale::length) scales.push_back(length);
    for (int k = 0; kind == PointScale::covariance && k < features_; ++k)
      for (int l = 0; l <= k; ++l) scales.push_back(l == k ? length * length : 0);
  }
  set_point_scales(std::move(scales), kind);
}

void PointBlock::release(LocalRow begin, LocalRow end) {
  const auto row = static_cast<std::size_t>(features_);
  release_pages(rows_.data() + static_cast<std::size_t>(begin.value) * row,
                static_cast<std::size_t>(end.value - begin.value) * row * sizeof(double));
}

void PointBlock::check_finite(std::span<const double> rows, std::span<const double> scales) const {
  std::size_t k = 0;
  for (std::size_t i = 0; i < rows.size(); ++i, k = k + 1 == static_cast<std::size_t>(features_) ? 0 : k + 1) {
    const double scale = scales.empty() ? 1 : scales[k];
    if (std::isfinite(rows[i] * scale)) continue;
    const auto local = static_cast<std::int64_t>(i) / features_;
    const std::string place = detail::concatenate("points: row ", partition_.global_row(rank_, LocalRow{local}).value,
                                                  ", feature ", k, " is ", rows[i]);
    FLASHRING_CHECK(std::isfinite(rows[i]), place, "; remove or impute rows that are not finite");
    throw Error(detail::concatenate(place, ", which its scale ", scale,
                                    " takes beyond the range of numbers; choose other units or scales"));
  }
}

std::vector<double> covariance_triangles(std::vector<double> covariances, std::int64_t numbers, int features,
                                         GlobalRow first) {
  const auto d = static_cast<std::size_t>(features);
  const std::int64_t whole = std::int64_t{features} * features;
  FLASHRING_CHECK(numbers == whole || numbers == covariance_numbers(features), "covariances of ", numbers,
                  " numbers for points of ", features, " features; give ", whole, " for each point, the matrix, or ",
                  covariance_numbers(features), ", its lower triangle");
  if (numbers != whole) return covariances;
  std::size_t to = 0;
  for (std::size_t at = 0; at < covariances.size(); at += d * d)
    for (std::size_t k = 0; k < d; ++k)
      for (std::size_t l = 0; l <= k; ++l) {
        const double entry = covariances[at + k * d + l];
        const double mirror = covariances[at + l * d + k];
        const double size = std::sqrt(std::abs(covariances[at + k * d + k] * covariances[at + l * d + l]));
        FLASHRING_CHECK(std::abs(entry - mirror) <= 1e-6 * size, "covariance of row ",
                        first.value + static_cast<std::int64_t>(at / (d * d)), ": entry (", k, ", ", l, ") is ", entry,
                        " and (", l, ", ", k, ") is ", mirror, "; a covariance is symmetric");
        covariances[to++] = entry;
      }
  covariances.resize(to);
  return covariances;
}

std::int64_t replace_zero_scales(const Communicator &communicator, const RowPartition &partition,
                                 std::span<double> scales) {
  double smallest = HUGE_VAL;
  double zeros = 0;
  communicator.agree([&] {
    for (std::size_t i = 0; i < scales.size(); ++i) {
      const GlobalRow row = partition.global_row(communicator.rank(), LocalRow{static_cast<std::int64_t>(i)});
      FLASHRING_CHECK(std::isfinite(scales[i]) && scales[i] >= 0, "length of row ", row.value, " is ", scales[i],
                      "; lengths are finite and not negative");
      zeros += scales[i] == 0 ? 1 : 0;
      if (scales[i] > 0) smallest = std::min(smallest, scales[i]);
    }
  });
  smallest = communicator.min(smallest);
  communicator.agree([&] {
    FLASHRING_CHECK(std::isfinite(smallest),
                    "the lengths of all points are 0: every point has as many copies as "
                    "neighbours were asked for; take more neighbours, or drop copies");
  });
  std::replace(scales.begin(), scales.end(), 0.0, smallest);
  return static_cast<std::int64_t>(communicator.sum(zeros));
}

std::vector<double> global_mean(const Communicator &communicator, const PointBlock &points) {
  const auto d = static_cast<std::size_t>(points.features());
  std::vector<double> mean(d, 0.0);
  for (std::int64_t i = 0; i < points.local_rows(); ++i)
    for (std::size_t k = 0; k < d; ++k) mean[k] += points.row(LocalRow{i})[k];
  communicator.sum(std::span<double>(mean));
  for (double &value : mean) value /= static_cast<double>(points.partition().rows());
  return mean;
}

}  // namespace flashring

#include "flashring/points.hpp"

#include <cmath>

#include "flashring/check.hpp"

namespace flashring {

PointBlock::PointBlock(RowPartition partition, int rank, int features, std::vector<double> rows)
    : partition_(std::move(partition)), rank_(rank), features_(features), rows_(std::move(rows)) {
  FLASHRING_CHECK(features_ >= 1, "points have ", features_, " features (d); at least 1 is needed");
  FLASHRING_CHECK(static_cast<std::int64_t>(rows_.size()) == local_rows() * features_, "points: ", rows_.size(),
                  " numbers given for ", local_rows(), " rows of ", features_, " features");
  check_finite(rows_);
}

void PointBlock::update(std::span<const double> rows) {
  check(rows);  // first: after an error the old points are still there
  rows_.assign(rows.begin(), rows.end());
}

void PointBlock::check(std::span<const double> rows) const {
  FLASHRING_CHECK(rows.size() == rows_.size(), "new coordinates: ", rows.size(), " numbers given for ", local_rows(),
                  " rows of ", features_, " features; the shape must stay");
  check_finite(rows);
}

void PointBlock::check_finite(std::span<const double> rows) const {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (std::isfinite(rows[i])) continue;
    const auto local = static_cast<std::int64_t>(i) / features_;
    throw Error(detail::concatenate("points: row ", partition_.global_row(rank_, LocalRow{local}).value, ", feature ",
                                    static_cast<std::int64_t>(i) % features_, " is ", rows[i],
                                    "; remove or impute rows that are not finite"));
  }
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

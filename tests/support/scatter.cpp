#include "support/scatter.hpp"

#include <cmath>
#include <cstring>
#include <span>
#include <sstream>

namespace flashring::test {
namespace {

/// Global rows of a rank in local order.
std::vector<std::size_t> rows_of(const RowPartition &partition, int rank) {
  std::vector<std::size_t> rows;
  for (const RowRange &range : partition.ranges(rank))
    for (std::int64_t i = 0; i < range.count; ++i) rows.push_back(static_cast<std::size_t>(range.begin.value + i));
  return rows;
}

bool agrees(double value, Real expected, Real bound) {
  if (std::isinf(expected) || std::isinf(value)) return static_cast<Real>(value) == expected;
  return std::abs(static_cast<Real>(value) - expected) <= bound;  // false for NaN
}

}  // namespace

PointSet random_points(std::size_t count, int features, std::uint64_t seed) {
  return {features, random_numbers(count * static_cast<std::size_t>(features), seed)};
}

PointBlock local_block(const PointSet &points, const RowPartition &partition, int rank) {
  std::vector<double> rows;
  for (const std::size_t i : rows_of(partition, rank))
    rows.insert(rows.end(), points.row(i), points.row(i) + points.features);
  return {partition, rank, points.features, std::move(rows)};
}

PointBlock with_lengths(PointBlock points, const PairFunction &pair) {
  const PointScale kind = point_scale(pair.kind);
  if (kind == PointScale::none) return points;
  std::vector<double> scales;
  for (std::int64_t i = 0; i < points.local_rows(); ++i) {
    const double *x = points.row(LocalRow{i});
    const std::vector<double> scale =
        kind == PointScale::length ? std::vector{length_of(x, points.features())} : covariance_of(x, points.features());
    scales.insert(scales.end(), scale.begin(), scale.end());
  }
  points.set_point_scales(std::move(scales), kind);
  return points;
}

std::vector<double> local_columns(const std::vector<double> &global, int columns, const RowPartition &partition,
                                  int rank) {
  std::vector<double> local;
  const auto rows = static_cast<std::size_t>(partition.rows());
  for (std::size_t c = 0; c < static_cast<std::size_t>(columns); ++c)
    for (const std::size_t i : rows_of(partition, rank)) local.push_back(global[c * rows + i]);
  return local;
}

std::vector<double> gather_columns(const std::vector<double> &local, int columns, const RowPartition &partition,
                                   const Communicator &communicator) {
  const std::vector<std::byte> bytes = communicator.gather(std::as_bytes(std::span<const double>(local)));
  std::vector<double> all(bytes.size() / sizeof(double));
  if (!all.empty()) std::memcpy(all.data(), bytes.data(), bytes.size());
  std::vector<double> global(static_cast<std::size_t>(partition.rows()) * static_cast<std::size_t>(columns));
  std::size_t at = 0;
  for (int r = 0; r < partition.ranks(); ++r) {
    const std::vector<std::size_t> rows = rows_of(partition, r);
    for (std::size_t c = 0; c < static_cast<std::size_t>(columns); ++c)
      for (const std::size_t i : rows) global[c * static_cast<std::size_t>(partition.rows()) + i] = all.at(at++);
  }
  return global;
}

PointSet gather_points(const PointBlock &block, const Communicator &communicator) {
  const auto d = static_cast<std::size_t>(block.features());
  const std::vector<std::byte> bytes = communicator.gather(std::as_bytes(block.rows()));
  std::vector<double> all(bytes.size() / sizeof(double));
  if (!all.empty()) std::memcpy(all.data(), bytes.data(), bytes.size());
  PointSet points{block.features(), std::vector<double>(all.size())};
  std::size_t at = 0;
  for (int r = 0; r < block.partition().ranks(); ++r)
    for (const std::size_t i : rows_of(block.partition(), r))
      for (std::size_t k = 0; k < d; ++k) points.rows[i * d + k] = all.at(at++);
  return points;
}

std::vector<NamedPartition> partitions(std::int64_t rows, int ranks) {
  std::vector<NamedPartition> list = {{"contiguous", RowPartition::contiguous(rows, ranks)}};
  if (ranks == 1) return list;
  const auto size = static_cast<std::size_t>(ranks);
  std::vector<std::int64_t> uneven(size);
  std::vector<std::int64_t> last(size, 0);
  std::int64_t left = rows;
  for (std::size_t r = 0; r + 1 < size; ++r) left -= uneven[r] = left / (r == 1 ? 5 : 2);
  uneven[size - 1] = left;
  last[size - 1] = rows;
  list.push_back({"uneven", RowPartition::from_counts(uneven)});
  list.push_back({"all on the last rank", RowPartition::from_counts(last)});
  list.push_back({"zigzag", RowPartition::zigzag(rows, ranks)});
  return list;
}

std::string outside(const std::vector<double> &value, const Bounded &oracle, double factor) {
  if (value.size() != oracle.value.size()) return "sizes differ";
  for (std::size_t i = 0; i < value.size(); ++i) {
    if (agrees(value[i], oracle.value[i], factor * oracle.bound[i])) continue;
    std::ostringstream text;
    text.precision(17);
    text << "entry " << i << " of " << value.size() << ": " << value[i] << ", expected " << oracle.value[i] << " +- "
         << factor * oracle.bound[i] << ", error " << value[i] - oracle.value[i];
    return text.str();
  }
  return {};
}

double worst_ratio(const std::vector<double> &value, const Bounded &oracle) {
  Real worst = 0;
  for (std::size_t i = 0; i < value.size(); ++i)
    if (std::isfinite(oracle.value[i]) && oracle.bound[i] > 0)
      worst = std::max(worst, std::abs(value[i] - oracle.value[i]) / oracle.bound[i]);
  return static_cast<double>(worst);
}

}  // namespace flashring::test

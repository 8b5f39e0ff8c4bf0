#include "points/point_parts.hpp"

#include <cstring>

namespace flashring {
namespace {

/// Features of the points in rows [begin, end) of all, on every rank, those of rank 0 first. Collective.
std::vector<double> gather_part(const Communicator &communicator, const PointBlock &points, const FeatureMap &map,
                                std::int64_t begin, std::int64_t end) {
  const auto d = static_cast<std::size_t>(map.features());
  std::vector<double> mine;
  std::int64_t local = 0;
  for (const RowRange &range : points.partition().ranges(communicator.rank())) {
    const std::int64_t first = std::max(begin, range.begin.value);
    const std::int64_t last = std::min(end, range.begin.value + range.count);
    for (std::int64_t i = first; i < last; ++i) {
      mine.resize(mine.size() + d);
      map.apply(points.row(LocalRow{local + i - range.begin.value}), mine.data() + mine.size() - d);
    }
    local += range.count;
  }
  const std::vector<std::byte> bytes = communicator.gather(std::as_bytes(std::span(mine)));
  std::vector<double> all(bytes.size() / sizeof(double));
  std::memcpy(all.data(), bytes.data(), bytes.size());
  return all;
}

}  // namespace

std::vector<std::int64_t> rows_in_order(const RowPartition &partition, std::int64_t begin, std::int64_t end) {
  std::vector<std::int64_t> rows;
  for (int rank = 0; rank < partition.ranks(); ++rank)
    for (const RowRange &range : partition.ranges(rank))
      for (std::int64_t row = std::max(begin, range.begin.value); row < std::min(end, range.begin.value + range.count);
           ++row)
        rows.push_back(row);
  return rows;
}

void for_each_part(const Communicator &communicator, const PointBlock &points, const FeatureMap &map,
                   const std::function<void(std::span<const double>)> &visit) {
  const std::int64_t rows = points.partition().rows();
  const std::int64_t step = part_rows(map.features());
  for (std::int64_t begin = 0; begin < rows; begin += step)
    visit(gather_part(communicator, points, map, begin, std::min(rows, begin + step)));
}

}  // namespace flashring

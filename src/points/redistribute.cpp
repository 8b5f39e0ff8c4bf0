// Points from one partition to another: the overlaps of old and new ranges are the messages.
#include <algorithm>

#include "flashring/check.hpp"
#include "flashring/points.hpp"
#include "flashring/transport.hpp"

namespace flashring {
namespace {

/// Overlaps of two lists of ranges in one order that both ends agree on; `visit(row in a, row in b, count)`, local
/// rows.
template <class Visit>
void for_each_overlap(const std::vector<RowRange> &a, const std::vector<RowRange> &b, Visit visit) {
  std::int64_t row_a = 0;
  for (const RowRange &x : a) {
    std::int64_t row_b = 0;
    for (const RowRange &y : b) {
      const std::int64_t begin = std::max(x.begin.value, y.begin.value);
      const std::int64_t end = std::min(x.begin.value + x.count, y.begin.value + y.count);
      if (begin < end) visit(row_a + begin - x.begin.value, row_b + begin - y.begin.value, end - begin);
      row_b += y.count;
    }
    row_a += x.count;
  }
}

/// Rows of `width` numbers each, (local_rows, width), from one partition to the other. Collective.
std::vector<double> move_rows(const Communicator &communicator, Transport &transport, const RowPartition &from,
                              const RowPartition &to, std::vector<double> old_rows, std::int64_t width) {
  const int rank = communicator.rank();
  const auto row_bytes = static_cast<std::size_t>(width) * sizeof(double);
  std::vector<double> new_rows(static_cast<std::size_t>(to.local_rows(rank) * width));
  std::vector<Message> sends;
  std::vector<Message> receives;
  const auto message = [&](std::vector<double> &rows, int peer, std::int64_t row, std::int64_t count) {
    return Message{peer, 0, reinterpret_cast<std::byte *>(rows.data()) + static_cast<std::size_t>(row) * row_bytes,
                   static_cast<std::size_t>(count) * row_bytes};
  };
  for (int peer = 0; peer < communicator.size(); ++peer) {
    for_each_overlap(from.ranges(rank), to.ranges(peer),
                     [&](std::int64_t mine, std::int64_t /*theirs*/, std::int64_t count) {
                       sends.push_back(message(old_rows, peer, mine, count));
                     });
    for_each_overlap(from.ranges(peer), to.ranges(rank),
                     [&](std::int64_t /*theirs*/, std::int64_t mine, std::int64_t count) {
                       receives.push_back(message(new_rows, peer, mine, count));
                     });
  }
  transport.start(sends, receives)->wait();
  return new_rows;
}

}  // namespace

PointBlock redistribute(const Communicator &communicator, PointBlock points, RowPartition partition) {
  const RowPartition from = points.partition();
  FLASHRING_CHECK(partition.rows() == from.rows() && partition.ranks() == communicator.size(),
                  "redistribute: ", from.rows(), " rows cannot become ", partition.rows(), " rows on ",
                  partition.ranks(), " ranks");
  if (partition == from) return points;
  const int rank = communicator.rank();
  // Ranks may have no rows.
  const auto kind = static_cast<PointScale>(communicator.max(static_cast<double>(points.point_scale_)));
  const std::unique_ptr<Transport> transport = make_transport("auto", communicator);
  std::vector<double> rows =
      move_rows(communicator, *transport, from, partition, std::move(points.rows_), points.features());
  std::vector<double> scales;
  if (kind != PointScale::none)
    scales = move_rows(communicator, *transport, from, partition, std::move(points.point_scales_),
                       scale_numbers(kind, points.features()));
  PointBlock moved(std::move(partition), rank, points.features(), std::move(rows));
  moved.feature_map_ = std::move(points.feature_map_);  // the rows carry this, and the scales, already
  moved.feature_scales_ = std::move(points.feature_scales_);
  moved.point_scale_ = scales.empty() ? PointScale::none : kind;
  moved.point_scales_ = std::move(scales);
  return moved;
}

}  // namespace flashring

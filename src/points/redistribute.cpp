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

}  // namespace

PointBlock redistribute(const Communicator &communicator, PointBlock points, RowPartition partition) {
  FLASHRING_CHECK(partition.rows() == points.partition().rows() && partition.ranks() == communicator.size(),
                  "redistribute: ", points.partition().rows(), " rows cannot become ", partition.rows(), " rows on ",
                  partition.ranks(), " ranks");
  if (partition == points.partition()) return points;
  const int rank = communicator.rank();
  const auto row_bytes = static_cast<std::size_t>(points.features()) * sizeof(double);
  std::vector<double> old_rows = std::move(points.rows_);
  std::vector<double> new_rows(static_cast<std::size_t>(partition.local_rows(rank) * points.features()));
  std::vector<Message> sends;
  std::vector<Message> receives;
  const auto message = [&](std::vector<double> &rows, int peer, std::int64_t row, std::int64_t count) {
    return Message{peer, 0, reinterpret_cast<std::byte *>(rows.data()) + static_cast<std::size_t>(row) * row_bytes,
                   static_cast<std::size_t>(count) * row_bytes};
  };
  for (int peer = 0; peer < communicator.size(); ++peer) {
    for_each_overlap(points.partition().ranges(rank), partition.ranges(peer),
                     [&](std::int64_t mine, std::int64_t /*theirs*/, std::int64_t count) {
                       sends.push_back(message(old_rows, peer, mine, count));
                     });
    for_each_overlap(points.partition().ranges(peer), partition.ranges(rank),
                     [&](std::int64_t /*theirs*/, std::int64_t mine, std::int64_t count) {
                       receives.push_back(message(new_rows, peer, mine, count));
                     });
  }
  make_transport("auto", communicator)->start(sends, receives)->wait();
  PointBlock moved(std::move(partition), rank, points.features(), std::move(new_rows));
  moved.feature_scales_ = std::move(points.feature_scales_);  // the rows carry them already
  return moved;
}

}  // namespace flashring

#include "points/row_sample.hpp"

#include <algorithm>
#include <cstring>

namespace flashring {
namespace {

struct Candidate {
  double key = 0;
  std::int64_t row = 0;
  bool operator<(const Candidate &other) const { return key != other.key ? key < other.key : row < other.row; }
};

/// Those of smallest key, in order.
void keep_smallest(std::vector<Candidate> &candidates, std::int64_t count) {
  const auto kept = std::min(static_cast<std::ptrdiff_t>(count), static_cast<std::ptrdiff_t>(candidates.size()));
  std::partial_sort(candidates.begin(), candidates.begin() + kept, candidates.end());
  candidates.resize(static_cast<std::size_t>(kept));
}

/// Calls `visit(local row, global row)`.
template <class Visit>
void for_each_row(const RowPartition &partition, int rank, Visit visit) {
  std::size_t local = 0;
  for (const RowRange &range : partition.ranges(rank))
    for (std::int64_t i = 0; i < range.count; ++i) visit(local++, range.begin.value + i);
}

}  // namespace

std::vector<double> uniform_keys(const RowPartition &partition, int rank, std::uint64_t seed, RandomStream stream,
                                 std::uint64_t minor) {
  std::vector<double> keys(static_cast<std::size_t>(partition.local_rows(rank)));
  for_each_row(partition, rank, [&](std::size_t local, std::int64_t row) {
    keys[local] = random_uniform(seed, stream, static_cast<std::uint64_t>(row), minor);
  });
  return keys;
}

std::vector<GlobalRow> smallest_rows(const Communicator &communicator, const RowPartition &partition,
                                     std::span<const double> keys, std::int64_t count) {
  std::vector<Candidate> mine(keys.size());
  for_each_row(partition, communicator.rank(), [&](std::size_t local, std::int64_t row) {
    mine[local] = {keys[local], row};
  });
  keep_smallest(mine, count);
  const std::vector<std::byte> bytes = communicator.gather(std::as_bytes(std::span<const Candidate>(mine)));
  std::vector<Candidate> all(bytes.size() / sizeof(Candidate));
  if (!all.empty()) std::memcpy(all.data(), bytes.data(), bytes.size());
  keep_smallest(all, count);
  std::vector<GlobalRow> rows;
  rows.reserve(all.size());
  for (const Candidate &candidate : all) rows.push_back(GlobalRow{candidate.row});
  return rows;
}

}  // namespace flashring

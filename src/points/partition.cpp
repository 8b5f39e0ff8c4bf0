#include "flashring/partition.hpp"

#include <algorithm>

#include "flashring/check.hpp"

namespace flashring {

RowPartition::RowPartition(std::vector<std::vector<RowRange>> ranges) : ranges_(std::move(ranges)) {
  std::vector<RowRange> all;
  for (const auto &list : ranges_) all.insert(all.end(), list.begin(), list.end());
  std::sort(all.begin(), all.end(), [](const RowRange &a, const RowRange &b) {
    return a.begin.value != b.begin.value ? a.begin < b.begin : a.count < b.count;
  });
  for (const RowRange &range : all) {
    FLASHRING_CHECK(range.count >= 0 && range.begin.value == rows_, "row partition: the range of ", range.count,
                    " rows from row ", range.begin.value, " does not follow on row ", rows_,
                    "; ranges must cover every row once");
    rows_ += range.count;
  }
}

RowPartition RowPartition::contiguous(std::int64_t rows, int ranks) {
  std::vector<std::int64_t> counts(static_cast<std::size_t>(ranks));
  for (int r = 0; r < ranks; ++r) counts[static_cast<std::size_t>(r)] = rows / ranks + (r < rows % ranks ? 1 : 0);
  return from_counts(counts);
}

RowPartition RowPartition::from_counts(const std::vector<std::int64_t> &counts) {
  std::vector<std::vector<RowRange>> ranges(counts.size());
  std::int64_t begin = 0;
  for (std::size_t r = 0; r < counts.size(); ++r) {
    if (counts[r] != 0) ranges[r].push_back({GlobalRow{begin}, counts[r]});
    begin += counts[r];
  }
  return RowPartition(std::move(ranges));
}

RowPartition RowPartition::zigzag(std::int64_t rows, int ranks) {
  const RowPartition chunks = contiguous(rows, 2 * ranks);
  std::vector<std::vector<RowRange>> ranges(static_cast<std::size_t>(ranks));
  for (int r = 0; r < ranks; ++r)
    for (const int chunk : {r, 2 * ranks - 1 - r})
      for (const RowRange &range : chunks.ranges(chunk)) ranges[static_cast<std::size_t>(r)].push_back(range);
  return RowPartition(std::move(ranges));
}

std::int64_t RowPartition::local_rows(int rank) const {
  std::int64_t rows = 0;
  for (const RowRange &range : ranges(rank)) rows += range.count;
  return rows;
}

GlobalRow RowPartition::global_row(int rank, LocalRow row) const {
  std::int64_t left = row.value;
  for (const RowRange &range : ranges(rank)) {
    if (left < range.count) return GlobalRow{range.begin.value + left};
    left -= range.count;
  }
  throw Error(
      detail::concatenate("local row ", row.value, " is beyond the ", local_rows(rank), " rows of rank ", rank));
}

std::optional<LocalRow> RowPartition::local_row(int rank, GlobalRow row) const {
  std::int64_t before = 0;
  for (const RowRange &range : ranges(rank)) {
    const std::int64_t at = row.value - range.begin.value;
    if (at >= 0 && at < range.count) return LocalRow{before + at};
    before += range.count;
  }
  return std::nullopt;
}

}  // namespace flashring

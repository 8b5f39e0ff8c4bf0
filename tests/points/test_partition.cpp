// RowPartition: every row on one rank, in the shapes its header promises.
#include <gtest/gtest.h>

#include <set>

#include "flashring/check.hpp"
#include "flashring/partition.hpp"

namespace flashring::test {
namespace {

using Ranges = std::vector<std::pair<std::int64_t, std::int64_t>>;

Ranges ranges(const RowPartition &partition, int rank) {
  Ranges list;
  for (const RowRange &range : partition.ranges(rank))
    list.emplace_back(range.begin.value, range.begin.value + range.count);
  return list;
}

/// Every row once, and global_row runs through the ranges of a rank in order.
void expect_covers(const RowPartition &partition, std::int64_t rows) {
  EXPECT_EQ(partition.rows(), rows);
  std::set<std::int64_t> seen;
  for (int r = 0; r < partition.ranks(); ++r) {
    std::int64_t local = 0;
    for (const RowRange &range : partition.ranges(r))
      for (std::int64_t i = 0; i < range.count; ++i, ++local) {
        EXPECT_EQ(partition.global_row(r, LocalRow{local}).value, range.begin.value + i);
        for (int other = 0; other < partition.ranks(); ++other) {
          const auto found = partition.local_row(other, GlobalRow{range.begin.value + i});
          EXPECT_EQ(found.has_value(), other == r);
          EXPECT_EQ(found.value_or(LocalRow{local}).value, local);
        }
        EXPECT_TRUE(seen.insert(range.begin.value + i).second) << "row twice";
      }
    EXPECT_EQ(partition.local_rows(r), local);
    EXPECT_THROW((void)partition.global_row(r, LocalRow{local}), Error);
    EXPECT_FALSE(partition.local_row(r, GlobalRow{rows}).has_value());
  }
  EXPECT_EQ(static_cast<std::int64_t>(seen.size()), rows);
  EXPECT_EQ(seen.empty() ? -1 : *seen.rbegin(), rows - 1);
}

TEST(Partition, ExamplesOfTheHeader) {
  const RowPartition contiguous = RowPartition::contiguous(10, 3);
  EXPECT_EQ(ranges(contiguous, 0), (Ranges{{0, 4}}));
  EXPECT_EQ(ranges(contiguous, 1), (Ranges{{4, 7}}));
  EXPECT_EQ(ranges(contiguous, 2), (Ranges{{7, 10}}));
  const RowPartition zigzag = RowPartition::zigzag(10, 3);
  EXPECT_EQ(ranges(zigzag, 0), (Ranges{{0, 2}, {9, 10}}));
  EXPECT_EQ(ranges(zigzag, 1), (Ranges{{2, 4}, {8, 9}}));
  EXPECT_EQ(ranges(zigzag, 2), (Ranges{{4, 6}, {6, 8}}));
}

TEST(Partition, CoversForAnyNumbersOfRowsAndRanks) {
  for (std::int64_t rows = 0; rows <= 23; ++rows)
    for (int ranks = 1; ranks <= 7; ++ranks) {
      SCOPED_TRACE(std::to_string(rows) + " rows on " + std::to_string(ranks));
      const RowPartition contiguous = RowPartition::contiguous(rows, ranks);
      expect_covers(contiguous, rows);
      for (int r = 0; r < ranks; ++r) {
        EXPECT_GE(contiguous.local_rows(r), rows / ranks);
        EXPECT_LE(contiguous.local_rows(r), rows / ranks + 1);
      }
      expect_covers(RowPartition::zigzag(rows, ranks), rows);
    }
}

TEST(Partition, CountsOfALayoutIncludeEmptyRanks) {
  const RowPartition partition = RowPartition::from_counts({0, 5, 0, 0, 2});
  expect_covers(partition, 7);
  EXPECT_EQ(partition.ranks(), 5);
  EXPECT_EQ(partition.local_rows(0), 0);
  EXPECT_EQ(ranges(partition, 4), (Ranges{{5, 7}}));
}

TEST(Partition, FreeListsKeepTheirOrder) {
  const RowPartition partition({{{GlobalRow{6}, 2}, {GlobalRow{0}, 3}}, {{GlobalRow{3}, 3}}});
  expect_covers(partition, 8);
  EXPECT_EQ(partition.global_row(0, LocalRow{0}).value, 6);
  EXPECT_EQ(partition.global_row(0, LocalRow{2}).value, 0);
}

TEST(Partition, RefusesOverlapsAndGaps) {
  EXPECT_THROW(RowPartition({{{GlobalRow{0}, 4}}, {{GlobalRow{3}, 4}}}), Error);
  EXPECT_THROW(RowPartition({{{GlobalRow{0}, 4}}, {{GlobalRow{5}, 4}}}), Error);
  EXPECT_THROW(RowPartition({{{GlobalRow{1}, 4}}}), Error);
  EXPECT_THROW(RowPartition({{{GlobalRow{0}, 4}}, {{GlobalRow{0}, 4}}}), Error);
}

TEST(Partition, RowsBeyond32Bits) {
  const std::int64_t rows = (std::int64_t{1} << 40) + 3;
  const RowPartition partition = RowPartition::contiguous(rows, 2);
  EXPECT_EQ(partition.local_rows(0) + partition.local_rows(1), rows);
  EXPECT_EQ(partition.global_row(1, LocalRow{partition.local_rows(1) - 1}).value, rows - 1);
}

}  // namespace
}  // namespace flashring::test

// Random samples of rows: the smallest keys over all ranks, in order, for any partition.
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>

#include "points/row_sample.hpp"
#include "support/scatter.hpp"
#include "support/world.hpp"

namespace flashring::test {
namespace {

std::vector<std::int64_t> numbers(const std::vector<GlobalRow> &rows) {
  std::vector<std::int64_t> found;
  for (const GlobalRow row : rows) found.push_back(row.value);
  return found;
}

TEST(RowSample, SmallestKeysInOrderOverAllRanks) {
  constexpr std::int64_t n = 57;
  std::vector<double> keys = random_numbers(n, 31);
  keys[3] = keys[40] = keys[50];  // the lower row comes first
  std::vector<std::int64_t> expected(n);
  std::iota(expected.begin(), expected.end(), 0);
  std::stable_sort(expected.begin(), expected.end(), [&](std::int64_t a, std::int64_t b) {
    return keys[static_cast<std::size_t>(a)] < keys[static_cast<std::size_t>(b)];
  });
  for (const auto &[name, partition] : partitions(n, world().size()))
    for (const std::int64_t count : {0, 1, 20, 57, 1000}) {
      SCOPED_TRACE(name + " " + std::to_string(count));
      const std::vector<double> mine = local_columns(keys, 1, partition, world().rank());
      const std::vector<std::int64_t> found = numbers(smallest_rows(world(), partition, mine, count));
      const auto most = static_cast<std::ptrdiff_t>(std::min<std::int64_t>(count, n));
      EXPECT_EQ(found, std::vector<std::int64_t>(expected.begin(), expected.begin() + most));
    }
}

TEST(RowSample, InfiniteKeysComeLast) {
  const RowPartition partition = RowPartition::contiguous(9, world().size());
  std::vector<double> keys(9, std::numeric_limits<double>::infinity());
  keys[7] = 1;
  const std::vector<double> mine = local_columns(keys, 1, partition, world().rank());
  EXPECT_EQ(numbers(smallest_rows(world(), partition, mine, 3)), (std::vector<std::int64_t>{7, 0, 1}));
}

TEST(RowSample, KeysAreCountedByGlobalRow) {
  constexpr std::int64_t n = 41;
  const std::vector<double> alone = uniform_keys(RowPartition::contiguous(n, 1), 0, 5, RandomStream::landmarks, 3);
  for (const auto &[name, partition] : partitions(n, world().size())) {
    SCOPED_TRACE(name);
    const std::vector<double> mine = uniform_keys(partition, world().rank(), 5, RandomStream::landmarks, 3);
    EXPECT_EQ(gather_columns(mine, 1, partition, world()), alone);
  }
  EXPECT_EQ(std::set<double>(alone.begin(), alone.end()).size(), static_cast<std::size_t>(n));
  EXPECT_NE(uniform_keys(RowPartition::contiguous(n, 1), 0, 6, RandomStream::landmarks, 3), alone) << "seed";
  EXPECT_NE(uniform_keys(RowPartition::contiguous(n, 1), 0, 5, RandomStream::sample, 3), alone) << "stream";
  EXPECT_NE(uniform_keys(RowPartition::contiguous(n, 1), 0, 5, RandomStream::landmarks, 2), alone) << "minor";
}

}  // namespace
}  // namespace flashring::test

// Random samples of rows that are the same for any number of ranks.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "flashring/communicator.hpp"
#include "flashring/partition.hpp"
#include "flashring/random.hpp"

namespace flashring {

/// Uniform in (0,1) for every row of this rank, counted by global row, (local_rows).
std::vector<double> uniform_keys(const RowPartition &partition, int rank, std::uint64_t seed, RandomStream stream,
                                 std::uint64_t minor = 0);

/// The `count` rows of smallest key over all ranks (all rows where there are fewer), smallest first; the lower row
/// where keys are equal. keys: (local_rows). The same on every rank. Collective.
std::vector<GlobalRow> smallest_rows(const Communicator &communicator, const RowPartition &partition,
                                     std::span<const double> keys, std::int64_t count);

}  // namespace flashring

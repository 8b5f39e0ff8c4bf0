// All points on every rank, a part at a time.
#pragma once

#include <algorithm>
#include <functional>
#include <span>

#include "flashring/points.hpp"

namespace flashring {

/// Rows of a part: fixed by d alone; a part takes half a MiB, or one row.
inline std::int64_t part_rows(int features) { return std::max<std::int64_t>(1, (std::int64_t{1} << 16) / features); }

/// Rows [begin, end) of all, those of rank 0 first: the order in which a part has them.
std::vector<std::int64_t> rows_in_order(const RowPartition &partition, std::int64_t begin, std::int64_t end);

/// Calls `visit` with every part in turn, (rows, features) of what `map` makes of the points, in the order of the
/// ranks' rows within a part: that of the points on contiguous ranges. Collective.
void for_each_part(const Communicator &communicator, const PointBlock &points, const FeatureMap &map,
                   const std::function<void(std::span<const double>)> &visit);

}  // namespace flashring

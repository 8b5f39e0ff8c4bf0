// Tuning numbers of backend simd, a reason beside each.
#pragma once

#include <cstddef>

namespace flashring::simd {

/// Rows of a tile. 256: two-sided work on one pair of tiles takes about 10 microseconds, long against its ticket and
/// the adding of its sums, short against the load balance of N = 2,000; 16-lane slots of 256 visiting rows (16 KB) stay
/// in L1.
constexpr int tile_rows = 256;

/// Visiting rows of a weight panel: 64 rows of 4 vectors are 16 KB, a third of a 48 KB L1.
constexpr int panel_rows = 64;

/// Features up to which squared distances are summed from differences: 2d operations against d + 1 for norms, but exact
/// where points coincide. At 8 features that costs a third of a one-column pass in fp32.
constexpr int difference_features = 8;

/// Own vectors times visiting rows whose accumulators live in registers: 4 x 4 of 32 registers, 2 x 4 of 16.
constexpr int own_vectors(bool many_registers) { return many_registers ? 4 : 2; }
constexpr int visiting_rows = 4;

/// Giving rows times vectors of columns whose sums live in registers: 16 x 1 or 8 x 2 of 32 registers, half of that of
/// 16; at least 8, since a multiply-add takes 4 cycles and two begin in each, and many rows for a load of columns.
/// Panels are padded to the larger group.
constexpr int giving_group = 16;
constexpr int giving_rows(bool many_registers, int vectors) { return (many_registers ? 16 : 8) / vectors; }

/// Numbers of a row in chunks of columns: whole vectors, and one more, since a tail may be two chunks.
constexpr std::size_t chunk_width(std::size_t columns, std::size_t lanes) {
  return ((columns + lanes - 1) / lanes + 1) * lanes;
}

/// Functions whose products of differences with so many others are summed in registers: 27 sums, 3 weighted differences
/// and one more of 32 registers, 10, 2 and one of 16. The longer the block, the fewer products with the weight: one for
/// each function where all others fit. One function more fits where half of the pairs of the first ones are left out.
constexpr int difference_rows(bool many_registers) { return many_registers ? 3 : 2; }
constexpr int difference_columns(bool many_registers) { return many_registers ? 9 : 5; }

/// From one word of their sums to the next: a line more than a tile has rows, or the words of a row would lie in 2 of
/// the 64 sets of L1 (in fp32 4), which hold 16 lines (a pass of 10 functions in fp64: 7 %).
template <class T>
constexpr int sums_stride = tile_rows + static_cast<int>(64 / sizeof(T));

/// Columns of log-sum-exp: their sums of a tile, in the working precision and in fp64, fill 0.4 of a 1 MB L2 in fp32.
constexpr int widest_value = 128;

/// Giving rows from whose largest logarithm log-sum-exp takes its first reference: the costlier way, so few of them.
constexpr int reference_rows = 16;
/// Sums of exponentials up to which a reference is kept: far from overflow, times any sensible value too.
constexpr double largest_sum = 1099511627776.0;

}  // namespace flashring::simd

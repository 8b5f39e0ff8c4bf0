// Tuning numbers of backend amx, a reason beside each. None has been measured on the hardware yet.
#pragma once

#include "simd/tile_size.hpp"

namespace flashring::amx {

/// Rows of a tile: those of simd, which serves the shapes that the matrix unit does not.
constexpr int tile_rows = simd::tile_rows;

/// A register of the matrix unit: 16 rows of 64 bytes, 32 bf16 or 16 fp32 numbers each.
constexpr int unit_rows = 16;
constexpr int chunk = 32;
constexpr int unit_bytes = 1024;
constexpr int unit_words = 256;
static_assert(tile_rows % chunk == 0, "panels are whole chunks");

/// Fewer features go to simd: it sums exact differences there, and a chunk would be more than three quarters padding.
constexpr int least_features = 9;

/// bf16 numbers that a fp32 number is split into. Two of 8 bits each leave 2^-16, which is 256 roundings of fp32;
/// three hold all 24 bits. The products whose terms a, b have a + b < 3 are formed: 6, with 2^-23, two roundings, left
/// out. Two terms and 3 products, about half the time, would not be fp32: a sum that one weight dominates would be off
/// by 1e-5.
constexpr int split_terms = 3;

/// Receiving rows of a panel of weights: two blocks, whose 2 x 3 accumulators with one operand of each side fill the 8
/// registers. It is also one chunk for the sums of the giving side.
constexpr int panel_rows = 32;

/// Giving rows of a panel: 8 KB of weights and up to 24 KB of their bf16 terms stay in a 48 KB L1; 12 products then
/// pay for each time that sums of columns are loaded and stored.
constexpr int panel_columns = 64;

/// Columns from which the unit multiplies them too: it works on 16 at a time, so fewer are cheaper on vectors.
constexpr int unit_columns = 16;

}  // namespace flashring::amx

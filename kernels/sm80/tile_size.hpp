// Tuning numbers of backend sm80, a reason beside each. Reasoned on paper, not measured: no GPU was at hand.
#pragma once

#include <cstddef>

namespace flashring::sm80 {

/// Rows of a tile, and threads of a block: one thread for each own row. 4 warps, one for each scheduler of a
/// multiprocessor.
constexpr int tile_rows = 128;

/// Threads that run in step.
constexpr int warp_rows = 32;
constexpr int warps = tile_rows / warp_rows;

/// Visiting rows whose weights a thread holds in registers at once: 32 registers in fp32, 64 in fp64. As many as a warp
/// has threads, so that a warp can turn its weights round by itself.
constexpr int piece_rows = warp_rows;

/// Features of the visiting rows that are staged at once: 2 KB in fp32, 4 KB in fp64, one store by each thread for 4
/// of them. Most point sets of low dimension take one stage.
constexpr int feature_chunk = 16;

/// Columns whose sums a thread holds in registers. 8 multiply-adds for two loads of 16 bytes in fp32.
constexpr int column_chunk = 8;

/// Blocks that a multiprocessor must be able to hold, which bounds registers: 3 leave 168 of 65,536 to a thread, 2
/// leave 255. The smallest bounds with which no kernel keeps registers in memory on any of 8.0, 9.0, 10.0 and 12.0
/// (nvcc 13.0); most fp32 kernels take 96 to 128, so that 4 blocks fit.
template <class T>
constexpr int blocks_per_processor = sizeof(T) == 4 ? 3 : 2;

/// Own tiles of a wave that serves the visiting side: 4 blocks for each of the 132 multiprocessors of an H200.
constexpr int wave_own_tiles = 528;

/// Bytes that the slots of a wave may take: within the second-level cache of an A100 (40 MB) and an H200 (50 MB), so
/// that slots are read from there. One visiting tile is served whatever it takes (36 MB for 66 words).
constexpr std::size_t slot_budget = std::size_t{32} << 20;

/// Columns of the folded form up to which it is taken. fp32: 10 chunks, so that the own role of a tile (40 KB) stays in
/// shared memory; its 25 features would take 13 products in the other form. Reduced: where one chunk holds all, since
/// beyond that the other form takes as many products and half the memory.
constexpr int most_folded_columns(int pieces) { return pieces == 1 ? 16 : 160; }

}  // namespace flashring::sm80

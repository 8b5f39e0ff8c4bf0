// Tuning numbers of backend sm90, a reason beside each. Reasoned on paper, not measured: no GPU was at hand.
#pragma once

#include <cstddef>

#include "sm80/tile_size.hpp"

namespace flashring::sm90 {

using sm80::tile_rows;

/// Threads of a warpgroup: what wgmma and setmaxnreg work for.
constexpr int group_threads = 128;

/// Warpgroups that multiply and fold. A product of wgmma has 64 own rows, so two of them share an own tile; where they
/// do not meet in every tile, the products of one can run while the other folds.
constexpr int consumer_groups = 2;
constexpr int consumers = consumer_groups * group_threads;
constexpr int consumer_warps = consumers / 32;
constexpr int group_rows = tile_rows / consumer_groups;

/// With the warpgroup whose first thread asks for copies. It is the last, so that consumers are threads 0 to 255.
constexpr int block_threads = consumers + group_threads;

/// Registers of a thread. 384 threads begin with 168 (65,536 / 384, in steps of 8). The producer needs few, 40 as in
/// FlashAttention-3; consumers may have what that sets free: 128 * 40 + 256 * 232 < 65,536.
constexpr int producer_registers = 40;
constexpr int consumer_registers = 232;

/// Shared memory that a block may ask for on compute capability 9.0: 227 KB.
constexpr std::size_t shared_limit = std::size_t{227} << 10;

/// Chunks of a role that a stage holds at most: 24 KB. Two groups of 16 features in fp32 (12 products), so that a
/// barrier is waited for once in about 1,500 cycles of the tensor unit; folded points of d <= 15 (fp32) take one.
constexpr int stage_chunks = 6;

/// More than 4 stages would hold more than the products that run beside one fold.
constexpr int most_stages = 4;
constexpr int least_stages = 2;

/// Notes of visiting tiles that may be under way: the tile that is folded, the one that is multiplied, and two ahead,
/// so that chunks of the next are asked for before the fold of this one ends.
constexpr int note_slots = 4;

}  // namespace flashring::sm90

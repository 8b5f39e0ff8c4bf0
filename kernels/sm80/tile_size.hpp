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

/// Words of a row's identity that are told one by one, those of threshold_sum: they are an argument of a launch. Wider
/// states, of rules of attention, go on with zeros.
constexpr int identity_words = 3 + 2 * max_columns;

/// Blocks that a multiprocessor must be able to hold, which bounds registers: 3 leave 168 of 65,536 to a thread, 2
/// leave 255. The smallest bounds with which no kernel keeps registers in memory on any of 8.0, 9.0, 10.0 and 12.0
/// (nvcc 13.0); most fp32 kernels take 96 to 128, so that 4 blocks fit.
template <class T>
constexpr int blocks_per_processor = sizeof(T) == 4 ? 3 : 2;

/// Up to this many features a lane holds its own rows whole: 4 registers for each feature (few_features.hpp).
constexpr int max_few_features = 8;

/// Up to this many values a row (columns, and 1 where weights themselves are summed) a lane holds the values and sums
/// of its own rows: 8 registers for each. Of 8 values they would be 64, which with features and weights leaves 2 blocks
/// to a multiprocessor; and the visiting side, whose sums cost half an operation for each pair and value beside the
/// multiply-add, would cost what the plain form's way costs.
constexpr int max_few_values = 4;

/// Own rows of a lane: 4 pairs for each load of a visiting row.
constexpr int lane_rows = tile_rows / warp_rows;

/// Visiting rows whose weights a lane holds at once: 32 registers for its own rows. More would not fit beside 8
/// features; fewer would make more exchanges between lanes.
constexpr int group_rows = 8;
static_assert(warp_rows % group_rows == 0, "a warp's visiting rows are whole groups");

/// Blocks of few features that a multiprocessor must be able to hold, by row rule (log-sum-exp keeps references) and
/// padded numbers of features and values: 4 leave 128 registers to a thread, 3 leave 168, 2 leave 255. The largest with
/// which no kernel keeps registers in memory on any of 8.0, 9.0, 10.0 and 12.0 (nvcc 13.0).
constexpr int few_blocks_per_processor(bool references, int features, int values) {
  if (features > 4 && values > 1) return 2;
  return features <= 3 && values == 1 && !references ? 4 : 3;
}

/// Issue slots that an exponential takes as a polynomial: 2 for the range, 3 for the whole number and the rest, 5 for
/// the polynomial, 1 for the exponent (exponential.hpp).
constexpr int polynomial_slots = 11;

/// Issue slots that pass while the special unit serves one warp's instruction: 128 lane slots a cycle for its 16 lanes.
constexpr int special_unit_slots = 8;

/// Shared memory of a block on the smallest device from compute capability 8.0 on (8.6, 8.9, 12.0).
constexpr std::size_t least_shared_bytes = std::size_t{99} << 10;

/// Own tiles of a wave that serves the visiting side: 4 blocks for each of the 132 multiprocessors of an H200.
constexpr int wave_own_tiles = 528;

/// Bytes that the slots of a wave may take: within the second-level cache of an A100 (40 MB) and an H200 (50 MB), so
/// that slots are read from there. One visiting tile is served whatever it takes (36 MB for 66 words).
constexpr std::size_t slot_budget = std::size_t{32} << 20;

/// Slots that a thread reads before it adds them: enough loads under way to hide most of their latency, in 16
/// registers.
constexpr int slots_at_once = 8;

/// Columns of the folded form up to which it is taken. fp32: 10 chunks, so that the own role of a tile (40 KB) stays in
/// shared memory; its 25 features would take 13 products in the other form. Reduced: where one chunk holds all, since
/// beyond that the other form takes as many products and half the memory.
constexpr int most_folded_columns(int pieces) { return pieces == 1 ? 16 : 160; }

/// Features from which tensor cores form the exponent. Below, differences take 2d slots of the multiply-add pipes,
/// which are idle while the special unit makes the exponential, and leave distances exact.
constexpr int least_tensor_features = 9;

/// Threads of a block on the tensor path: 8 warps as 4 x 2, each with 32 own and 64 visiting rows. Their sums are 64
/// registers of a thread, and 6 loads of fragments serve 16 products.
constexpr int tensor_threads = 256;
constexpr int tensor_warps_across = 2;
constexpr int tensor_warps_down = 4;
constexpr int warp_own_rows = tile_rows / tensor_warps_down;
constexpr int warp_visiting_rows = tile_rows / tensor_warps_across;

/// Stages of asynchronous copies: one is multiplied while two are on their way.
constexpr int stages = 3;

/// Chunks of each side in a stage: the three pieces of 16 features, which are loaded once for six products. In the
/// folded form, where own chunks are resident, two of the visiting side, so that two blocks fit a multiprocessor.
constexpr int stage_pieces = 3;
constexpr int folded_stage_chunks = 2;

/// Columns whose sums a warp holds in registers beside its weights: 32 numbers of a thread for the own side, 64 for the
/// visiting one.
constexpr int tensor_columns = 32;

/// Blocks of the tensor path that a multiprocessor must be able to hold. Two leave 128 registers to a thread, which
/// serve one column, and let the tensor unit work for one while the other takes exponentials. Three pieces of 16
/// features need more (128 with some in memory), and so do sums of 32 columns: one block of 8 warps has 255 registers
/// for each thread.
constexpr int sum_blocks(bool crossed) { return crossed ? 1 : 2; }
constexpr int column_blocks = 1;

}  // namespace flashring::sm80

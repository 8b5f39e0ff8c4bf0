// How rows of scores are cut for the threads of a device, a reason beside each number. Reasoned on paper, not measured:
// no GPU was at hand. Which threads add which numbers follows from the length of a row alone, and so do its bits.
#pragma once

#include <cstddef>
#include <cstdint>

#include <device_word.hpp>

#include "threshold_kernels.hpp"

namespace flashring::sm80 {

/// What one group of threads takes: a row, or a part of one.
struct RowCut {
  int threads = 0;         ///< of a block
  int width = 0;           ///< of a group, a power of two: lanes of a warp, or the block where it is more than 32
  int stride = 0;          ///< numbers from one group's to the next one's in shared memory
  std::int64_t part = 0;   ///< scores of a part, fewer in the last one
  std::int64_t parts = 0;  ///< of a row
};

/// Threads of a block of several groups: 4 warps, one for each scheduler.
constexpr int row_threads = 128;
/// Of a block that has one long row: 128 registers are left to each, which fp64 needs, and 16 warps hide most waiting.
constexpr int long_row_threads = 512;

/// Scores of a lane in a short row. Newton's step takes about as long as 16 scores, and every lane makes it: fewer
/// lanes a row serve more rows, but many scores a lane leave a GPU idle where rows are few.
constexpr int lane_scores = 16;
/// Longest row of a warp, 32 scores a lane; and of four warps. A lane's sums are in the working precision first: rows
/// of the largest shared memory, 227 KB, give it 114 numbers, so they err by no more than those of backend simd.
constexpr std::int64_t warp_scores = 1024;
constexpr std::int64_t small_block_scores = 4096;
/// Parts of rows that are taken in parts: as long as four warps take, so that one row of a million is work for 245
/// blocks.
constexpr std::int64_t part_scores = small_block_scores;

/// Numbers that a thread has on their way at once: about 20 warps of a multiprocessor then keep 20 KB in flight, which
/// the memory's latency asks for.
constexpr int moved_at_once = 8;

constexpr int group_width(std::int64_t n) {
  if (n > small_block_scores) return long_row_threads;
  if (n > warp_scores) return row_threads;
  int width = 1;
  while (width < 32 && width * lane_scores < n) width *= 2;
  return width;
}

/// Lanes of neighbouring groups read the same place of their rows: an odd number of widths from row to row puts them in
/// different banks.
constexpr RowCut cut_rows(ThresholdStep step, std::int64_t n) {
  RowCut cut;
  const bool whole = step == ThresholdStep::forward || step == ThresholdStep::backward;
  cut.part = whole || n < part_scores ? n : part_scores;
  cut.parts = (n + cut.part - 1) / cut.part;
  cut.width = group_width(cut.part);
  cut.threads = cut.width > row_threads ? cut.width : row_threads;
  cut.stride = static_cast<int>(((cut.part + cut.width - 1) / cut.width | 1) * cut.width);
  return cut;
}

/// Two numbers of each warp, then scores, and where a step reads gradients these.
constexpr std::size_t row_shared_bytes(ThresholdStep step, const RowCut &cut, std::size_t number_bytes) {
  const auto groups = static_cast<std::size_t>(cut.threads / cut.width);
  const std::size_t arrays = reads_gradient(step) ? 2 : 1;
  return static_cast<std::size_t>(cut.threads / 32) * sizeof(ThresholdSums) +
         arrays * groups * static_cast<std::size_t>(cut.stride) * number_bytes;
}

/// Whether a row fits into so much shared memory.
constexpr bool is_whole_row(ThresholdStep step, Storage storage, std::int64_t n, std::size_t shared_bytes) {
  const std::size_t bytes = storage == Storage::fp64 ? 8 : 4;
  return n <= static_cast<std::int64_t>(shared_bytes / bytes) &&
         row_shared_bytes(step, cut_rows(step, n), bytes) <= shared_bytes;
}

/// Sums of parts (rows, parts, 2).
constexpr std::int64_t row_scratch_numbers(std::int64_t rows, std::int64_t n) {
  const std::int64_t parts = cut_rows(ThresholdStep::sums, n).parts;
  return parts > 1 ? 2 * rows * parts : 0;
}

}  // namespace flashring::sm80

// In which order chunks of points are copied and multiplied, and where they lie in shared memory: index arithmetic
// alone, tested on hosts. Producer and consumers go through the same sequence, each counting for itself.
//
// A group is what is loaded together for all products between its chunks: one chunk of each role in the folded form,
// the P pieces of 16 features, or the norms. A step is a run of groups that fills one stage; a pair of tiles takes
// `steps` of them. Steps of all pairs of a block are numbered through, and so are its own tiles and its visiting tiles:
// number n uses slot n % slots, whose barrier then completes its phase n / slots.
#pragma once

#include <cstddef>
#include <cstdint>

#include "sm80/pieces.hpp"
#include "sm90/tile_size.hpp"

namespace flashring::sm90 {

using sm80::chunk_bytes;
using sm80::PieceLayout;

/// Where use n of a ring lies, n counted on by next(): its slot, and the parity of n / slots.
struct Ring {
  std::uint32_t slot = 0;
  std::uint32_t parity = 0;
  constexpr void next(std::uint32_t slots) {
    if (++slot != slots) return;
    slot = 0;
    parity ^= 1U;
  }
};

/// First chunks of both roles, counted within a tile, and how many follow each other.
struct Group {
  int own = 0;
  int visiting = 0;
  int chunks = 1;
};

/// Chunks of a role in a group that is not the norms'.
constexpr int group_chunks(const PieceLayout &layout) { return layout.folded ? 1 : layout.pieces; }

constexpr int groups_of(const PieceLayout &layout) {
  return layout.folded ? layout.role_chunks() : layout.feature_chunks() + (layout.norms ? 1 : 0);
}

constexpr Group group_at(const PieceLayout &layout, int g) {
  if (layout.folded) return {g, layout.role_chunks() + g, 1};
  const int first = g * layout.pieces;
  if (g == layout.feature_chunks()) return {first, first + 1, 1};
  return {first, first, layout.pieces};
}

/// Chunks of the own role: they lie at the beginning of a tile, without a gap.
constexpr int own_chunks(const PieceLayout &layout) {
  return layout.folded ? layout.role_chunks() : layout.feature_chunks() * layout.pieces + (layout.norms ? 1 : 0);
}

/// Where a block's shared memory begins to be what, in bytes. What swizzles and bulk copies ask for is kept: chunks
/// begin at multiples of 256, everything else at multiples of 16.
struct BlockPlan {
  bool resident = true;    ///< the own tile's chunks stay for its whole sweep; false: they come with the visiting ones
  int steps = 1;           ///< of a pair of tiles
  int step_groups = 1;     ///< of a step; the last may have fewer
  int step_chunks = 1;     ///< of a role in a step of whole groups without norms
  int feature_chunks = 1;  ///< of a role
  int norm_chunks = 0;     ///< of a role, in the last step
  int visiting_first = 0;  ///< chunk of a tile with which the visiting role begins
  int stages = least_stages;
  std::uint32_t stage_bytes = 0;
  std::uint32_t stages_at = 0;  // (stages, stage_bytes); own chunks stand before, from 0 on
  std::uint32_t notes_at = 0;   // (note_slots, note_bytes)
  std::uint32_t columns_at = 0;
  std::uint32_t fold_at = 0;  // what folding needs
  std::uint32_t barriers_at = 0;
  std::uint32_t bytes = 0;  ///< of all
};

/// Barriers of a block, 8 bytes each: full and empty ones.
constexpr int barrier_count(int stages) { return 2 * (stages + note_slots + 2); }

constexpr std::uint32_t rounded_up(std::size_t bytes, std::size_t unit) {
  return static_cast<std::uint32_t>((bytes + unit - 1) / unit * unit);
}

/// Stages of what is left beside `taken` bytes.
constexpr int stages_beside(std::size_t taken, std::size_t stage_bytes) {
  if (taken >= shared_limit) return 0;
  const auto count = static_cast<int>((shared_limit - taken) / stage_bytes);
  return count < most_stages ? count : most_stages;
}

/// Bytes of a note with what follows it, of the columns of a visiting tile, and of what folding needs.
constexpr BlockPlan plan_block(const PieceLayout &layout, std::size_t note_bytes, std::size_t column_bytes,
                               std::size_t fold_bytes) {
  BlockPlan p;
  const int groups = groups_of(layout);
  const int each = group_chunks(layout);
  p.steps = (groups * each + stage_chunks - 1) / stage_chunks;
  p.step_groups = (groups + p.steps - 1) / p.steps;
  p.step_chunks = p.step_groups * each;
  p.feature_chunks = (layout.folded ? groups : layout.feature_chunks()) * each;
  p.norm_chunks = !layout.folded && layout.norms ? 1 : 0;
  p.visiting_first = group_at(layout, 0).visiting;
  const std::size_t role_bytes = std::size_t{1} * p.step_chunks * chunk_bytes;
  const std::size_t beside =
      note_bytes * note_slots + column_bytes + rounded_up(fold_bytes, 16) + std::size_t{8} * barrier_count(most_stages);
  const std::size_t own_bytes = std::size_t{1} * own_chunks(layout) * chunk_bytes;
  p.stages = stages_beside(beside + own_bytes, role_bytes);
  p.resident = p.stages >= least_stages;
  if (!p.resident) p.stages = stages_beside(beside, 2 * role_bytes);
  p.stage_bytes = static_cast<std::uint32_t>(p.resident ? role_bytes : 2 * role_bytes);
  p.stages_at = static_cast<std::uint32_t>(p.resident ? own_bytes : 0);
  p.notes_at = p.stages_at + static_cast<std::uint32_t>(p.stages) * p.stage_bytes;
  p.columns_at = p.notes_at + static_cast<std::uint32_t>(note_bytes) * note_slots;
  p.fold_at = p.columns_at + static_cast<std::uint32_t>(column_bytes);
  p.barriers_at = p.fold_at + rounded_up(fold_bytes, 16);
  p.bytes = p.barriers_at + 8 * static_cast<std::uint32_t>(barrier_count(p.stages));
  return p;
}

/// Groups [first, last) of step s.
struct StepGroups {
  int first = 0;
  int last = 0;
};
constexpr StepGroups groups_of_step(const PieceLayout &layout, const BlockPlan &plan, int s) {
  const int first = s * plan.step_groups;
  const int end = groups_of(layout);
  return {first, first + plan.step_groups < end ? first + plan.step_groups : end};
}

/// How many of them are three pieces; they come before those of one chunk.
constexpr int triples_of(const PieceLayout &layout, const StepGroups &groups) {
  if (group_chunks(layout) != 3) return 0;
  const int end = layout.feature_chunks() < groups.last ? layout.feature_chunks() : groups.last;
  return end - groups.first;
}

/// The chunks of a step as copies move them: runs without a gap in the tile and in the stage. Between the features and
/// the norms of the visiting role the tile has the norms of the own role, which follow the features. From what the plan
/// says, since the producer has few registers.
struct StepRuns {
  int first = 0;     ///< chunk of features of the own role, counted within a tile
  int features = 0;  ///< chunks of features of each role
  int norms = 0;     ///< chunks of norms of each role
};

constexpr StepRuns runs_of_step(const BlockPlan &plan, int s) {
  const int first = s * plan.step_chunks;
  const int left = plan.feature_chunks - first;
  return {first, left < plan.step_chunks ? left : plan.step_chunks, s + 1 == plan.steps ? plan.norm_chunks : 0};
}
/// Where those of the visiting role begin in the tile.
constexpr int visiting_features(const BlockPlan &plan, const StepRuns &runs) {
  return plan.visiting_first + runs.first;
}
constexpr int visiting_norms(const StepRuns &runs) { return runs.first + runs.features + runs.norms; }

/// Bytes of a role.
constexpr std::uint32_t step_bytes(const StepRuns &runs) {
  return static_cast<std::uint32_t>((runs.features + runs.norms) * chunk_bytes);
}

/// Where group g of a tile, which is the k-th of its step, lies: visiting chunks in the stage, own ones behind them, or
/// in the own tile's place where that is resident.
constexpr std::uint32_t visiting_offset(const PieceLayout &layout, int k) {
  return static_cast<std::uint32_t>(k * group_chunks(layout) * chunk_bytes);
}
constexpr std::uint32_t own_offset(const PieceLayout &layout, const BlockPlan &plan, int g, int k) {
  return plan.resident ? visiting_offset(layout, g) : plan.stage_bytes / 2 + visiting_offset(layout, k);
}

}  // namespace flashring::sm90

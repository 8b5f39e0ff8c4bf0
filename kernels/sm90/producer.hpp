// The producer: one thread that goes through the own tiles of its block and the visiting tiles that are due for each,
// and asks for copies as soon as there is room for them. It decides which pairs are due, so consumers wait for no
// memory to learn that.
//
// Copies are one-dimensional bulk copies (cp.async.bulk): a payload's chunks are contiguous and already swizzled, so
// neither a tensor map nor the driver call that makes one is needed. Chunks that are neighbours in the payload and in a
// stage come by one copy: a step takes one, two where it ends with norms, and one more for the own tile's chunks where
// these are not resident. Bytes: a tile's chunks of one role, 512 for each column and scalar.
#pragma once

#include "sm90/pipeline.hpp"

namespace flashring::sm90 {

template <class Thread>
class Producer {
 public:
  FLASHRING_DEVICE Producer(Thread &t, const BlockMemory &memory)
      : t_(t), memory_(memory), a_(memory.arguments->wave), layout_(memory.arguments->wave.layout) {}

  /// All own tiles of the block: its number, and every so many blocks further.
  FLASHRING_DEVICE void run() {
    FLASHRING_ROLL
    for (int i = t_.block(); i < a_.wave.own_count; i += t_.blocks()) {
      int first = 0;
      FLASHRING_ROLL
      do {
        feed_sweep(a_.wave.own_first + i, first);
        first += sm80::tensor_columns;
      } while (first < a_.columns);
    }
  }

 private:
  /// An own tile with columns from `first` on.
  FLASHRING_DEVICE void feed_sweep(int own, int first) {
    copy_own(own);
    const TileInfo own_tile = a_.own.tiles[own];
    FLASHRING_ROLL
    for (int j = 0; j < a_.wave.visiting_count; ++j) {
      const int visiting = a_.wave.visiting_first + j;
      if (!sm80::is_asked(a_, own, visiting)) continue;
      const TileInfo tile = a_.visiting.tiles[visiting];
      const Visibility seen = visibility(a_.mask, own_tile, tile);
      if (seen == Visibility::none) continue;
      give_note({j, seen == Visibility::some ? 1 : 0, tile}, visiting);
      copy_steps(own, visiting);
      // Last, since there is room for them only when those of the tile before have been split: that is when the
      // products of this tile are under way.
      if (memory_.arguments->copied_columns) copy_columns(visiting, first);
    }
    give_note(Note{}, 0);
  }

  FLASHRING_DEVICE const std::byte *chunks(const TileSide &side, int tile) const {
    return side.payload + std::int64_t{tile} * static_cast<std::int64_t>(layout_.bytes());
  }

  FLASHRING_DEVICE void copy_own(int own) {
    t_.wait_phase(memory_.own_empty(), own_parity_ ^ 1U);
    own_parity_ ^= 1U;
    const BlockPlan &plan = memory_.plan();
    const std::uint32_t bytes = plan.resident ? plan.stages_at : 0;
    t_.arrive_expecting(memory_.own_full(), bytes);
    if (bytes != 0) t_.copy_bulk(memory_.base, chunks(a_.own, own), bytes, memory_.own_full());
  }

  /// With pass scalars and the column of tile `visiting`; the note that ends a sweep comes alone.
  FLASHRING_DEVICE void give_note(const Note &note, int visiting) {
    const SweepArguments &arguments = *memory_.arguments;
    std::uint64_t *full = memory_.note_full(note_.slot);
    std::byte *at = memory_.note(note_.slot);
    t_.wait_phase(memory_.note_empty(note_.slot), note_.parity ^ 1U);
    *reinterpret_cast<Note *>(at) = note;
    const bool scalars = note.visiting >= 0 && arguments.copied_scalars;
    const bool column = note.visiting >= 0 && arguments.copied_column;
    t_.arrive_expecting(full, note_bytes_of(scalars, column) - note_head);
    at += note_head;
    if (scalars) t_.copy_bulk(at, sm80::tile_values<float>(a_.visiting.pass_scalars, visiting, 1), vector_bytes, full);
    if (scalars) at += vector_bytes;
    if (column) t_.copy_bulk(at, sm80::tile_values<float>(a_.visiting.columns, visiting, 1), vector_bytes, full);
    note_.next(note_slots);
  }

  FLASHRING_DEVICE void copy_columns(int visiting, int first) {
    const std::uint32_t bytes = static_cast<std::uint32_t>(columns_of_sweep(a_.columns, first)) * vector_bytes;
    t_.wait_phase(memory_.columns_empty(), columns_parity_ ^ 1U);
    columns_parity_ ^= 1U;
    t_.arrive_expecting(memory_.columns_full(), bytes);
    t_.copy_bulk(
        memory_.columns(),
        sm80::tile_values<float>(a_.visiting.columns, visiting, a_.columns) + std::ptrdiff_t{first} * tile_rows, bytes,
        memory_.columns_full());
  }

  /// Chunks [first, first + count) of a tile.
  FLASHRING_DEVICE void copy_chunks(std::byte *to, const std::byte *tile, int first, int count, std::uint64_t *full) {
    if (count > 0)
      t_.copy_bulk(to, tile + std::ptrdiff_t{first} * chunk_bytes, static_cast<std::uint32_t>(count * chunk_bytes),
                   full);
  }

  FLASHRING_DEVICE void copy_steps(int own, int visiting) {
    const BlockPlan &plan = memory_.plan();
    FLASHRING_ROLL
    for (int s = 0; s < plan.steps; ++s) {
      std::uint64_t *full = memory_.stage_full(stage_.slot);
      std::byte *at = memory_.stage(stage_.slot);
      const StepRuns runs = runs_of_step(plan, s);
      t_.wait_phase(memory_.stage_empty(stage_.slot), stage_.parity ^ 1U);
      t_.arrive_expecting(full, step_bytes(runs) * (plan.resident ? 1U : 2U));
      const std::byte *tile = chunks(a_.visiting, visiting);
      copy_chunks(at, tile, visiting_features(plan, runs), runs.features, full);
      copy_chunks(at + runs.features * chunk_bytes, tile, visiting_norms(runs), runs.norms, full);
      if (!plan.resident)
        copy_chunks(at + plan.stage_bytes / 2, chunks(a_.own, own), runs.first, runs.features + runs.norms, full);
      stage_.next(memory_.stages());
    }
  }

  Thread &t_;
  const BlockMemory &memory_;
  const WaveArguments &a_;
  const PieceLayout &layout_;
  Ring stage_;
  Ring note_;
  std::uint32_t own_parity_ = 0;
  std::uint32_t columns_parity_ = 0;
};

}  // namespace flashring::sm90

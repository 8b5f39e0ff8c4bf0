// What producer and consumers of a block share: its shared memory, its barriers, and the notes with which the producer
// tells what comes next.
//
// full barriers expect one arrival, the producer's, and the bytes of the copies that it asked for; empty ones one
// arrival of each consumer warp. The phases of use n of a slot: the consumers wait for full with the parity of n /
// slots, the producer for empty with the other parity, which is over at once on the first round.
#pragma once

#include <cstddef>
#include <cstdint>

#include "sm80/arguments.hpp"
#include "sm90/steps.hpp"

namespace flashring::sm90 {

using sm80::WaveArguments;

/// Of one launch. Pointers are the device's.
struct SweepArguments {
  WaveArguments wave;
  BlockPlan plan;
  std::uint32_t note_bytes = 0;  ///< of a note with what follows it
  bool copied_scalars = false;   ///< pass scalars of each visiting tile, with its note
  bool copied_column = false;    ///< its only column, with the note
  bool copied_columns = false;   ///< its columns in the sweep, by themselves
};

/// An own tile takes one sweep over its visiting tiles for 32 columns; columns of the sweep that begins with `first`.
constexpr int columns_of_sweep(int columns, int first) {
  return columns - first < sm80::tensor_columns ? columns - first : sm80::tensor_columns;
}

/// Whether some pair of tiles serves the own side: tiles of a square with themselves do, whatever was asked.
constexpr bool adds_to_own(const WaveArguments &a) { return has_own(a.sides) || a.pattern == PairPattern::square; }

/// What the producer says of a visiting tile. It is followed by the tile's pass scalars (T), where the rule reads them,
/// and its column (T), where there is one.
struct Note {
  std::int32_t visiting = -1;  ///< counted from the wave's first; -1: the sweep is over
  std::int32_t masked = 0;     ///< the mask cuts through the pair
  TileInfo tile;
};
/// What follows a note begins here, for loads of 16 bytes.
constexpr std::uint32_t note_head = 32;
static_assert(sizeof(Note) <= note_head);

constexpr std::uint32_t vector_bytes = tile_rows * sizeof(float);
constexpr std::uint32_t note_bytes_of(bool scalars, bool column) {
  return note_head + vector_bytes * ((scalars ? 1U : 0U) + (column ? 1U : 0U));
}

/// Shared memory of a block.
struct BlockMemory {
  std::byte *base;
  const SweepArguments *arguments;

  FLASHRING_DEVICE const BlockPlan &plan() const { return arguments->plan; }
  FLASHRING_DEVICE std::byte *stage(std::uint32_t s) const { return base + plan().stages_at + s * plan().stage_bytes; }
  FLASHRING_DEVICE std::byte *note(std::uint32_t s) const { return base + plan().notes_at + s * arguments->note_bytes; }
  FLASHRING_DEVICE std::byte *fold() const { return base + plan().fold_at; }

  /// Columns of the sweep, (c, T): those of one visiting tile. They are left as soon as they have been split.
  FLASHRING_DEVICE std::byte *columns() const { return base + plan().columns_at; }

  // Barriers: (stages) full, (stages) empty, (note_slots) full, (note_slots) empty, full and empty of the own tile and
  // of columns.
  FLASHRING_DEVICE std::uint64_t *barrier(std::uint32_t n) const {
    return reinterpret_cast<std::uint64_t *>(base + plan().barriers_at) + n;
  }
  FLASHRING_DEVICE std::uint32_t stages() const { return static_cast<std::uint32_t>(plan().stages); }
  FLASHRING_DEVICE std::uint64_t *stage_full(std::uint32_t s) const { return barrier(s); }
  FLASHRING_DEVICE std::uint64_t *stage_empty(std::uint32_t s) const { return barrier(stages() + s); }
  FLASHRING_DEVICE std::uint64_t *note_full(std::uint32_t s) const { return barrier(2 * stages() + s); }
  FLASHRING_DEVICE std::uint64_t *note_empty(std::uint32_t s) const { return note_full(note_slots + s); }
  FLASHRING_DEVICE std::uint64_t *own_full() const { return note_full(2 * note_slots); }
  FLASHRING_DEVICE std::uint64_t *own_empty() const { return own_full() + 1; }
  FLASHRING_DEVICE std::uint64_t *columns_full() const { return own_full() + 2; }
  FLASHRING_DEVICE std::uint64_t *columns_empty() const { return own_full() + 3; }
};

/// One thread sets the barriers up before anybody uses them; all threads of the block call.
template <class Thread>
FLASHRING_DEVICE void set_up_barriers(Thread &t, const BlockMemory &memory) {
  if (t.thread() == 0) {
    for (std::uint32_t s = 0; s < memory.stages(); ++s) {
      t.init_barrier(memory.stage_full(s), 1);
      t.init_barrier(memory.stage_empty(s), consumer_warps);
    }
    for (std::uint32_t s = 0; s < note_slots; ++s) {
      t.init_barrier(memory.note_full(s), 1);
      t.init_barrier(memory.note_empty(s), consumer_warps);
    }
    t.init_barrier(memory.own_full(), 1);
    t.init_barrier(memory.own_empty(), consumer_warps);
    t.init_barrier(memory.columns_full(), 1);
    t.init_barrier(memory.columns_empty(), consumer_warps);
    t.fence_barriers();
  }
  t.sync_block();
}

/// A warp is through with what a barrier guards: all its threads are.
template <class Thread>
FLASHRING_DEVICE void leave(Thread &t, std::uint64_t *barrier) {
  t.sync_warp();
  if (t.lane() == 0) t.arrive(barrier);
}

}  // namespace flashring::sm90

// A consumer's part of the sequence: which notes and stages it has, and the products of a visiting tile.
//
// wgmma takes both operands from shared memory by descriptors: 64 own rows of the thread's warpgroup and 128 visiting
// ones, 16 columns at a time; all products of a pair of tiles add up in one set of accumulators, 64 registers a thread.
// They run by themselves, so a set is asked for, another one is folded, and then waited for.
#pragma once

#include "sm80/strip.hpp"
#include "sm90/descriptor.hpp"
#include "sm90/pipeline.hpp"

namespace flashring::sm90 {

/// What a warp has of them: 16 own rows and 128 visiting ones, in blocks of 8.
constexpr int strip_blocks = tile_rows / 8;
using Strip = sm80::Strip<strip_blocks>;
using Accumulators = float[strip_blocks][4];

/// Descriptors of two operands.
struct Operands {
  std::uint64_t own;
  std::uint64_t visiting;
};

/// The same so many chunks further.
FLASHRING_DEVICE Operands advanced(const Operands &x, int own, int visiting) {
  return {advanced(x.own, static_cast<std::uint32_t>(own * chunk_bytes)),
          advanced(x.visiting, static_cast<std::uint32_t>(visiting * chunk_bytes))};
}

template <class Thread>
class Consumer {
 public:
  FLASHRING_DEVICE Consumer(Thread &t, const BlockMemory &memory)
      : t_(t),
        memory_(memory),
        own_(chunk_descriptor(t.shared_address(memory.base) + group_start())),
        stages_(chunk_descriptor(t.shared_address(memory.stage(0)))) {}

  /// Waits for the own tile.
  FLASHRING_DEVICE void take_own() {
    t_.wait_phase(memory_.own_full(), own_parity_);
    own_parity_ ^= 1U;
  }
  FLASHRING_DEVICE void leave_own() { leave(t_, memory_.own_empty()); }

  /// Waits for the next note and returns where it lies; what it says holds until leave_note, which takes notes in the
  /// same order.
  FLASHRING_DEVICE const std::byte *take_note() {
    t_.wait_phase(memory_.note_full(note_.slot), note_.parity);
    const std::byte *at = memory_.note(note_.slot);
    note_.next(note_slots);
    return at;
  }
  FLASHRING_DEVICE void leave_note() {
    leave(t_, memory_.note_empty(left_note_.slot));
    left_note_.next(note_slots);
  }

  /// Asks for all products of the next visiting tile. Stages are left while products run when too few are free.
  FLASHRING_DEVICE void begin_products(Accumulators &accumulators) {
    const BlockPlan &plan = memory_.plan();
    int s = 0;
    take_stage();
    int done = begin_step(accumulators);  // groups of the step
    FLASHRING_ROLL
    while (true) {
      multiply_step(s, done, accumulators);
      t_.order_products();
      t_.commit_products();
      stage_.next(memory_.stages());
      if (++held_ + 1 >= plan.stages) {
        t_.template wait_products<1>();
        leave_stages(1);
      }
      if (++s == plan.steps) return;
      take_stage();
      done = 0;
    }
  }

  /// Waits for them; the accumulators may be read then.
  FLASHRING_DEVICE void finish_products(Accumulators &accumulators) {
    t_.finish_products(accumulators);
    leave_stages(0);
  }
  /// Nothing is under way: said for the compiler, which cannot know it where two sets of accumulators take turns.
  FLASHRING_DEVICE void settle() { t_.template wait_products<0>(); }

 private:
  FLASHRING_DEVICE std::uint32_t group_start() const {
    return static_cast<std::uint32_t>(t_.thread() / group_threads * group_rows * sm80::chunk_row_bytes);
  }

  FLASHRING_DEVICE void take_stage() { t_.wait_phase(memory_.stage_full(stage_.slot), stage_.parity); }

  /// Of the first chunks of group g, which is the k-th of its step.
  FLASHRING_DEVICE Operands operands(int g, int k) const {
    const BlockPlan &plan = memory_.plan();
    const PieceLayout &layout = memory_.arguments->wave.layout;
    const std::uint64_t stage = advanced(stages_, stage_.slot * plan.stage_bytes);
    const std::uint64_t own = plan.resident ? own_ : advanced(stage, group_start());
    return {advanced(own, own_offset(layout, plan, g, k)), advanced(stage, visiting_offset(layout, k))};
  }

  /// The first group of a pair of tiles, whose first product takes nothing from the accumulators: what they held ends
  /// here, so that they may be folded in their own registers. Returns the number of groups.
  FLASHRING_DEVICE int begin_step(Accumulators &accumulators) {
    const PieceLayout &layout = memory_.arguments->wave.layout;
    const bool triple = triples_of(layout, groups_of_step(layout, memory_.plan(), 0)) > 0;
    const Operands x = operands(0, 0);
    t_.order_products();
    t_.multiply_first(accumulators, triple ? advanced_to(x, 0) : x);
    if (triple) {
      t_.order_products();
      multiply_others(x, accumulators);
    }
    return 1;
  }

  /// The products of step s but those of its first `done` groups. Chunks lie in the order in which they are multiplied,
  /// so both descriptors only advance.
  FLASHRING_DEVICE void multiply_step(int s, int done, Accumulators &accumulators) {
    const PieceLayout &layout = memory_.arguments->wave.layout;
    const StepGroups groups = groups_of_step(layout, memory_.plan(), s);
    const int triples = triples_of(layout, groups);
    const int count = groups.last - groups.first;
    Operands x = operands(groups.first + done, done);
    int n = done;
    FLASHRING_ROLL
    for (; n < triples; ++n) {
      t_.order_products();
      t_.multiply(accumulators, advanced_to(x, 0));
      multiply_others(x, accumulators);
      x = advanced(x, 3, 3);
    }
    FLASHRING_ROLL
    for (; n < count; ++n) {
      t_.order_products();
      t_.multiply(accumulators, x);
      x = advanced(x, 1, 1);
    }
  }

  /// Product n of three pieces.
  FLASHRING_DEVICE static Operands advanced_to(const Operands &x, int n) {
    const sm80::PieceProduct p = sm80::piece_product(3, n);
    return advanced(x, p.own, p.visiting);
  }
  /// All but the first.
  FLASHRING_DEVICE void multiply_others(const Operands &x, Accumulators &accumulators) {
    FLASHRING_UNROLL
    for (int n = 1; n < sm80::products_of(3); ++n) t_.multiply(accumulators, advanced_to(x, n));
  }

  /// All but the latest `kept` of the stages whose products have been asked for: these are through.
  FLASHRING_DEVICE void leave_stages(int kept) {
    FLASHRING_ROLL
    for (; held_ > kept; --held_) {
      leave(t_, memory_.stage_empty(left_stage_.slot));
      left_stage_.next(memory_.stages());
    }
  }

  Thread &t_;
  const BlockMemory &memory_;
  std::uint64_t own_;     // descriptor of the warpgroup's rows of the first own chunk, where it is resident
  std::uint64_t stages_;  // descriptor of the first chunk of the first stage
  Ring stage_, left_stage_, note_, left_note_;
  int held_ = 0;  // stages whose products have been asked for and that were not left
  std::uint32_t own_parity_ = 0;
};

}  // namespace flashring::sm90

// The body of the kernels: a block of one producer and two groups of consumers (tile.cu tells the whole), and the sweep
// of the consumers over visiting tiles.
//
// Written for a Thread that offers what sm80/weights.hpp lists and
//   blocks()                                 of the launch
//   sync(), sync_block()                     all consumers, all threads
//   shared_address                           32 bits, as descriptors have them
//   init_barrier, fence_barriers, arrive, arrive_expecting, wait_phase, copy_bulk      mbarriers and bulk copies
//   release_registers, claim_registers
//   multiply_first, multiply, order_products, commit_products, wait_products, finish_products          wgmma
// and for a Fold, what a warp makes of the accumulators of visiting tiles:
//   begin(own, first)                        own tile number `own` of the wave begins, with columns from `first` on
//   fold(note, strips)                       one visiting tile; strips: (1), the warp's part of the accumulators
//   end()                                    no more of them
//   beside_products                          whether its registers leave room for a second set of accumulators
#pragma once

#include "sm90/consumer.hpp"
#include "sm90/producer.hpp"

namespace flashring::sm90 {

FLASHRING_DEVICE bool is_over(const std::byte *note) { return reinterpret_cast<const Note *>(note)->visiting < 0; }

/// A copy of the accumulators goes to the fold, which costs no registers: accumulators that were changed in place would
/// have to be kept for products that may not follow.
template <class Fold>
FLASHRING_DEVICE void fold_copy(Fold &fold, const std::byte *note, const Accumulators &accumulators) {
  Strip strips[1];
  FLASHRING_UNROLL
  for (int n = 0; n < strip_blocks; ++n) {
    FLASHRING_UNROLL
    for (int e = 0; e < 4; ++e) strips[0].v[n][e] = accumulators[n][e];
  }
  fold.fold(note, strips);
}

/// Folds the tile of `note` while the products of the next are under way. Returns the next note.
template <class Thread, class Fold>
FLASHRING_DEVICE const std::byte *fold_beside_products(Consumer<Thread> &consumer, Fold &fold, const std::byte *note,
                                                       Accumulators &ready, Accumulators &next) {
  consumer.finish_products(ready);
  const std::byte *following = consumer.take_note();
  if (!is_over(following)) consumer.begin_products(next);
  fold_copy(fold, note, ready);
  consumer.leave_note();
  return following;
}

/// One own tile and all visiting tiles that are due for it. Two sets of accumulators take turns; they stay in registers
/// because each has its own place in the code.
template <class Thread, class Fold>
FLASHRING_DEVICE void sweep_beside_products(Consumer<Thread> &consumer, Fold &fold) {
  Accumulators even;
  Accumulators odd;
  const std::byte *note = consumer.take_note();
  if (!is_over(note)) consumer.begin_products(even);
  FLASHRING_ROLL
  while (!is_over(note)) {
    note = fold_beside_products(consumer, fold, note, even, odd);
    if (is_over(note)) break;
    note = fold_beside_products(consumer, fold, note, odd, even);
  }
  consumer.settle();
  consumer.leave_note();
}

/// The same with one set, for folds that need the registers of the other.
template <class Thread, class Fold>
FLASHRING_DEVICE void sweep_after_products(Consumer<Thread> &consumer, Fold &fold) {
  Accumulators accumulators;
  const std::byte *note = consumer.take_note();
  FLASHRING_ROLL
  while (!is_over(note)) {
    consumer.begin_products(accumulators);
    consumer.finish_products(accumulators);
    fold_copy(fold, note, accumulators);
    consumer.leave_note();
    note = consumer.take_note();
  }
  consumer.leave_note();
}

/// Block b: own tiles b, b + blocks, ... of the wave, each with all its visiting tiles, in their order. What an own
/// tile gets depends on no other own tile, so bits do not depend on the number of blocks.
template <class Fold, class Thread>
FLASHRING_DEVICE void fold_wave(Thread &t, const SweepArguments &arguments) {
  const BlockMemory memory{t.shared(), &arguments};
  set_up_barriers(t, memory);
  if (t.thread() >= consumers) {
    t.template release_registers<producer_registers>();
    if (t.thread() == consumers) Producer<Thread>(t, memory).run();
    return;
  }
  t.template claim_registers<consumer_registers>();
  Consumer<Thread> consumer(t, memory);
  Fold fold(t, memory);
  FLASHRING_ROLL
  for (int i = t.block(); i < arguments.wave.wave.own_count; i += t.blocks()) {
    int first = 0;  // column of the sweep
    FLASHRING_ROLL
    do {
      consumer.take_own();
      fold.begin(i, first);
      if constexpr (Fold::beside_products)
        sweep_beside_products(consumer, fold);
      else
        sweep_after_products(consumer, fold);
      fold.end();
      consumer.leave_own();
      first += sm80::tensor_columns;
    } while (first < arguments.wave.columns);
  }
}

}  // namespace flashring::sm90

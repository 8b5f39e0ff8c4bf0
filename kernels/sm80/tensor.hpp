// The tensor path: exponents of a pair of tiles from tensor cores, weights and sums in registers.
//
// A block of 256 threads has one own tile and goes over the visiting tiles of a wave. Its 8 warps stand 4 x 2 over the
// 128 x 128 pairs of points, each with 32 own and 64 visiting rows: two strips (strip.hpp) of 64 registers together.
// Steps:
//   1. Chunks of pieces (pieces.hpp) come by asynchronous copies in steps of 16 features (tensor_steps.hpp), through
//      three stages of shared memory. The sequence of (visiting tile, step) is one, so copies run on over the borders
//      of tiles. In the folded form the chunks of the own role are loaded once.
//   2. Each warp loads the fragments of a step once and adds all products of pieces to its accumulators, which hold -q
//      for distances and q for inner products after the last step.
//   3. A Fold applies the formula, hides what does not count and adds to the states (tensor_sum.hpp and others).
// Cost of a pair: 16 multiply-adds of the tensor unit for each chunk product, 32 bytes of shared memory for 64 pairs
// and chunk, then what the Fold states. Errors: kernels/README.md. Reference: T. Dao, FlashAttention-2,
// arXiv:2307.08691, for weights that stay in accumulators.
#pragma once

#include "sm80/arguments.hpp"
#include "sm80/strip.hpp"
#include "sm80/tensor_steps.hpp"

namespace flashring::sm80 {

/// Of a warp: its strips lie one under the other.
constexpr int warp_strips = warp_own_rows / strip_rows;
constexpr int strip_blocks = warp_visiting_rows / 8;
using WarpStrips = Strip<strip_blocks>[warp_strips];

/// Where strip `strip` of warp `warp` lies.
constexpr StripPlace strip_place(int warp, int strip) {
  return {warp / tensor_warps_across * warp_own_rows + strip * strip_rows,
          warp % tensor_warps_across * warp_visiting_rows};
}

/// One pair of tiles. Pointers to arrays that a call does not need may be null.
struct TensorPair {
  TileInfo own, visiting;
  std::int32_t own_tile, visiting_tile;
  double *state;        // (words, T) of the own side
  double *slot;         // (words, T) of the visiting side
  const float *values;  // (T) of the visiting tile, shared: what Fold::visiting_values named
  Sides sides;          ///< that are served
  bool masked;          ///< the mask cuts through it
  bool tested;          ///< some pairs of points do not count
};

/// Where a block is in its sequence of (visiting tile, step).
struct TensorCursor {
  int tile = 0;  ///< visiting, counted within the wave
  int step = 0;
  int place = 0;  ///< of the tile's numbers among those on their way
};

template <class Thread>
FLASHRING_DEVICE int own_tile_of(Thread &t, const WaveArguments &a) {
  return a.wave.own_first + t.block();
}

/// On to the next visiting tile that is due, this one included.
template <class Fold, class Thread>
FLASHRING_DEVICE void find_tile(Thread &t, const WaveArguments &a, TensorCursor &c) {
  FLASHRING_ROLL
  for (; c.tile < a.wave.visiting_count; ++c.tile)
    if (pair_visibility<Fold::exchanges>(a, own_tile_of(t, a), a.wave.visiting_first + c.tile) != Visibility::none)
      return;
}

template <class Fold, class Thread>
FLASHRING_DEVICE void advance(Thread &t, const WaveArguments &a, TensorCursor &c) {
  if (++c.step < a.shared.steps) return;
  c.step = 0;
  ++c.tile;
  c.place = c.place == stages - 1 ? 0 : c.place + 1;
  find_tile<Fold>(t, a, c);
}

FLASHRING_DEVICE const std::byte *tile_chunks(const WaveArguments &a, const TileSide &side, std::int64_t tile) {
  return side.payload + tile * static_cast<std::int64_t>(a.layout.bytes());
}

/// A chunk is 16 bytes for each thread.
static_assert(chunk_bytes == 16 * tensor_threads, "one copy of 16 bytes for each thread");

template <class Thread>
FLASHRING_DEVICE void copy_chunk(Thread &t, std::byte *to, const std::byte *from) {
  const int thread = t.thread();
  t.copy_async(to + 16 * thread, from + 16 * thread);
}

template <class Thread>
FLASHRING_DEVICE void copy_own_role(Thread &t, const WaveArguments &a) {
  const std::byte *own = tile_chunks(a, a.own, own_tile_of(t, a));
  FLASHRING_ROLL
  for (int n = 0; n < a.layout.role_chunks(); ++n)
    copy_chunk(t, t.shared() + a.shared.own + n * chunk_bytes, own + n * chunk_bytes);
}

/// Starts the copies of one step, and with the first step of a tile those of the numbers of its rows.
template <class Fold, class Thread>
FLASHRING_DEVICE void copy_step(Thread &t, const WaveArguments &a, const TensorCursor &c, int stage) {
  const int visiting_tile = a.wave.visiting_first + c.tile;
  const TensorStep step = step_at(a.layout, c.step);
  const std::byte *own = tile_chunks(a, a.own, own_tile_of(t, a));
  const std::byte *visiting = tile_chunks(a, a.visiting, visiting_tile);
  std::byte *to_own = t.shared() + a.shared.stage + stage * a.shared.stage_bytes;
  std::byte *to_visiting = to_own + stage_own_chunks(a.layout) * chunk_bytes;
  FLASHRING_ROLL
  for (int i = 0; i < step.count; ++i) {
    const ChunkPair chunk = chunks_of(a.layout, step, i);
    if (!a.layout.folded) copy_chunk(t, to_own + i * chunk_bytes, own + chunk.own * chunk_bytes);
    copy_chunk(t, to_visiting + i * chunk_bytes, visiting + chunk.visiting * chunk_bytes);
  }
  const float *values = c.step == 0 ? Fold::visiting_values(a, visiting_tile) : nullptr;
  constexpr int value_threads = tile_rows * static_cast<int>(sizeof(float)) / 16;
  if (values != nullptr && t.thread() < value_threads)
    t.copy_async(t.shared() + a.shared.values + c.place * tile_rows * static_cast<int>(sizeof(float)) + 16 * t.thread(),
                 reinterpret_cast<const std::byte *>(values) + 16 * t.thread());
}

/// Rows of the four matrices that a lane names for ldmatrix. Own side: two of 8 rows for each half of 16 columns, the A
/// operand of 16 rows. Visiting side: two halves for each of two blocks of 8 rows, the B operands of both. 8 or 16 rows
/// on are as many times 32 bytes on, since the swizzle repeats.
constexpr int own_fragment_offset(int lane, int row) { return chunk_offset(row + lane % 16, lane / 16 * 8); }
constexpr int visiting_fragment_offset(int lane, int row) {
  return chunk_offset(row + lane % 8 + lane / 16 * 8, lane / 8 % 2 * 8);
}

/// strips += own rows times visiting rows of one chunk each. `own`, `visiting`: where the lane's rows begin.
template <class Thread>
FLASHRING_DEVICE void multiply_straight(Thread &t, const std::byte *own, const std::byte *visiting,
                                        WarpStrips &strips) {
  std::uint32_t a[warp_strips][4];  // (strips, registers)
  FLASHRING_UNROLL
  for (int s = 0; s < warp_strips; ++s) t.load_matrices(own + s * strip_rows * chunk_row_bytes, a[s]);
  FLASHRING_UNROLL
  for (int n = 0; n < strip_blocks; n += 2) {
    std::uint32_t b[4];  // (two blocks of two registers)
    t.load_matrices(visiting + 8 * n * chunk_row_bytes, b);
    FLASHRING_UNROLL
    for (int s = 0; s < warp_strips; ++s) {
      t.mma_bf16(strips[s].v[n], a[s], {b[0], b[1]});
      t.mma_bf16(strips[s].v[n + 1], a[s], {b[2], b[3]});
    }
  }
}

/// All products of the three pieces of 16 features. They are summed apart, small ones first, and then added to the
/// strips in plain arithmetic: the unit cuts off what lies below its largest addend, so it is kept from doing that to
/// the whole sum six times for each 16 features. One more addition for each pair of points; 18 loads for 96 products.
template <class Thread>
FLASHRING_DEVICE void multiply_crossed(Thread &t, const std::byte *own, const std::byte *visiting, WarpStrips &strips) {
  constexpr int pieces = 3;
  std::uint32_t a[pieces][warp_strips][4];  // (pieces, strips, registers)
  FLASHRING_UNROLL
  for (int o = 0; o < pieces; ++o) {
    FLASHRING_UNROLL
    for (int s = 0; s < warp_strips; ++s)
      t.load_matrices(own + o * chunk_bytes + s * strip_rows * chunk_row_bytes, a[o][s]);
  }
  FLASHRING_UNROLL
  for (int n = 0; n < strip_blocks; n += 2) {
    float sum[warp_strips][2][4] = {};  // (strips, blocks, elements)
    // The products of one visiting piece after the other: its registers are free for the next.
    FLASHRING_UNROLL
    for (int v = pieces - 1; v >= 0; --v) {
      std::uint32_t b[4];  // (two blocks of two registers)
      t.load_matrices(visiting + v * chunk_bytes + 8 * n * chunk_row_bytes, b);
      FLASHRING_UNROLL
      for (int o = pieces - 1 - v; o >= 0; --o) {
        FLASHRING_UNROLL
        for (int s = 0; s < warp_strips; ++s) {
          t.mma_bf16(sum[s][0], a[o][s], {b[0], b[1]});
          t.mma_bf16(sum[s][1], a[o][s], {b[2], b[3]});
        }
      }
    }
    FLASHRING_UNROLL
    for (int s = 0; s < warp_strips; ++s) {
      FLASHRING_UNROLL
      for (int e = 0; e < 8; ++e) strips[s].v[n + e / 4][e % 4] += sum[s][e / 4][e % 4];
    }
  }
}

/// `crosses`: whether there are crossed steps.
template <bool crosses, class Thread>
FLASHRING_DEVICE void multiply_step(Thread &t, const WaveArguments &a, int n, int stage, WarpStrips &strips) {
  const TensorStep step = step_at(a.layout, n);
  const std::byte *first = t.shared() + a.shared.stage + stage * a.shared.stage_bytes;
  const std::byte *own = a.layout.folded ? t.shared() + a.shared.own + step.first * chunk_bytes : first;
  const std::byte *visiting = first + stage_own_chunks(a.layout) * chunk_bytes;
  const int thread = t.thread();
  const StripPlace place = strip_place(thread / warp_rows, 0);
  own += own_fragment_offset(thread % warp_rows, place.own);
  visiting += visiting_fragment_offset(thread % warp_rows, place.visiting);
  if constexpr (crosses)
    if (step.crossed) return multiply_crossed(t, own, visiting, strips);
  FLASHRING_ROLL
  for (int i = 0; i < step.count; ++i) multiply_straight(t, own + i * chunk_bytes, visiting + i * chunk_bytes, strips);
}

/// Whether two rows of two tiles hold the same point.
FLASHRING_DEVICE bool equal_rows(const PieceLayout &layout, const std::byte *x, int i, const std::byte *y, int j) {
  bool equal = true;
  FLASHRING_ROLL
  for (int n = 0; n < layout.chunks() && equal; ++n)
    for (int column = 0; column < chunk_columns; column += 4) {
      const std::byte *one = x + n * chunk_bytes + chunk_offset(i, column);
      const std::byte *other = y + n * chunk_bytes + chunk_offset(j, column);
      equal = equal && *reinterpret_cast<const std::uint64_t *>(one) == *reinterpret_cast<const std::uint64_t *>(other);
    }
  return equal;
}

/// Distances of points from themselves are 0, whatever the roundings of products and norms: where rows of both tiles
/// have the same number and hold the same point.
template <class Thread>
FLASHRING_DEVICE void clear_self_pairs(Thread &t, const WaveArguments &a, const TensorPair &p, unsigned char *same,
                                       WarpStrips &strips) {
  const int shift = row_shift(p.own, p.visiting);
  if (!a.layout.norms || -shift >= p.visiting.rows || shift >= p.own.rows) return;
  const int i = t.thread();
  const int j = i - shift;
  if (i < tile_rows)
    same[i] =
        i < p.own.rows && j >= 0 && j < p.visiting.rows &&
        equal_rows(a.layout, tile_chunks(a, a.own, p.own_tile), i, tile_chunks(a, a.visiting, p.visiting_tile), j);
  t.sync();
  FLASHRING_UNROLL
  for (int s = 0; s < warp_strips; ++s) clear_same(t, same, shift, strip_place(t.warp(), s), strips[s]);
}

template <class Thread>
FLASHRING_DEVICE void hide_all(Thread &t, const WaveArguments &a, const TensorPair &p, float hidden,
                               WarpStrips &strips) {
  if (!p.tested) return;
  FLASHRING_UNROLL
  for (int s = 0; s < warp_strips; ++s)
    hide(t, a.mask, p.masked, p.own, p.visiting, strip_place(t.warp(), s), hidden, strips[s]);
}

/// Logarithms of weights take the log weights of the pair's visiting rows.
template <class Thread>
FLASHRING_DEVICE void add_shifts(Thread &t, const TensorPair &p, WarpStrips &strips) {
  const int lane = t.lane();
  const float *log_weights = p.values + strip_place(t.warp(), 0).visiting;
  FLASHRING_UNROLL
  for (int n = 0; n < strip_blocks; ++n) {
    const Two g = *reinterpret_cast<const Two *>(log_weights + strip_column(lane, n, 0));
    FLASHRING_UNROLL
    for (int s = 0; s < warp_strips; ++s) {
      FLASHRING_UNROLL
      for (int e = 0; e < 4; ++e)
        strips[s].v[n][e] = Thread::fma(g.v[e % 2], static_cast<float>(log2_of_e), strips[s].v[n][e]);
    }
  }
}

template <class Thread>
FLASHRING_DEVICE TensorPair tensor_pair(Thread &t, const WaveArguments &a, const TensorCursor &c) {
  TensorPair p;
  p.own_tile = own_tile_of(t, a);
  p.visiting_tile = a.wave.visiting_first + c.tile;
  p.sides = sides_of(a.pattern, a.sides, p.own_tile, p.visiting_tile);
  p.own = a.own.tiles[p.own_tile];
  p.visiting = a.visiting.tiles[p.visiting_tile];
  p.state = reinterpret_cast<double *>(a.own.state) + (has_own(p.sides) ? tile_offset(p.own_tile, a.words) : 0);
  p.slot = a.slots + (has_visiting(p.sides) ? slot_offset(a.wave, t.block(), c.tile, a.words) : 0);
  p.values = reinterpret_cast<const float *>(t.shared() + a.shared.values) + c.place * tile_rows;
  p.masked = visibility(a.mask, p.own, p.visiting) == Visibility::some;
  p.tested = p.masked || p.own.rows < tile_rows || p.visiting.rows < tile_rows;
  return p;
}

/// Whether some pair of tiles serves the own side.
FLASHRING_DEVICE bool serves_own(const WaveArguments &a) {
  return has_own(a.sides) || a.pattern == PairPattern::square;
}

/// Block i: own tile i of the wave with all its visiting tiles, in their order. `fold` takes each pair of tiles.
template <class Fold, class Thread>
FLASHRING_DEVICE void fold_tensor_tiles(Thread &t, const WaveArguments &a, Fold &fold) {
  TensorCursor work;
  find_tile<Fold>(t, a, work);
  TensorCursor load = work;
  if (a.layout.folded) copy_own_role(t, a);
  FLASHRING_ROLL
  for (int stage = 0; stage < stages - 1; ++stage) {
    if (load.tile < a.wave.visiting_count) {
      copy_step<Fold>(t, a, load, stage);
      advance<Fold>(t, a, load);
    }
    t.commit_copies();
  }
  WarpStrips strips;
  int stage = 0;
  FLASHRING_ROLL
  while (work.tile < a.wave.visiting_count) {
    t.template wait_copies<stages - 2>();
    t.sync();  // everybody's copies are there, and the stage that is filled next has been read
    if (load.tile < a.wave.visiting_count) {
      copy_step<Fold>(t, a, load, stage == 0 ? stages - 1 : stage - 1);
      advance<Fold>(t, a, load);
    }
    t.commit_copies();
    if (work.step == 0) {
      FLASHRING_UNROLL
      for (int n = 0; n < warp_strips; ++n) clear(strips[n]);
    }
    multiply_step<Fold::crosses>(t, a, work.step, stage, strips);
    if (work.step == a.shared.steps - 1) {
      const TensorPair p = tensor_pair(t, a, work);
      clear_self_pairs(t, a, p, reinterpret_cast<unsigned char *>(t.shared() + a.shared.same), strips);
      fold.add(t, a, p, strips);
    }
    advance<Fold>(t, a, work);
    stage = stage == stages - 1 ? 0 : stage + 1;
  }
  t.template wait_copies<0>();
  t.sync();  // shared memory is free
}

/// The body of a kernel: Fold as tensor_sum.hpp has one. A sweep over the visiting tiles for as many columns as the
/// Fold takes at once.
template <class Fold, class Thread>
FLASHRING_DEVICE void fold_tensor_wave(Thread &t, const WaveArguments &a) {
  int first = 0;
  FLASHRING_ROLL
  do {
    Fold fold(t, a, first);
    fold_tensor_tiles(t, a, fold);
    fold.finish(t, a);
    first += Fold::columns_in_sweep;
  } while (first < a.columns);
}

}  // namespace flashring::sm80
